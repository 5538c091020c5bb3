"""The sender's client: what an office answers becomes values, named refusals, or "later"."""

import asyncio
import socket
from contextlib import suppress

import pytest
from tests.support.office_at_work import ANN, EVE, OfficeAtWork

from pennyred.postage.errors import Malformed, Unavailable
from pennyred.postage.licence import parse_licence
from pennyred.postage.reasons import Reason
from pennyred.sender.client import OfficeClient, OfficeRefused


def tell(folder, story):
    async def run():
        async with OfficeAtWork(folder).on_the_web() as office:
            await story(office)

    asyncio.run(run())


def test_a_senders_life(tmp_path):
    """Open, buy, look, renew."""

    async def story(office):
        [code] = await office.office.create_vouchers(100, 1)
        async with office.client() as client:
            info = await client.info()
            opened = await client.open_account("Ann@SENDER.example")
            bought = await client.redeem_voucher(code, 100)
            account = await client.account()
            entries = await client.entries()
            licence = parse_licence(await client.renew_licence())

        assert info.keys == dict(office.office.keys.public_keys)
        assert opened.address == "ann@sender.example"
        assert (bought.bought, bought.available) == (100, 100)
        assert (account.available, account.held, account.spent) == (100, 0, 0)
        assert [(one.kind, one.stamps, one.balance) for one in entries] == [("voucher", 100, 100)]
        assert licence.public_key == ANN.public

    tell(tmp_path, story)


def test_opening_again_is_the_same_account(tmp_path):
    async def story(office):
        async with office.client() as client:
            first = await client.open_account("ann@sender.example")
            again = await client.open_account("ann@sender.example")

        assert first.account == again.account

    tell(tmp_path, story)


def test_a_voucher_is_credited_once(tmp_path):
    """However it is typed, however often; and to one account only."""

    async def story(office):
        [code] = await office.office.create_vouchers(100, 1)
        async with office.client(ANN) as ann, office.client(EVE) as eve:
            await ann.open_account("ann@sender.example")
            await eve.open_account("eve@sender.example")
            await ann.redeem_voucher(code, 100)
            again = await ann.redeem_voucher(code.lower().replace("-", " "), 100)
            with pytest.raises(OfficeRefused) as refused:
                await eve.redeem_voucher(code, 100)

        assert again.available == 100
        assert refused.value.reason == "voucher-used"

    tell(tmp_path, story)


def test_a_refusal_has_its_name(tmp_path):
    async def story(office):
        async with office.client() as client:
            opened = await client.open_account("ann@sender.example")
            with pytest.raises(OfficeRefused) as unknown:
                await client.redeem_voucher("PENNY-NOPE", 1)
            await office.ledger.close_account(opened.account)
            with pytest.raises(OfficeRefused) as closed:
                await client.renew_licence()

        assert (unknown.value.reason, closed.value.reason) == ("unknown-voucher", "account-closed")

    tell(tmp_path, story)


def test_an_office_that_cannot_reach_its_ledger_means_later(tmp_path):
    async def story(office):
        async def silent(*_, **__):
            raise Unavailable(Reason.LEDGER_UNAVAILABLE, "no")

        office.ledger.account_by_key = silent
        async with office.client() as client:
            with pytest.raises(Unavailable):
                await client.account()

    tell(tmp_path, story)


def test_plain_http_to_another_machine_is_for_whom_the_settings_allow_it():
    url = "http://10.0.0.20:8025"
    with pytest.raises(Malformed, match="http is for this machine only"):
        OfficeClient(url, None, clock=lambda: 0, random_bytes=bytes)
    OfficeClient(url, None, clock=lambda: 0, random_bytes=bytes, allow_http=True)


def test_nobody_at_the_door_means_later():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    async def ask():
        async with OfficeClient(url, ANN, clock=lambda: 0, random_bytes=bytes) as client:
            await client.info()

    with pytest.raises(Unavailable):
        asyncio.run(ask())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot json!",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", b"220 mx.example.org ESMTP\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b"",
        b'HTTP/1.1 200 OK\r\nContent-Length: 70\r\n\r\n{"issuer":"a.example","keys":[{"selector":"s1","key":"x"}],"price":1}  ',
    ],
    ids=["other json", "no json", "elsewhere", "no http", "no office", "cut off", "nothing", "keys that are none"],
)  # fmt: skip
def test_what_no_office_says_means_later(answer):
    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def ask():
        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with OfficeClient(url, ANN, clock=lambda: 0, random_bytes=bytes) as client:
                await client.info()

    with pytest.raises(Unavailable):
        asyncio.run(ask())


def test_an_answer_without_end_means_later(monkeypatch):
    monkeypatch.setattr("pennyred.sender.client.ANSWER_BYTES_MAX", 1000)

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        with suppress(OSError):
            while True:
                writer.write(b" " * 1000)
                await writer.drain()
        writer.close()

    async def ask():
        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with OfficeClient(url, ANN, clock=lambda: 0, random_bytes=bytes) as client:
                await client.info()

    with pytest.raises(Unavailable, match="without end"):
        asyncio.run(ask())


def test_an_office_that_is_asked_too_much_means_later():
    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def ask():
        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with OfficeClient(url, ANN, clock=lambda: 0, random_bytes=bytes) as client:
                await client.info()

    with pytest.raises(Unavailable, match="429"):
        asyncio.run(ask())


@pytest.mark.parametrize(
    "url",
    ["", "post.example.org", "ftp://post.example.org", "http://[::1", "https://a.example:99999", "https://a.example:0", "https://",
     "https://user:secret@a.example", "https://a.example/?x=1", "https://a.example/#x", "http://post.example.org", "http://192.0.2.1:8025", "https://a\n.example", "https://a..example", "https://.", f"https://{'a' * 64}.example"],
)  # fmt: skip
def test_an_address_no_office_should_have_is_refused_before_anything_is_sent(url):
    with pytest.raises(Malformed):
        OfficeClient(url, ANN, clock=lambda: 0, random_bytes=bytes)


@pytest.mark.parametrize(
    "url", ["https://post.example.org", "http://127.0.0.1:8025", "http://[::1]:80/", "http://localhost"]
)
def test_https_anywhere_and_http_on_this_machine(url):
    OfficeClient(url, ANN, clock=lambda: 0, random_bytes=bytes)
