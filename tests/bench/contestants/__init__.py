"""Who is compared: each a class in a file of its own, which starts it, tells its port and processes, and ends it."""

from .base import Contestant
from .checkout import Checkout
from .gate import Gate
from .haraka import Haraka
from .nothing import Nothing
from .postfix_proxy import PostfixProxy
from .postfix_rspamd import PostfixRspamd

__all__ = ["CONTESTANTS", "Checkout", "Contestant", "Gate", "Nothing", "PostfixProxy"]

CONTESTANTS: tuple[type[Contestant], ...] = (Nothing, PostfixProxy, Haraka, PostfixRspamd, Gate)
"""In the order of their turns."""
