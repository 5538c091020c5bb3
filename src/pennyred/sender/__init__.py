"""Stamps on a sender's letter, and the wallet that pays for them."""
