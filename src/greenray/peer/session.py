"""The one reader of what peers answer over HTTP.

Whoever asks says how much it takes (``PeerAnswer``) and how long it waits (``AnswerLimits``).
Nothing is decompressed, no redirect followed, no cookie kept, no proxy taken from the environment.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import aiohttp
from aiohttp.payload import Payload
from yarl import URL

from greenray.peer.faults import (
    AnswerEncoded,
    AnswerInvalid,
    AnswerTooLong,
    AnswerTooSlow,
    PeerFault,
    PeerLost,
    PeerSilent,
)

KIB = 1024
MAX_ERROR_BYTES = 64 * KIB
"""Of the body of an answer that is an error, whoever asked for it."""
MAX_HEAD_BYTES = 64 * KIB
"""Of one line of an answer's head; it has at most 128 of them."""


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """How long one waits for an answer. Who asks may have another limit around all of it."""

    connect_timeout_s: float = 10.0
    head_timeout_s: float = 120.0
    """From the end of the request to the end of the answer's head, however its bytes trickle."""
    stall_timeout_s: float = 120.0
    """How long the body may stand still, or come more slowly than ``least_bytes_per_s``."""
    least_bytes_per_s: int = 4 * KIB


@runtime_checkable
class SentBody(Protocol):
    """A request's body that tells when it was sent, so that the wait for the answer's head begins
    then."""

    when_sent: Callable[[], None]


class PeerAnswer:
    """The head of an answer has come; the body comes as it is read."""

    def __init__(self, response: aiohttp.ClientResponse, limits: AnswerLimits) -> None:
        self._response = response
        self._limits = limits

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, in whatever case."""
        return self._response.headers

    async def blocks(self, limit_bytes: int) -> AsyncIterator[bytes]:
        """The body as it comes.

        Raises: AnswerTooLong (at once when the head says so, else with the byte that is too much),
        AnswerTooSlow, AnswerEncoded, PeerLost, AnswerInvalid.
        """
        self._check_encoding()
        declared = self._response.content_length
        if declared is not None and declared > limit_bytes:
            raise AnswerTooLong(f"it has {declared} bytes, of which {limit_bytes} are taken")
        came = 0
        async for block in self._blocks():
            came += len(block)
            if came > limit_bytes:
                raise AnswerTooLong(f"it has more than {limit_bytes} bytes")
            yield block

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body. Raises: as ``blocks``."""
        return b"".join([block async for block in self.blocks(limit_bytes)])

    async def json(self, limit_bytes: int) -> Any:
        """The whole body as JSON. Raises: as ``blocks``, AnswerInvalid (it is none)."""
        return parsed_json(await self.read(limit_bytes))

    async def beginning(self, limit_bytes: int = MAX_ERROR_BYTES) -> str:
        """Of the body of an error, and never an error of its own: what came of it, so far as it is
        text."""
        parts: list[bytes] = []
        missing = limit_bytes
        try:
            self._check_encoding()
            async for block in self._blocks():
                parts.append(block[:missing])
                missing -= len(parts[-1])
                if not missing:
                    break
        except PeerFault as fault:
            parts.append(f" ({fault})".encode())
        return b"".join(parts).decode(errors="replace")

    async def _blocks(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        stall_s, least = self._limits.stall_timeout_s, self._limits.least_bytes_per_s
        left_s = stall_s
        while True:
            began = loop.time()
            with _as_faults("the answer"):
                try:
                    async with asyncio.timeout(left_s):
                        block = await self._response.content.readany()
                except TimeoutError:
                    raise AnswerTooSlow(
                        f"it stood still, or came more slowly than {least} bytes a second, for "
                        f"{stall_s:g} s"
                    ) from None
            if not block:
                return
            # Only waiting counts: what its reader takes for a block is not the peer's fault. And
            # what came fast buys no more patience than there was at first.
            left_s = min(stall_s, left_s - (loop.time() - began) + len(block) / least)
            yield block

    def _check_encoding(self) -> None:
        encoding = self._response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise AnswerEncoded(f"it is encoded ({encoding[:40]}), and was not to be")


class PeerSession:
    """Connections to peers, kept alive; made and used in one event loop."""

    def __init__(
        self,
        limits: AnswerLimits,
        *,
        connections: int = 0,
        max_head_bytes: int = MAX_HEAD_BYTES,
        buffer_bytes: int = 256 * KIB,
        headers: Mapping[str, str] | None = None,
        skip_auto_headers: Sequence[str] = (),
    ) -> None:
        """``connections``: at most so many at a time, 0: as many as there are requests;
        ``buffer_bytes``: of what nobody has read yet, the connection is read no further from twice
        as many on; ``headers``: of every request."""
        self._limits = limits
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_timeout_s),
            headers={"Accept-Encoding": "identity", **(headers or {})},
            skip_auto_headers=skip_auto_headers,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=buffer_bytes,
            max_line_size=max_head_bytes,
            max_field_size=max_head_bytes,
        )

    async def close(self) -> None:
        await self._session.close()

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: URL | str,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | Payload | AsyncIterator[memoryview] | None = None,
    ) -> AsyncIterator[PeerAnswer]:
        """An answer of whatever status, redirects as well. A connection whose answer was not read
        to its end is closed.

        How long it may take until the answer's head begins with the end of ``data``, where ``data``
        tells it (``SentBody``); with one that does not, it is for the caller to bound.

        Raises: PeerLost, PeerSilent, AnswerInvalid.
        """
        response = await self._opened(method, url, headers or {}, data)
        try:
            yield PeerAnswer(response, self._limits)
        finally:
            response.close()

    async def _opened(
        self, method: str, url: URL | str, headers: Mapping[str, str], data: Any
    ) -> aiohttp.ClientResponse:
        head_s = self._limits.head_timeout_s
        loop = asyncio.get_running_loop()
        known = data is None or isinstance(data, bytes)
        with _as_faults("the answer's head"):
            try:
                async with asyncio.timeout(head_s if known else None) as limit:
                    if isinstance(data, SentBody):
                        data.when_sent = lambda: _reschedule(limit, loop.time() + head_s)
                    return await self._session.request(
                        method, url, headers=headers, data=data, allow_redirects=False
                    )
            except aiohttp.ServerTimeoutError:
                raise PeerSilent(
                    f"no connection within {self._limits.connect_timeout_s:g} s"
                ) from None
            except TimeoutError:
                raise PeerSilent(f"it was silent for {head_s:g} s") from None
            finally:
                if isinstance(data, SentBody):  # an answer may come before the body was sent
                    data.when_sent = _nothing


def _reschedule(limit: asyncio.Timeout, until: float) -> None:
    if not limit.expired():
        limit.reschedule(until)


def _nothing() -> None:
    return None


@contextmanager
def _as_faults(what: str) -> Iterator[None]:
    """What the HTTP library raises, as a PeerFault about ``what``."""
    try:
        yield
    except aiohttp.ClientResponseError as error:
        raise AnswerInvalid(f"{what}: {error.message}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise PeerLost(f"{type(error).__name__}: {error}") from error


def parsed_json(text: bytes | str) -> Any:
    """Of a peer. Raises AnswerInvalid: no JSON, one that is too deep, or a number too long."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AnswerInvalid(f"it is not JSON ({error})") from error
