"""Probes over HTTP: who may open one, who may read what was found, and how it is shown."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest
from tests.support.office_at_work import ANN, EVE, OfficeAtWork

from pennyred.gate.memory.probes import PROBES_PER_ACCOUNT_MAX
from pennyred.gate.memory.store import GateState
from pennyred.http.probes import TOKEN, Advice, Arrival, StampsSeen
from pennyred.office.api.limits import PerMinute
from pennyred.office.api.probes import PROBES_PER_MINUTE
from pennyred.office.probes import LIFETIME_SECONDS, Probes
from pennyred.sender.client import OfficeRefused

MIRROR = "mirror@post.example.org"
ARRIVAL = Arrival(
    at="2026-11-18T11:06:40Z",
    source="192.0.2.7",
    helo="<b>out</b>",
    host="",
    size=1234,
    verdict="due",
    reason="altered-headers",
    sentence="the letter's header was altered after stamping",
    row="subject-unproven",
    strict="altered-headers",
    altered=["subject"],
    stamp=StampsSeen(1, 1, "folded"),
    proven="no",
    proofs=["dkim=none"],
    advice=[Advice("subject", "Stamp behind it.")],
    header="Subject: <script>alert(1)</script> J\xc3\xb6rg\r\n",
    is_header_cut=False,
    body_hash="A" * 43 + "=",
)


@pytest.fixture
def tell(tmp_path):
    """Run a story with an office on the web, whose mirror writes in a gate's state."""

    def tell(story: Callable[[OfficeAtWork, Probes], Awaitable[None]]) -> None:
        async def run() -> None:
            work = OfficeAtWork(tmp_path)
            state = GateState.open(tmp_path / "gate.db", now=work.now)
            work.office.probes = Probes(MIRROR, state.probes, lambda: work.now, work.random_bytes)
            try:
                async with work.on_the_web():
                    for key in (ANN, EVE):
                        async with work.client(key) as client:
                            await client.open_account("ann@sender.example" if key is ANN else "eve@example.com")
                    await story(work, work.office.probes)
            finally:
                await state.close()

        asyncio.run(run())

    return tell


def test_a_sender_opens_one_and_whoever_has_its_token_reads_it_for_an_hour(tell):
    async def story(work, probes):
        async with work.client() as client:
            assert (await client.info()).mirror == MIRROR
            opened = await client.open_probe()
            assert TOKEN.fullmatch(opened.token)
            assert opened.address == f"mirror+{opened.token}@post.example.org"
            assert (await client.probe(opened.token)).arrivals == []
            await probes.book.add(opened.token, msgspec.json.encode(ARRIVAL), now=work.now)
            assert (await client.probe(opened.token)).arrivals == [ARRIVAL]
        status, document, media_type = await work.ask("GET", f"/v1/probes/{opened.token}")
        assert (status, document["arrivals"][0]["altered"], media_type) == (200, ["subject"], "application/json")
        work.now += LIFETIME_SECONDS
        for path in (f"/v1/probes/{opened.token}", opened.path):
            status, problem, _ = await work.ask("GET", path)
            assert (status, problem["reason"]) == (404, "not-found")

    tell(story)


def test_the_page_shows_it_and_nothing_that_a_stranger_wrote_is_more_than_text(tell):
    async def story(work, probes):
        async with work.client() as client:
            opened = await client.open_probe()
        status, page, media_type = await work.ask("GET", opened.path)
        assert (status, media_type) == (200, "text/html; charset=utf-8")
        assert "No letter has arrived yet" in page
        await probes.book.add(opened.token, msgspec.json.encode(ARRIVAL), now=work.now)
        _, page, _ = await work.ask("GET", opened.path)
        for said in (
            "refuses this letter",
            "(altered-headers)",
            "subject: Stamp behind it.",
            "J\u00f6rg",
            "&lt;script&gt;",
        ):
            assert said in page
        assert "<script>" not in page
        assert "<b>" not in page

    tell(story)


@pytest.mark.parametrize("token", ["a" * 26, "x", "a" * 5000, "%00", "..", "A" * 26])
def test_a_guessed_token_is_none(tell, token):
    async def story(work, _):
        for path in (f"/v1/probes/{token}", f"/probes/{token}"):
            status, *_ = await work.ask("GET", path)
            assert status in (400, 404)

    tell(story)


def test_only_an_account_may_open_one(tell):
    async def story(work, _):
        status, problem, _ = await work.ask("POST", "/v1/probes")
        assert (status, problem["reason"]) == (401, "bad-token")

    tell(story)


def test_an_account_has_so_many_open_and_another_account_its_own(tell, monkeypatch):
    monkeypatch.setattr(PerMinute, "take", lambda *_, **__: True)

    async def story(work, _):
        async with work.client() as client:
            for _ in range(PROBES_PER_ACCOUNT_MAX):
                await client.open_probe()
            with pytest.raises(Exception, match="429"):
                await client.open_probe()
        async with work.client(EVE) as client:
            assert (await client.open_probe()).token

    tell(story)


def test_a_network_opens_so_many_a_minute(tell):
    async def story(work, _):
        said = [(await work.ask("POST", "/v1/probes"))[0] for _ in range(PROBES_PER_MINUTE + 1)]
        assert said == [*[401] * PROBES_PER_MINUTE, 429]

    tell(story)


def test_an_office_without_a_mirror_says_so(tell):
    async def story(work, _):
        work.office.probes = None
        async with work.client() as client:
            assert (await client.info()).mirror == ""
            with pytest.raises(OfficeRefused) as refused:
                await client.open_probe()
            assert refused.value.reason == "no-mirror"
        status, problem, _ = await work.ask("GET", f"/v1/probes/{'a' * 26}")
        assert (status, problem["reason"]) == (404, "not-found")

    tell(story)
