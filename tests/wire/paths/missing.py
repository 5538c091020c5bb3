"""What is missing on this machine to start a carrier: then its paths are skipped, and say so."""

from typing import Any

from tests.support import chroots, real_haraka, real_postfix
from tests.support.chroots import Chroot
from tests.support.real_haraka import Haraka
from tests.wire.paths.postfix import Postfixes


def why_not(carrier: Any) -> str:
    """Empty if nothing is."""
    if isinstance(carrier, Postfixes):
        return "" if real_postfix.is_available() else real_postfix.WHY_NOT
    if isinstance(carrier, Haraka):
        return "" if real_haraka.is_available() else real_haraka.WHY_NOT
    if isinstance(carrier, Chroot):
        return "" if chroots.is_available(carrier.name) else chroots.why_not(carrier.name)
    return ""
