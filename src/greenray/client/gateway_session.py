"""Signed HTTP requests to a gateway, and its answers as typed errors (protocol 06 §2, §5)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import MappingProxyType
from typing import Any

from aiohttp.payload import Payload
from yarl import URL

from greenray.chain.crypto import keccak256, sign_digest
from greenray.client.admission import PATIENCE_S, admitted
from greenray.peer.error_text import xml_element
from greenray.peer.faults import AnswerInvalid, AnswerTooLong, PeerFault, PeerSilent
from greenray.peer.session import AnswerLimits, PeerAnswer, PeerSession, parsed_json
from greenray.protocol.errors import (
    BadAnswer,
    ComponentUnavailable,
    GreenrayError,
    InvalidSetting,
    Overloaded,
    PayloadSizeMismatch,
)
from greenray.protocol.foreign_text import printable, printable_values
from greenray.protocol.gateway_request import GatewayRequest
from greenray.protocol.http_auth import (
    EMPTY_SHA256,
    canonical_request,
    encode_path,
    format_authorization,
    message_to_sign,
)
from greenray.protocol.request_query import RequestQuery

ERROR_HEADER = "X-Greenray-Error"
ANSWER_LIMITS = AnswerLimits(connect_timeout_s=10.0, head_timeout_s=120.0, stall_timeout_s=120.0)
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""Of the JSON about an object: a timeline has a line for each batch."""

_UNAVAILABLE = 503
_MAX_CHARACTERS = 200
"""Of an error whose form is unknown."""


class GatewaySession:
    """One gateway and one user key. ``endpoint``: ``http(s)://host[:port]``; without a scheme
    ``https://`` is meant, as for the endpoints on chain."""

    def __init__(
        self,
        endpoint: str,
        private_key: bytes | None,
        *,
        clock: Callable[[], float] = time.time,
        patience_s: float = PATIENCE_S,
        limits: AnswerLimits = ANSWER_LIMITS,
    ) -> None:
        """``private_key`` None: anonymous, for public objects only. Raises InvalidSetting."""
        url = URL(endpoint if "://" in endpoint else f"https://{endpoint}")
        if url.scheme not in ("http", "https") or not url.host:
            raise InvalidSetting(
                f"{endpoint!r} is not an HTTP endpoint", "gateway", "Use http://host:port."
            )
        self._base = url.origin()
        self._host = self._base.authority
        self._private_key = private_key
        self._clock = clock
        self._patience_s = patience_s
        self._limits = limits
        self._session: PeerSession | None = None

    @property
    def endpoint(self) -> str:
        return str(self._base)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        data: Payload | None = None,
    ) -> AsyncIterator[GatewayAnswer]:
        """A 200 or 206 answer. ``path`` is decoded; ``query`` as it stands in the URL. ``data`` can
        be written more than once. A gateway that has too much to do is asked again after as long as
        it says, for ``patience_s`` in all.

        Raises:
            ComponentUnavailable: nobody answers, or the connection broke.
            Overloaded: the gateway had too much to do all the time.
            BadAnswer, or the error that the gateway names: any other status, a redirect as well.
        """
        async with AsyncExitStack() as stack:
            answer = await admitted(
                lambda: stack.enter_async_context(
                    self._request_once(method, path, query, headers, data)
                ),
                path,
                self._patience_s,
            )
            yield answer

    @asynccontextmanager
    async def _request_once(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str] | None,
        data: Payload | None,
    ) -> AsyncIterator[GatewayAnswer]:
        sent = self.signed_headers(method, path, query, headers or {})
        target = URL(f"{self._base}{encode_path(path)}{'?' + query if query else ''}", encoded=True)
        async with AsyncExitStack() as stack:
            with _own_errors(str(target)):
                answer = await stack.enter_async_context(
                    self._peers().request(method, target, headers=sent, data=data)
                )
                if answer.status not in (200, 206):
                    body = await answer.beginning()
                    raise answer_error(answer.status, body, answer.headers, str(target))
            yield GatewayAnswer(answer, str(target))

    def _peers(self) -> PeerSession:
        if self._session is None:
            self._session = PeerSession(self._limits, buffer_bytes=1024 * 1024)
        return self._session

    def signed_request(
        self, sp_address: str, method: str, path: str, extra: Mapping[str, str]
    ) -> GatewayRequest:
        """What the gateway of ``sp_address`` would receive, for a way without HTTP."""
        headers = self.signed_headers(method, path, "", extra)
        return GatewayRequest(
            sp_address, "", method, path, RequestQuery(), self._host, tuple(headers.items())
        )

    def signed_headers(
        self, method: str, path: str, query: str, extra: Mapping[str, str]
    ) -> dict[str, str]:
        """All headers of a request, ``extra`` among them, with its signature."""
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock()))
        headers = {
            "Host": self._host,
            "Content-Type": "application/octet-stream",
            "X-Gnfd-Content-Sha256": EMPTY_SHA256,
            "X-Gnfd-Date": date,
            **extra,
        }
        if self._private_key is not None:
            canonical = canonical_request(method, path, query, headers.items(), self._host)
            message = message_to_sign(canonical, keccak256)
            signature = sign_digest(self._private_key, message)
            headers["Authorization"] = format_authorization(message, signature)
        return headers


class GatewayAnswer:
    """One that is no error. Its methods raise BadAnswer (it is too long, or not what was asked for)
    and ComponentUnavailable (it breaks off, or comes too slowly)."""

    def __init__(self, answer: PeerAnswer, where: str) -> None:
        self._answer = answer
        self._where = where

    @property
    def status(self) -> int:
        """200, or 206."""
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    async def blocks(self, size_bytes: int) -> AsyncIterator[bytes]:
        """The body as it comes. Raises PayloadSizeMismatch as soon as it is longer than
        ``size_bytes``; whether it is shorter shows at its end."""
        blocks = self._answer.blocks(size_bytes)
        while True:
            with _own_errors(self._where):
                try:
                    block = await anext(blocks, b"")
                except AnswerTooLong as fault:
                    raise PayloadSizeMismatch(
                        f"the answer is longer than the object ({fault})",
                        self._where,
                        "Get it again, from another gateway if need be.",
                    ) from None
            if not block:
                return
            yield block

    async def document(self) -> Any:
        """The body as JSON, every text in it printable and cut."""
        return printable_values(await self.plain_document())

    async def plain_document(self) -> Any:
        """The body as JSON, its texts as they came: for names, which are asked for again."""
        with _own_errors(self._where):
            return await self._answer.json(MAX_DOCUMENT_BYTES)


@contextmanager
def _own_errors(where: str) -> Iterator[None]:
    """What is wrong with the gateway, in the client's words."""
    try:
        yield
    except PeerSilent as fault:
        raise ComponentUnavailable(
            f"the gateway does not answer in time: {fault}", where, "Try again."
        ) from fault
    except AnswerInvalid as fault:
        raise BadAnswer(f"the answer is refused: {fault}", where) from fault
    except PeerFault as fault:
        raise ComponentUnavailable(
            f"the gateway does not answer ({fault})",
            where,
            "See that it is running (greenray up) and try again.",
        ) from fault


def answer_error(status: int, body: str, headers: Mapping[str, str], where: str) -> GreenrayError:
    """What an answer other than success says: the fact that a greenray gateway names in its error
    header, else a BadAnswer with the HTTP status, code and message."""
    code, message = xml_element("Code", body), xml_element("Message", body)
    if not code:
        message = body[:_MAX_CHARACTERS]
    answered = printable(f"HTTP {status} {code}".rstrip() + (f": {message}" if message else ""))
    said = _said(headers.get(ERROR_HEADER, ""))
    error_type = _BY_REASON.get(str(said.get("reason")), BadAnswer)
    after_s = _seconds(headers.get("Retry-After", ""))
    # Of somebody else's gateway, or one that names no reason, it is what the status means.
    if status == _UNAVAILABLE and error_type in (Overloaded, BadAnswer):
        return Overloaded(
            str(said.get("message", answered)), where, "Try again later", after_s or 1.0
        )
    if error_type is BadAnswer:
        return BadAnswer(answered, where, "See the gateway's log.")
    error = error_type(printable(str(said.get("message", message))), where, f"({answered})")
    error.retry_after_s = after_s
    return error


def error_for_reason(reason: str, message: str, where: str, next_step: str = "") -> GreenrayError:
    """The error whose ``reason`` a status document carries."""
    return _BY_REASON.get(reason, GreenrayError)(message, where, next_step)


def _seconds(retry_after: str) -> float:
    """0 when it is no number of them; a date is not worth reading."""
    is_number = retry_after.isascii() and retry_after.isdecimal() and len(retry_after) < 10
    return min(float(retry_after), PATIENCE_S) if is_number else 0.0


def _said(header: str) -> Mapping[str, Any]:
    try:
        value = parsed_json(header) if header else {}
    except AnswerInvalid:
        return {}
    return value if isinstance(value, dict) else {}


def _subclasses(error_type: type[GreenrayError]) -> Iterator[type[GreenrayError]]:
    for subclass in error_type.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


_BY_REASON: Mapping[str, type[GreenrayError]] = MappingProxyType(
    {
        error_type.reason: error_type
        for error_type in _subclasses(GreenrayError)
        if "reason" in vars(error_type)
    }
)
