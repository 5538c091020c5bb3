"""The service manager: sockets it passes, what it hears."""
