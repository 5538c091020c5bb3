"""Who has written to whom, read from the logs of mail servers."""
