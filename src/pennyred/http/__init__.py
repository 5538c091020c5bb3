"""What gate, office and sender say to each other over HTTP, and the server that hears it."""
