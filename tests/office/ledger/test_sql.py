"""What both back ends do alike is written once, so what it calls is there in both, in the same shape."""

import asyncio
import inspect
import re

import pytest

from pennyred.office.ledger import sql
from pennyred.office.ledger.postgresql import PostgresLedger
from pennyred.office.ledger.protocol import Ledger
from pennyred.office.ledger.sqlite import SqliteLedger

CALLED = sorted(set(re.findall(r"self\.(_\w+)\.(\w+)", inspect.getsource(sql))))


def test_all_its_functions_are_looked_for():
    assert {module for module, _ in CALLED} == {"_accounts", "_receivers", "_chain", "_passing"}


@pytest.mark.parametrize(("module", "name"), CALLED)
def test_a_function_of_a_connection_has_one_shape_in_both_back_ends(module, name):
    shapes = []
    for back_end in (SqliteLedger, PostgresLedger):
        function = getattr(getattr(back_end, module), name)
        connection, *parameters = inspect.signature(function).parameters.values()
        assert connection.name == "connection"
        shapes.append([(one.name, one.kind, one.default) for one in parameters])
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("back_end", [SqliteLedger, PostgresLedger])
def test_a_back_end_has_each_operation_of_a_ledger_as_the_protocol_has_it(back_end):
    for name in (one for one in dir(Ledger) if not one.startswith("_")):
        promised, kept = (inspect.signature(getattr(owner, name)) for owner in (Ledger, back_end))
        assert kept == promised, name


class Noted(sql.SqlLedger):
    """Only notes what it was told of each write."""

    def __init__(self):
        self.are_repeatable = []

    async def _read(self, work):
        raise NotImplementedError

    async def _redeem(self, request):
        raise NotImplementedError

    async def _write(self, work, *, is_repeatable=True):
        self.are_repeatable.append(is_repeatable)


@pytest.mark.parametrize(
    "ask",
    [
        lambda ledger: ledger.credit("A" * 16, 5, "bought", now=1),
        lambda ledger: ledger.create_vouchers([bytes(32)], 5, now=1),
        lambda ledger: ledger.remember_jti("id", 2, now=1),
        lambda ledger: ledger.begin_epoch(bytes(16), now=1),
    ],
    ids=["credit", "create_vouchers", "remember_jti", "begin_epoch"],
)
def test_what_a_second_time_would_change_is_not_done_again_where_it_may_have_been_done(ask):
    ledger = Noted()
    asyncio.run(ask(ledger))
    assert ledger.are_repeatable == [False]


def test_what_may_be_repeated_is():
    ledger = Noted()
    asyncio.run(ledger.close_account("A" * 16))
    assert ledger.are_repeatable == [True]
