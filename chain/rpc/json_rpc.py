"""CometBFT JSON-RPC over web3's HTTP provider (protocol 05 §1, §6).

Every library error is translated here: above this module there is an answer, a refusal of the
node (``RpcRefused``, ``QueryRefused``), ChainUnavailable or ChainAnswerInvalid.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from greenray.chain.rpc.settings import DEFAULT_MAX_ANSWER_BYTES
from greenray.peer.faults import AnswerInvalid, PeerFault, PeerSilent
from greenray.protocol.errors import ChainAnswerInvalid, ChainError, ChainUnavailable
from greenray.protocol.foreign_text import printable

if TYPE_CHECKING:
    from greenray.chain.rpc.web3_provider import OneSessionProvider

TRIES = 3
FIRST_RETRY_DELAY_S = 0.1
MAX_BATCH = 64
"""Requests of one array."""
_BUSY = 429
"""The HTTP status that asks to come again."""
_INT64 = 2**63


class RpcRefused(Exception):
    """The node answered with a JSON-RPC error. ``text`` is its data, where the node says why."""

    def __init__(self, method: str, code: int, message: str, text: str) -> None:
        super().__init__(method, code, message, text)
        self.method = method
        self.code = code
        self.message = message
        self.text = text

    def __str__(self) -> str:
        return f"{self.method}: {self.code} {self.message}: {self.text}"


class QueryRefused(Exception):
    """An ABCI query ended with a code other than 0."""

    def __init__(self, path: str, codespace: str, code: int, log: str, height: int) -> None:
        """``height``: of the state that was asked; 0: unknown."""
        super().__init__(path, codespace, code, log, height)
        self.path = path
        self.codespace = codespace
        self.code = code
        self.log = log
        self.height = height

    def __str__(self) -> str:
        return f"{self.path}: {self.codespace}/{self.code}: {self.log}"


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request that leaves with the others of its moment."""

    method: str
    params: dict[str, Any] | list[Any]
    answer: asyncio.Future[Any]


class JsonRpc:
    """One node. Connections are kept alive; used from one event loop.

    What is asked at the same moment travels as one JSON-RPC array: a node answers an array of reads
    in the time in which HTTP alone takes a few of them.

    Every request that this project makes may be repeated (reads, and transactions whose bytes are
    their identity), so a lost connection is retried briefly, and so is a node that is busy. A
    timeout is not: the caller's patience is the limit.
    """

    def __init__(
        self, endpoint: str, timeout_s: float, max_answer_bytes: int = DEFAULT_MAX_ANSWER_BYTES
    ) -> None:
        self.endpoint = endpoint
        self._timeout_s = timeout_s
        self._max_answer_bytes = max_answer_bytes
        self._provider: OneSessionProvider | None = None
        self._waiting: list[_Waiting] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def request(self, method: str, params: dict[str, Any] | list[Any]) -> Any:
        """The ``result`` of the answer.

        Raises:
            RpcRefused: the node answered with an error.
            ChainUnavailable: no answer came.
            ChainAnswerInvalid: what came is not a JSON-RPC answer.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(method, params, loop.create_future())
        if not self._waiting:
            loop.call_soon(self._send_waiting)
        self._waiting.append(waiting)
        return self._result(method, await waiting.answer)

    async def request_once(self, method: str, params: Sequence[dict[str, Any]]) -> list[Any]:
        """Call a method with each of ``params``, in that order, by sending one array once; results,
        and the RpcRefused of those that the node refused.

        Raises:
            ChainUnavailable, ChainAnswerInvalid: as ``request``; any of them may have taken effect.
        """
        answers = await self._post([(method, one) for one in params], tries=1)
        return [self._result_or_refusal(method, answer) for answer in answers]

    def _result_or_refusal(self, method: str, answer: Any) -> Any:
        try:
            return self._result(method, answer)
        except RpcRefused as error:
            return error

    def _result(self, method: str, answer: Any) -> Any:
        if not isinstance(answer, dict):
            raise self.invalid(f"{method}: the answer is not a JSON object")
        error = answer.get("error")
        if error is not None:
            raise self._refusal(method, error)
        if "result" not in answer:
            raise self.invalid(f"{method}: the answer has neither result nor error")
        return answer["result"]

    async def abci_query(self, path: str, request: bytes) -> tuple[bytes, int]:
        """The protobuf answer to a query of the latest state, and the height of that state (0:
        unknown).

        Raises:
            QueryRefused: the application answered with a code.
            ChainUnavailable, ChainAnswerInvalid: as ``request``.
        """
        params = {"path": path, "data": request.hex(), "height": "0", "prove": False}
        try:
            result = await self.request("abci_query", params)
        except RpcRefused as error:
            raise self.invalid(str(error)) from error
        response = self.member(result, "response", dict, path)
        height = self.integer(response, "height", path) if response.get("height") else 0
        code = self.member(response, "code", int, path)
        if code != 0:
            log = self.member(response, "log", str, path)
            codespace = self.member(response, "codespace", str, path)
            raise QueryRefused(path, codespace, code, log, height)
        return self.base64_of(response.get("value"), path), height

    async def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        provider, self._provider = self._provider, None
        if provider is not None:
            await provider.disconnect()

    def member(self, value: Any, name: str, kind: type[Any], what: str) -> Any:
        """``value[name]`` if it is of that kind: a text made printable and cut, an integer of at
        most 64 bits. Raises ChainAnswerInvalid."""
        content = value.get(name) if isinstance(value, dict) else None
        if not isinstance(content, kind) or isinstance(content, bool):
            raise self.invalid(f"{what}: the answer has no {kind.__name__} {name!r}")
        if isinstance(content, int) and not -_INT64 <= content < _INT64:
            raise self.invalid(f"{what}: {name!r} is a number of more than 64 bits")
        return printable(content) if isinstance(content, str) else content

    def integer(self, value: Any, name: str, what: str) -> int:
        """A 64-bit integer, which JSON-RPC writes as text. Raises ChainAnswerInvalid."""
        text = self.member(value, name, str, what)
        if not (text.isascii() and text.isdigit() and len(text) <= 20):
            raise self.invalid(f"{what}: {name!r} is not a decimal number")
        return int(text)

    def base64_of(self, value: Any, what: str) -> bytes:
        """Base64 or null, which is empty. Raises ChainAnswerInvalid."""
        if value is None:
            return b""
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError, TypeError) as error:
            raise self.invalid(f"{what}: the answer is not base64") from error

    def invalid(self, what: str) -> ChainAnswerInvalid:
        return ChainAnswerInvalid(
            what, f"chain node {self.endpoint}", "Check that this is a node of the chain"
        )

    def _send_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), MAX_BATCH):
            task = asyncio.create_task(self._answer_all(waiting[first : first + MAX_BATCH]))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _answer_all(self, waiting: Sequence[_Waiting]) -> None:
        # Who gave up waiting needs no answer.
        asked = [one for one in waiting if not one.answer.done()]
        try:
            answers = await self._post([(one.method, one.params) for one in asked], TRIES)
        except Exception as error:
            for one in asked:
                if not one.answer.done():
                    one.answer.set_exception(error)
            return
        for one, answer in zip(asked, answers, strict=True):
            if not one.answer.done():
                one.answer.set_result(answer)

    async def _post(
        self, requests: Sequence[tuple[str, dict[str, Any] | list[Any]]], tries: int
    ) -> list[Any]:
        """The answers in the order of the requests; a lost connection is tried ``tries`` times
        in all."""
        if not requests:
            return []
        method = requests[0][0]
        for tried in range(1, tries + 1):
            pause_s = FIRST_RETRY_DELAY_S * 2 ** (tried - 1)
            # web3 takes more than a second to import; most commands never ask the chain.
            from greenray.chain.rpc.web3_provider import NodeRefused

            try:
                return await self._connected().ask(requests)
            except NodeRefused as error:
                if error.status != _BUSY or tried == tries:
                    raise self._refused(method, error.status) from error
                pause_s = min(max(pause_s, error.retry_after_s or 0.0), self._timeout_s)
            except PeerSilent as fault:
                raise self._unavailable(method, fault) from fault
            except AnswerInvalid as fault:
                raise self.invalid(f"{method}: the answer is refused: {fault}") from fault
            except PeerFault as fault:
                if tried == tries:
                    raise self._unavailable(method, fault) from fault
            await asyncio.sleep(pause_s)
        raise AssertionError("every try returns or raises")

    def _refused(self, method: str, status: int) -> ChainError:
        """An HTTP status that is no answer. A redirect is none: bytes go where they were sent."""
        if status >= 500 or status == _BUSY:
            return self._unavailable(method, f"HTTP status {status}")
        return self.invalid(f"{method}: HTTP status {status}")

    def _connected(self) -> OneSessionProvider:
        if self._provider is None:
            from greenray.chain.rpc.web3_provider import OneSessionProvider

            self._provider = OneSessionProvider(
                self.endpoint, self._timeout_s, self._max_answer_bytes
            )
        return self._provider

    def _unavailable(self, method: str, reason: object) -> ChainUnavailable:
        return ChainUnavailable(
            f"{method}: {reason}",
            f"chain node {self.endpoint}",
            "Check that the node runs and the endpoint is right",
        )

    def _refusal(self, method: str, error: Any) -> Exception:
        if not isinstance(error, dict) or not isinstance(error.get("code"), int):
            return self.invalid(f"{method}: the error is not a JSON-RPC error")
        message, text = (printable(str(error.get(name, ""))) for name in ("message", "data"))
        return RpcRefused(method, error["code"], message, text)
