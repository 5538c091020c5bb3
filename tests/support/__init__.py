"""What tests share: servers, clients, letters, and the world around a gate."""
