"""Copies of refused letters, for some days, and what is done when one was wanted."""
