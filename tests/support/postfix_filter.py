"""A real Postfix that clients speak with and that asks the gate as its before-queue filter, by the file in config/postfix."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.support.program import Served
from tests.support.real_postfix import Postfix, free_port, services
from tests.support.town import Town

AUTHORIZED = {"smtpd_authorized_xclient_hosts": "127.0.0.1"}
"""A test may say who the client is."""


@contextlib.contextmanager
def filtered(
    folder: Path, gate: str, *, is_adjusted: bool, behind: int | None = None
) -> Iterator[tuple[Town, Postfix, Served]]:
    """A town whose gate is asked by the Postfix that clients speak with; `behind`: where it is to look for the other."""
    front, second = free_port(), free_port()
    town = Town.found(folder, behind or second, f'trusted_fronts = ["127.0.0.1/32"]\n{gate}')
    files = services("gate-as-filter.master.cf", p10024=town.gate_port, p10026=second, front=front)
    if is_adjusted:
        asked = "    -o smtpd_proxy_timeout"
        files = files.replace(asked, f"    -o smtpd_proxy_options=speed_adjust\n{asked}", 1)
    with Postfix(files, AUTHORIZED) as postfix, town.serve() as served:
        town.gate_port = front  # what a client speaks with
        yield town, postfix, served
