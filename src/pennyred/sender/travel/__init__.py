"""A letter made safe to travel before it is stamped. Pure."""
