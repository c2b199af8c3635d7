"""Reading committed state for a query, and what queries of all modules do alike (protocol 05)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

from greenray.chain import wire
from greenray.chain.addresses import InvalidAddress, parse_address
from greenray.chain.local.ledger.faults import sdk
from greenray.chain.local.ledger.state import ChainDatabase

DEFAULT_LIST_LIMIT = 100
MAX_LIST_LIMIT = 200
# gRPC status -> sdk error code (protocol 05 §1)
NOT_FOUND, INVALID_ARGUMENT, UNKNOWN = "NotFound", "InvalidArgument", "Unknown"
INTERNAL = "Internal"
_CODES = {NOT_FOUND: 22, INVALID_ARGUMENT: 18, UNKNOWN: 6, INTERNAL: 6}


class StateAt:
    """Committed state as of a height."""

    def __init__(self, database: ChainDatabase, height: int | None) -> None:
        self.database = database
        self.height = height

    def get(self, kind: str, key: bytes) -> bytes | None:
        if self.height is None:
            return self.database.get(kind, key)
        return self.database.get_at(kind, key, self.height)

    @property
    def state(self) -> StateAt:
        """Itself: what asks in a transaction finds the state in the same place."""
        return self

    @property
    def time_ns(self) -> int:
        """The time of the block at this height."""
        return self._time_ns(self.height or self.database.last_height())

    @property
    def first_block_time_ns(self) -> int:
        """The time at which the genesis began to count."""
        return self._time_ns(self.database.first_height())

    def _time_ns(self, height: int) -> int:
        stored = self.database.block(height)
        assert stored is not None
        header = wire.tendermint_types.Block.FromString(stored.block).header
        return int(header.time.seconds) * 1_000_000_000 + int(header.time.nanos)

    def put(self, kind: str, key: bytes, value: bytes | None) -> None:
        self.database.put(kind, key, value)

    def scan(self, kind: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return self.database.scan(kind, prefix, height=self.height)

    def page(self, kind: str, prefix: bytes, request: Any) -> tuple[list[bytes], Any]:
        """The values of one page and its PageResponse (cosmos pagination)."""
        check_place(request)
        limit = request.limit or DEFAULT_LIST_LIMIT
        count = request.count_total or (not request.limit and not request.key)
        rows = self.database.scan(
            kind,
            prefix,
            start=prefix + request.key if request.key else b"",
            height=self.height,
            reverse=request.reverse,
        )
        values: list[bytes] = []
        response = wire.query.PageResponse()
        total = 0
        first = 0 if request.key else request.offset
        for position, (key, value) in enumerate(rows):
            total += 1
            if first <= position < first + limit:
                values.append(value)
            elif position == first + limit:
                response.next_key = key[len(prefix) :]
                if not count or request.key:
                    break
        if count and not request.key:
            response.total = total
        return values, response


def fail(status: str, text: str, *, prefixed: bool = False) -> NoReturn:
    """A gRPC error as abci_query shows it; errors that carry a status say so in their text."""
    shown = f"rpc error: code = {status} desc = {text}" if prefixed else text
    raise sdk(_CODES[status], shown)


def queried_address(text: str) -> bytes:
    try:
        return parse_address(text)
    except InvalidAddress as error:
        raise sdk(18, str(error)) from error


def check_place(page: Any) -> None:
    if page.offset and page.key:
        text = "invalid request, either offset or key is expected, got both"
        fail(INTERNAL, text, prefixed=True)


def check_limit(page: Any) -> None:
    """What lists of Greenfield's own modules check. Raises ChainFault (sdk/18)."""
    if page.limit > MAX_LIST_LIMIT:
        fail(INVALID_ARGUMENT, f"exceed pagination limit {MAX_LIST_LIMIT}", prefixed=True)
