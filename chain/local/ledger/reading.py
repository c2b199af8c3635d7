"""Reading committed state for a query, and what queries of all modules do alike (protocol 05)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

from greenray.chain import wire
from greenray.chain.addresses import InvalidAddress, parse_address
from greenray.chain.local.ledger.faults import sdk
from greenray.chain.local.ledger.state import ChainDatabase

DEFAULT_LIST_LIMIT = 100
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


# A base prefix, or a leading zero for octal; single underscores behind it and between digits.
_GO_INTEGER = re.compile(
    r"([+-]?)(?:(0[xX])((?:_?[0-9a-fA-F])+)|(0[bB])((?:_?[01])+)|(0[oO])((?:_?[0-7])+)"
    r"|(0)((?:_?[0-7])+)|((?:[1-9](?:_?[0-9])*|0)))",
    re.ASCII,
)
_MAX_DECIMAL_DIGITS = 1000
"""More are no id, and Python refuses to read very many."""
_BASES = {"0x": 16, "0b": 2, "0o": 8, "0": 8}


def go_integer(text: str) -> int | None:
    """A number as Go's big.Int reads it when its text may choose the base."""
    match = _GO_INTEGER.fullmatch(text)
    if match is None:
        return None
    sign, *parts = (part for part in match.groups() if part is not None)
    base = _BASES[parts[0].lower()] if len(parts) == 2 else 10
    digits = parts[-1].replace("_", "")
    if base == 10 and len(digits) > _MAX_DECIMAL_DIGITS:
        return None
    number = int(digits, base)
    return -number if sign == "-" else number


def check_place(page: Any) -> None:
    if page.offset and page.key:
        text = "invalid request, either offset or key is expected, got both"
        fail(INTERNAL, text, prefixed=True)
