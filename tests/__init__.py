"""The tests; README.md beside says what is where and how to run them."""
