"""The client of the office's HTTP API for senders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec

from pennyred.failures import told
from pennyred.http import messages, probes, tokens
from pennyred.postage.encoding import decode_base64, encode_base64
from pennyred.postage.errors import Malformed, PennyRedError, Unavailable
from pennyred.postage.networks import is_loopback
from pennyred.postage.reasons import Reason
from pennyred.postage.signing import SigningKey

TIMEOUT_SECONDS = 20
ANSWER_BYTES_MAX = 16 * 2**20
PAGES_MAX = 10_000
"""How many pages of a statement are read, a thousand entries each."""

T = TypeVar("T")


class OfficeRefused(PennyRedError):  # noqa: N818 - a refusal, with its name
    """The office refused; `reason` is the name it gave for why."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class IssuerInfo:
    """What an office says of itself: its domain, its public keys by selector, and its price in stamps."""

    issuer: str
    keys: dict[str, bytes]
    price: int
    mirror: str = ""
    """The mailbox that probes are sent to; empty if there is none."""


class OfficeClient:
    """Asks one office as the owner of `key`; an asynchronous context manager.

    Every method raises `Unavailable` if the office does not answer, and `OfficeRefused` if it refuses.
    """

    def __init__(
        self,
        url: str,
        key: SigningKey | None,
        *,
        clock: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        allow_http: bool = False,
    ) -> None:
        """`url` must be https, or http to this machine; raises `Malformed` for others. `allow_http` allows any http."""
        self._url = _checked(url, allow_http=allow_http)
        self._key = key
        self._clock = clock
        self._random_bytes = random_bytes
        self._issuer = ""
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def info(self) -> IssuerInfo:
        """Ask which office this is, for its keys and its price."""
        said = await self._ask("GET", "/.well-known/pennyred", messages.Issuer, is_signed=False)
        self._issuer = said.issuer
        try:
            keys = {one.selector: decode_base64(one.key.encode(), length=32) for one in said.keys}
        except Malformed as error:
            raise Unavailable(Reason.OFFICE_UNREACHABLE, f"{self._url}: keys that are none") from error
        return IssuerInfo(said.issuer, keys, said.price, said.mirror)

    async def open_account(self, address: str) -> messages.Opened:
        """Open an account for the key and this mail address. If the key has an account already, that is the answer."""
        key = self._own_key()
        body = messages.OpenRequest(address, encode_base64(key.public).decode())
        return await self._ask("POST", "/v1/accounts", messages.Opened, body)

    async def account(self) -> messages.AccountView:
        """Ask for the account's state: balance, cap and the like."""
        return await self._ask("GET", "/v1/accounts/me", messages.AccountView)

    async def entries(self) -> list[messages.EntryView]:
        """The whole statement, oldest first."""
        entries: list[messages.EntryView] = []
        after = 0
        for _ in range(PAGES_MAX):
            page = await self._ask("GET", f"/v1/accounts/me/entries?after={after}", messages.Entries)
            entries += page.entries
            if page.next is None or page.next <= after:
                return entries
            after = page.next
        raise Unavailable(Reason.OFFICE_UNREACHABLE, f"{self._url}: a statement without end")

    async def renew_licence(self) -> bytes:
        """Ask for a fresh licence; returns its canonical text."""
        return (await self._ask("POST", "/v1/accounts/me/licence", messages.LicenceView)).licence.encode()

    async def redeem_voucher(self, code: str, stamps: int) -> messages.Purchase:
        """Buy stamps with a voucher. It may be repeated without harm."""
        body = messages.PurchaseRequest("voucher", code, stamps)
        return await self._ask("POST", "/v1/purchases", messages.Purchase, body)

    async def receipts(self, stamps: Sequence[tuple[int, bytes]]) -> list[str]:
        """The receipts of the account's stamps (expiry day, serial), in the same order; "" where there is none."""
        found: list[str] = []
        for start in range(0, len(stamps), messages.RECEIPTS_MAX):
            some = stamps[start : start + messages.RECEIPTS_MAX]
            names = [messages.StampName(day, encode_base64(serial).decode()) for day, serial in some]
            body = messages.ReceiptsRequest(names)
            said = await self._ask("POST", "/v1/accounts/me/receipts", messages.ReceiptsView, body)
            if len(said.receipts) != len(names):
                raise Unavailable(Reason.OFFICE_UNREACHABLE, f"{self._url}: not as many receipts as were asked for")
            found += said.receipts
        return found

    async def open_probe(self) -> probes.ProbeOpened:
        """Open a probe: an address at the office's mirror, and a token to ask what has arrived there."""
        return await self._ask("POST", "/v1/probes", probes.ProbeOpened)

    async def probe(self, token: str) -> probes.ProbeView:
        """What has arrived at the mirror so far."""
        return await self._ask("GET", f"/v1/probes/{token}", probes.ProbeView, is_signed=False)

    async def _ask(
        self, method: str, path: str, kind: type[T], body: msgspec.Struct | None = None, *, is_signed: bool = True
    ) -> T:
        content = b"" if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"} if content else {}
        if is_signed:
            if not self._issuer:
                await self.info()
            target = urlsplit(self._url).path + path
            request = tokens.Request(self._issuer, method, target, content)
            token = tokens.make_token(self._own_key(), request, now=self._clock(), random=self._random_bytes(16))
            headers["Authorization"] = f"Bearer {token}"
        status, answer = await self._send(method, path, content, headers)
        if status in (200, 201):
            return self._decoded(answer, kind)
        if status >= 500 or status == 429:
            raise Unavailable(Reason.OFFICE_UNREACHABLE, f"{self._url}: it answers {status}; try again later")
        problem = self._decoded(answer, messages.Problem)
        raise OfficeRefused(problem.reason, problem.detail)

    async def _send(self, method: str, path: str, content: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        assert self._session is not None
        try:
            async with self._session.request(
                method, self._url + path, data=content or None, headers=headers, allow_redirects=False
            ) as response:
                answer = await response.content.read(ANSWER_BYTES_MAX + 1)
                while len(answer) <= ANSWER_BYTES_MAX and (more := await response.content.read(ANSWER_BYTES_MAX)):
                    answer += more
                return response.status, answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(Reason.OFFICE_UNREACHABLE, f"{self._url}: {told(error)}") from error

    def _decoded(self, answer: bytes, kind: type[T]) -> T:
        if len(answer) > ANSWER_BYTES_MAX:
            raise Unavailable(Reason.OFFICE_UNREACHABLE, f"{self._url}: an answer without end")
        try:
            return msgspec.json.decode(answer, type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise Unavailable(
                Reason.OFFICE_UNREACHABLE, f"{self._url}: not a post office's answer; is the address right?"
            ) from error

    def _own_key(self) -> SigningKey:
        if self._key is None:
            raise Malformed("no key to sign with")
        return self._key


def _checked(url: str, *, allow_http: bool) -> str:
    expected = f"{url[:200]!r}: expected the address of a post office, like https://post.example.org"
    try:
        parts = urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")  # as the socket will do; it fails for an empty or too long label
    except ValueError as error:
        raise Malformed(expected) from error
    is_plain = not (parts.query or parts.fragment or parts.username or parts.password or port == 0)
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain or not url.isprintable():
        raise Malformed(expected)
    if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname):
        raise Malformed(
            f"{url!r}: http is for this machine only; elsewhere anybody could read and change it: use https"
        )
    return url.rstrip("/")
