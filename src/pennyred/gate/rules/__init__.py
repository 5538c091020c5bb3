"""The gate's rules, pure: who needs no stamp, and what is proven of a letter."""
