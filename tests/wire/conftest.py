"""A gate and an office started as programs, a mail server behind them, and a sender with a wallet."""

from collections.abc import Iterator

import pytest
from tests.support.mailserver import MailServer
from tests.support.program import Served
from tests.support.town import Town, letter


@pytest.fixture(name="letter")
def letter_maker():
    return letter


@pytest.fixture(scope="session")
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture(scope="session")
def shared_town(tmp_path_factory, mail_server) -> Iterator[tuple[Town, Served]]:
    """One town for all tests that leave its settings alone."""
    town = Town.found(tmp_path_factory.mktemp("town"), mail_server.port, 'max_size = "1MB"')
    with town.serve() as served:
        town.fund(100_000)
        yield town, served


@pytest.fixture
def town(shared_town, mail_server) -> Town:
    mail_server.forget()
    return shared_town[0]


@pytest.fixture
def served(shared_town, town) -> Served:
    return shared_town[1]


@pytest.fixture
def found_town(tmp_path, mail_server):
    """Makes towns with settings of their own."""
    mail_server.forget()

    def found(gate: str = "", office: str = "") -> Town:
        return Town.found(tmp_path, mail_server.port, gate, office)

    return found
