"""web3's HTTP provider on one session of its own.

web3 takes its session from a cache behind a thread lock. A request that is cancelled while it waits
for that lock never gives it back, and all later requests hang; and each request pays for a hop to
a thread. One session per provider needs neither cache nor lock. web3 also takes whatever answer
comes, of any length, compressed, from where a redirect leads, and to another request.

Importing web3 takes a second: import this module where a node is first asked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from greenray.chain.lazy_imports import kept_recursion_limit
from greenray.peer.faults import AnswerInvalid, PeerSilent
from greenray.peer.session import AnswerLimits, PeerAnswer, PeerSession, parsed_json

with kept_recursion_limit():
    from web3 import AsyncHTTPProvider
    from web3.types import RPCEndpoint

CONNECTIONS = 64
_NO_IDS = (None, -1)
"""What a node answers with that could not read which request it refuses."""


class NodeRefused(Exception):
    """The node answered with an HTTP status other than 200. ``retry_after_s``: when it asks to be
    left alone, None: it does not say."""

    def __init__(self, status: int, retry_after_s: float | None) -> None:
        super().__init__(status, retry_after_s)
        self.status = status
        self.retry_after_s = retry_after_s


class OneSessionProvider(AsyncHTTPProvider):
    """Keeps connections alive; made and used in one event loop."""

    def __init__(self, endpoint: str, timeout_s: float, max_answer_bytes: int) -> None:
        """``timeout_s``: for one HTTP request, from connecting to the last byte."""
        super().__init__(endpoint, exception_retry_configuration=None)
        self._timeout_s = timeout_s
        self._max_answer_bytes = max_answer_bytes
        self._session = PeerSession(
            AnswerLimits(timeout_s, timeout_s, timeout_s),
            connections=CONNECTIONS,
            headers=self.get_request_headers(),
        )

    async def ask(self, requests: Sequence[tuple[str, dict[str, Any] | list[Any]]]) -> list[Any]:
        """The answers to one request, or to a JSON-RPC array of several, in their order; None for
        one that the node did not answer.

        Raises: NodeRefused, PeerFault (AnswerInvalid also for an answer to another request).
        """
        numbered = [self.form_request(RPCEndpoint(name), params) for name, params in requests]
        if len(numbered) == 1:
            answers = await self._post(json.dumps(numbered[0]).encode())
        else:
            answers = await self._post(json.dumps(numbered, separators=(",", ":")).encode())
        if isinstance(answers, list) and len(numbered) > 1:
            by_id = {answer["id"]: answer for answer in answers if _has_id(answer)}
            return [by_id.get(request["id"]) for request in numbered]
        # Also of a node that takes no arrays, or not so long ones: it refuses them all at once.
        _check_is_about(answers, [request["id"] for request in numbered])
        return [answers for _ in numbered]

    async def _post(self, body: bytes) -> Any:
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.request("POST", str(self.endpoint_uri), data=body) as answer,
            ):
                if answer.status != 200:
                    raise NodeRefused(answer.status, _retry_after_s(answer))
                text = await answer.read(self._max_answer_bytes)
        except TimeoutError:
            raise PeerSilent(f"no answer within {self._timeout_s:g} s") from None
        return parsed_json(text)

    async def disconnect(self) -> None:
        await self._session.close()


def _check_is_about(answer: Any, ids: Sequence[Any]) -> None:
    """Raises AnswerInvalid: it is no answer to the one request, and no refusal of all of them."""
    if not isinstance(answer, dict):
        return  # which its reader refuses
    found = answer.get("id")
    if len(ids) == 1 and _has_id(answer) and found == ids[0]:
        return
    if "error" in answer and (found in _NO_IDS or (_has_id(answer) and found in ids)):
        return
    raise AnswerInvalid(f"it answers request {found!r:.40}, which was not asked")


def _has_id(answer: Any) -> bool:
    if not isinstance(answer, dict):
        return False
    number = answer.get("id")
    return isinstance(number, int) and not isinstance(number, bool)


def _retry_after_s(answer: PeerAnswer) -> float | None:
    """Of whole seconds; a date is not understood."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else None
