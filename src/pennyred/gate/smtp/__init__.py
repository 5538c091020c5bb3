"""What both sides of the gate need of SMTP: replies, paths, line ends, letters on their way."""
