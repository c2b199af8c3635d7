"""What ``tx_search`` finds (protocol 05 §6).

The node intersects conditions by *event*, not by transaction: two conditions on attributes meet
only where one event has both. ``tx.height`` beside other conditions narrows them by height.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from greenray.chain.addresses import InvalidAddress, parse_hex
from greenray.chain.local.ledger.state import ChainDatabase, TagPosition
from greenray.chain.local.query_language import Condition, Operand

TX_HASH, TX_HEIGHT = "tx.hash", "tx.height"
_GO_TYPES = {str: "string", int: "int64", float: "float64", type(None): "nil"}
# Only values that are plain numbers compare with a number.
_IS_NUMBER = "value GLOB '[0-9]*' AND NOT value GLOB '*[^0-9]*'"

Position = tuple[int, int]
"""(height, position in the block)."""


class SearchFault(ValueError):
    """The node answers with an error; the text is its own."""


class SearchPanic(Exception):
    """The node's handler panics: an operand is of a type that it does not expect."""


@dataclass(slots=True)
class _Range:
    """Bounds included; None: no bound."""

    lowest: Operand = None
    highest: Operand = None

    def narrow(self, condition: Condition) -> None:
        """A later bound on one side replaces the earlier one."""
        operand = condition.operand
        step = {"<": -1, ">": 1}.get(condition.operator, 0)
        bound = operand + step if isinstance(operand, int) else operand
        if condition.operator in ("<", "<="):
            self.highest = bound
        else:
            self.lowest = bound

    def where(self, column: str) -> tuple[str, list[int]] | None:
        """An SQL condition and its arguments; None when a bound is no integer."""
        bounds = [(">=", self.lowest), ("<=", self.highest)]
        given = [(operator, bound) for operator, bound in bounds if bound is not None]
        numbers = [bound for _, bound in given if isinstance(bound, int)]
        if len(numbers) < len(given):
            return None
        return " AND ".join(f"{column} {operator} ?" for operator, _ in given), numbers


def find(database: ChainDatabase, conditions: Sequence[Condition]) -> list[Position]:
    """The transactions that meet all conditions, oldest first.

    Raises:
        SearchFault, SearchPanic: where the node does.
    """
    for condition in conditions:
        if condition.tag == TX_HASH:
            # The node looks at nothing else then.
            return _by_hash(database, condition.operand)
    heights, others = _split(conditions)
    if not others:
        return sorted(_at_heights(database, heights))
    found = _intersect(database, others)
    if heights:
        allowed = _at_heights(database, heights)
        found = {place for place in found if place[:2] in allowed}
    return sorted({(height, position) for height, position, _ in found})


def _split(conditions: Sequence[Condition]) -> tuple[list[Condition], list[Condition]]:
    """Comparisons of the height, and everything else. A range makes the node forget equalities;
    without one the first equality counts, unless it is 0 beside other conditions."""
    heights = [c for c in conditions if c.tag == TX_HEIGHT and c.operator in _COMPARED]
    others = [c for c in conditions if c not in heights]
    ranges = [c for c in heights if c.operator != "="]
    equal = [c for c in heights if c.operator == "="][:1]
    for condition in equal:
        if not isinstance(condition.operand, int):
            raise _panic(condition.operand, "int64")
        if others and condition.operand == 0:
            equal = []
    return ranges or equal, others


_COMPARED = frozenset({"=", "<", "<=", ">", ">="})


def _at_heights(database: ChainDatabase, heights: Sequence[Condition]) -> set[Position]:
    if heights[0].operator == "=":
        return database.positions_by_height("height = ?", [_small(heights[0].operand)])
    narrowed = _Range()
    for condition in heights:
        narrowed.narrow(condition)
    where = narrowed.where("height")
    return set() if where is None else database.positions_by_height(where[0], _all_small(where[1]))


def _intersect(database: ChainDatabase, conditions: Sequence[Condition]) -> set[TagPosition]:
    ranges: dict[str, _Range] = {}
    for condition in conditions:
        if condition.operator in ("<", "<=", ">", ">="):
            ranges.setdefault(condition.tag, _Range()).narrow(condition)
    matches = [_in_range(database, tag, narrowed) for tag, narrowed in ranges.items()]
    plain = [c for c in conditions if c.operator in ("=", "CONTAINS", "EXISTS")]
    matches += [_matching(database, condition) for condition in plain]
    return set.intersection(*matches)


def _in_range(database: ChainDatabase, tag: str, narrowed: _Range) -> set[TagPosition]:
    where = narrowed.where("CAST(value AS INTEGER)")
    if where is None:
        return set()
    return database.tag_positions(tag, f"{_IS_NUMBER} AND {where[0]}", _all_small(where[1]))


def _matching(database: ChainDatabase, condition: Condition) -> set[TagPosition]:
    tag, operand = condition.tag, condition.operand
    if tag == TX_HEIGHT:
        # Heights are indexed beside the events, as one that no attribute belongs to.
        part = "" if condition.operator == "EXISTS" else str(operand)
        rows = database.positions_by_height("instr(CAST(height AS TEXT), ?) > 0", [part])
        return {(height, position, -1) for height, position in rows}
    if condition.operator == "EXISTS":
        return database.tag_positions(tag)
    if condition.operator == "CONTAINS":
        return database.tag_positions(tag, "instr(value, ?) > 0", [str(operand)])
    text = _number_text(operand) if isinstance(operand, int | float) else operand
    if not isinstance(text, str):
        return set()
    # The node searches keys that start with the value and a slash.
    return database.tag_positions(
        tag, "value = ? OR (value >= ? AND value < ?)", [text, f"{text}/", f"{text}0"]
    )


def _number_text(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def _by_hash(database: ChainDatabase, operand: Operand) -> list[Position]:
    if not isinstance(operand, str):
        raise _panic(operand, "string")
    try:
        tx_hash = parse_hex(operand)
    except InvalidAddress as error:
        raise SearchFault(f"error during searching for a hash in the query: {error}") from error
    if not tx_hash:
        text = "error while retrieving the result: transaction hash cannot be empty"
        raise SearchFault(text)
    stored = database.transaction(tx_hash)
    return [] if stored is None else [(stored.height, stored.position)]


def _panic(operand: Operand, wanted: str) -> SearchPanic:
    given = _GO_TYPES.get(type(operand), "time.Time")
    return SearchPanic(f"interface conversion: interface {{}} is {given}, not {wanted}")


def _small(number: Operand) -> int:
    """SQLite's integers have 64 bits; a larger bound admits as much as the largest."""
    assert isinstance(number, int)
    return min(number, 2**63 - 1)


def _all_small(numbers: Sequence[int]) -> list[int]:
    return [_small(number) for number in numbers]
