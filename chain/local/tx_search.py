"""The query language of ``tx_search`` (protocol 05 §6): conditions joined with AND.

``tag = 'text'``, ``tag = number``, ``<``, ``<=``, ``>``, ``>=``, ``CONTAINS 'text'``, ``EXISTS``.
Values in single quotes cannot hold quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from chain.local.state import ChainDatabase

TX_HASH, TX_HEIGHT = "tx.hash", "tx.height"
_TAG = re.compile(r"\s*([^\s\\()\"'=><]+)")
_OPERATOR = re.compile(r"\s*(<=|>=|=|<|>|CONTAINS\b|EXISTS\b)")
_TEXT = re.compile(r"\s*'([^\"']*)'")
_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)")
_AND = re.compile(r"\s+AND(?=\s)")

Position = tuple[int, int]
"""(height, position in the block)."""


class QuerySyntaxError(ValueError):
    """Worded as the real parser words it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """``operand``: text, a number, or None for EXISTS."""

    tag: str
    operator: str
    operand: str | float | None


def parse_query(query: str) -> list[Condition]:
    """Raises QuerySyntaxError."""
    conditions = []
    position = 0
    while True:
        condition, position = _parse_condition(query, position)
        conditions.append(condition)
        if not query[position:].strip():
            return conditions
        match = _AND.match(query, position)
        if match is None:
            raise _syntax_error(query, "Unknown", position, len(query))
        position = match.end()


def _parse_condition(query: str, position: int) -> tuple[Condition, int]:
    tag = _TAG.match(query, position)
    if tag is None:
        raise _syntax_error(query, "Unknown", position, position)
    operator = _OPERATOR.match(query, tag.end())
    if operator is None:
        raise _syntax_error(query, "PegText", tag.start(1), tag.end(1))
    name, end = operator.group(1), operator.end()
    if name == "EXISTS":
        return Condition(tag.group(1), name, None), end
    text = _TEXT.match(query, end)
    if text is not None and name in ("=", "CONTAINS"):
        return Condition(tag.group(1), name, text.group(1)), text.end()
    number = _NUMBER.match(query, end)
    if number is not None and name != "CONTAINS":
        return Condition(tag.group(1), name, float(number.group(1))), number.end()
    rule = {"=": "equal", "CONTAINS": "contains"}.get(name, "operator")
    raise _syntax_error(query, rule, operator.start(1), operator.end(1))


def _syntax_error(query: str, rule: str, start: int, end: int) -> QuerySyntaxError:
    # The real parser counts symbols from 2, except where it read nothing.
    first, last = (1, 1) if rule == "Unknown" else (start + 2, end + 2)
    quoted = '"' + query[start:end].replace("\\", "\\\\").replace('"', '\\"') + '"'
    return QuerySyntaxError(
        f"\nparse error near {rule} (line 1 symbol {first} - line 1 symbol {last}):\n{quoted}\n"
    )


def find(database: ChainDatabase, conditions: list[Condition]) -> list[Position]:
    """The transactions that meet all conditions, oldest first."""
    found: set[Position] | None = None
    for condition in conditions:
        matching = _matching(database, condition)
        found = matching if found is None else found & matching
    return sorted(found or ())


def _matching(database: ChainDatabase, condition: Condition) -> set[Position]:
    tag, operator, operand = condition.tag, condition.operator, condition.operand
    if tag == TX_HASH:
        return _by_hash(database, operand)
    if tag == TX_HEIGHT and isinstance(operand, float):
        return database.positions_by_height(f"height {operator} ?", (int(operand),))
    if tag == TX_HEIGHT and operator == "EXISTS":
        return database.positions_by_height("1", ())
    if operator == "EXISTS":
        return database.positions("tag = ?", (tag,))
    if operator == "CONTAINS":
        return database.positions("tag = ? AND instr(value, ?) > 0", (tag, str(operand)))
    if isinstance(operand, float):
        # Only values that are plain numbers compare with a number.
        return database.positions(
            "tag = ? AND value GLOB '[0-9]*' AND NOT value GLOB '*[^0-9]*'"
            f" AND CAST(value AS INTEGER) {operator} ?",
            (tag, int(operand)),
        )
    return database.positions("tag = ? AND value = ?", (tag, str(operand)))


def _by_hash(database: ChainDatabase, operand: str | float | None) -> set[Position]:
    try:
        stored = database.transaction(bytes.fromhex(str(operand)))
    except ValueError:
        return set()
    return set() if stored is None else {(stored.height, stored.position)}
