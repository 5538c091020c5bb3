"""What `pennyred check` looks at and complains of."""
