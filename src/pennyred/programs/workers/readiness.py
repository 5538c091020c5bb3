"""Whether a gate can work now, part by part: for a load balancer, or a supervisor of many machines."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from pennyred.gate.memory.outbox import OutboxStanding
from pennyred.office.ledger.protocol import OFFICE_SALES
from pennyred.office.office import Office
from pennyred.postage.errors import Unavailable
from pennyred.programs.gate_worker import GateWork
from pennyred.programs.workers.board import Board

ANSWER_SECONDS = 5.0
"""The time that each part has to answer."""
STALE_SECONDS = 30.0
"""A result older than this does not count: the worker that looks must have stopped."""


@dataclass(slots=True)
class _Part:
    is_ok: bool = False
    detail: str = "not looked at yet"
    found_at: float = float("-inf")
    """When the parts were last asked, in seconds of the monotonic clock."""


class Readiness:
    """What the first worker has found out; /readyz answers with `document`."""

    def __init__(self, board: Board) -> None:
        self.is_stopping = False
        self._board = board
        self._parts = {name: _Part() for name in ("upstream", "state", "office")}

    async def look(self, gate: GateWork, office: Office | None) -> OutboxStanding | None:
        """Ask each part. Returns what waits in the gate's outbox; None where the state does not answer."""
        self._look_upstream(gate)
        await self._look_office(gate, office)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                standing = await gate.outbox_standing()
        except (Unavailable, TimeoutError) as error:
            self._say("state", is_ok=False, detail=str(error) or "no answer in time")
            return None
        self._say("state", is_ok=True)
        return standing

    def parts(self) -> dict[str, bool]:
        """For each part, whether it answers."""
        now = time.monotonic()
        found = {name: part.is_ok and now - part.found_at <= STALE_SECONDS for name, part in self._parts.items()}
        return found | {"workers": self._board.serving > 0}

    def document(self) -> dict[str, Any]:
        """The whole result, for people and programs."""
        parts = self.parts()
        told: dict[str, Any] = {
            name: {"ok": is_ok} | ({"detail": self._parts[name].detail} if name in self._parts and not is_ok else {})
            for name, is_ok in parts.items()
        }
        told["workers"] |= {"serving": self._board.serving, "of": self._board.count}
        return {"ready": all(parts.values()) and not self.is_stopping, "stopping": self.is_stopping, "parts": told}

    def _look_upstream(self, gate: GateWork) -> None:
        """Take what the worker knows of its mail servers; unknown ones are asked in the background for next time."""
        incoming = [upstreams for door, upstreams in gate.ways() if door == "incoming"]
        for _, upstreams in gate.ways():
            upstreams.look()
        down = [one.name for upstreams in incoming for one in upstreams.status() if not one.is_up]
        all_of_them = [one for upstreams in incoming for one in upstreams.status()]
        self._say("upstream", is_ok=len(down) < len(all_of_them), detail=f"down: {', '.join(down)}")

    async def _look_office(self, gate: GateWork, office: Office | None) -> None:
        """Ask the office in this process. For others, it counts whether they have answered the gate's last question."""
        if office is None:
            self._say("office", is_ok=gate.is_office_answering, detail="no answer to the last question")
            return
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await office.ledger.account(OFFICE_SALES)  # every ledger has it
        except (Unavailable, TimeoutError) as error:
            self._say("office", is_ok=False, detail=str(error) or "no answer in time")
        else:
            self._say("office", is_ok=True)

    def _say(self, part: str, *, is_ok: bool, detail: str = "") -> None:
        self._parts[part] = _Part(is_ok, detail, time.monotonic())
