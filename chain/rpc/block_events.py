"""What a node says of one block: its events, its time and the hashes of its transactions. Pure."""

from __future__ import annotations

import base64
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass
from time import strptime
from typing import Any

from greenray.chain.transactions.signing import transaction_hash
from greenray.protocol.document_form import misfit
from greenray.protocol.errors import InvalidInput
from greenray.protocol.index_changes import Stamp

_BLOCK = {"block": {"header": {"time": str}, "data": {"txs": list}}}


@dataclass(frozen=True, slots=True)
class BlockEvent:
    """``tx_index``: of its transaction in the block; None: of the block itself."""

    name: str
    attributes: Mapping[str, str]
    tx_index: int | None = None


@dataclass(frozen=True, slots=True)
class BlockHead:
    """``time_s``: unix seconds; ``tx_hashes``: ``0x`` and 64 hex digits each."""

    height: int
    time_s: int
    tx_hashes: tuple[str, ...]

    def stamp(self, event: BlockEvent) -> Stamp:
        """Raises InvalidInput: the block has no such transaction."""
        if event.tx_index is None:
            return Stamp(self.height, self.time_s)
        if event.tx_index >= len(self.tx_hashes):
            raise InvalidInput("it has more results than transactions")
        return Stamp(self.height, self.time_s, self.tx_hashes[event.tx_index])


def events_of(result: Any) -> list[BlockEvent]:
    """Of an answer to ``block_results``: of the block's begin, of its transactions that succeeded,
    and of its end. Raises InvalidInput."""
    try:
        found = [_event(one) for one in result.get("begin_block_events") or ()]
        for index, executed in enumerate(result.get("txs_results") or ()):
            if _code(executed) == 0:
                found += [_event(one, index) for one in executed.get("events") or ()]
        return found + [_event(one) for one in result.get("end_block_events") or ()]
    except (AttributeError, TypeError) as error:
        raise InvalidInput("its lists of events are none") from error


def block_head(height: int, result: Any) -> BlockHead:
    """Of an answer to ``block``. Raises InvalidInput."""
    problem = misfit(result, _BLOCK, "block")
    if problem is not None:
        raise InvalidInput(problem)
    block = result["block"]
    return BlockHead(
        height, _unix_time(block["header"]["time"]), tuple(map(_tx_hash, block["data"]["txs"]))
    )


def _event(document: Any, tx_index: int | None = None) -> BlockEvent:
    try:
        attributes = {one["key"]: one["value"] for one in document["attributes"]}
        return BlockEvent(document["type"], attributes, tx_index)
    except (KeyError, TypeError) as error:
        raise InvalidInput(f"an event has no {error}") from error


def _code(executed: Any) -> int:
    code = executed.get("code")
    if not isinstance(code, int):
        raise InvalidInput("a result of a transaction has no code")
    return code


def _unix_time(text: str) -> int:
    """Of RFC 3339 in UTC; a node writes nanoseconds as far as they are not 0."""
    try:
        return timegm(strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError as error:
        raise InvalidInput(f"{text[:80]!r} is not a time") from error


def _tx_hash(text: Any) -> str:
    try:
        return "0x" + transaction_hash(base64.b64decode(text, validate=True)).lower()
    except (TypeError, ValueError) as error:
        raise InvalidInput("a transaction is not base64") from error
