"""The query language of ``tx_search`` (protocol 05 §6): conditions joined with AND.

``tag = 'text'``, ``tag = number``, ``<``, ``<=``, ``>``, ``>=``, ``CONTAINS 'text'``, ``EXISTS``;
numbers may also be ``TIME`` and ``DATE``. A text cannot hold quotes, and words count in any case.

A grammar of the kind that the node uses remembers, for its error text, the rule that got farthest:
so every rule here says where it ended, also when what follows fails and another one is tried.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_TAG = re.compile(r"[^ \t\n\r\\()\"'=><]+")
_TEXT = re.compile(r"'[^\"']*'")
_COMPARISONS = ("<=", ">=", "<", ">")
_RULES = {"<=": "le", ">=": "ge", "<": "l", ">": "g", "=": "equal"}


class QuerySyntaxError(ValueError):
    """Worded as the real parser words it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A TIME or DATE. No attribute of an event is one, so that nothing compares with it."""

    text: str


Operand = str | int | float | Moment | None


@dataclass(frozen=True, slots=True)
class Condition:
    """``operator``: a comparison, CONTAINS or EXISTS (whose ``operand`` is None)."""

    tag: str
    operator: str
    operand: Operand


def parse_query(query: str) -> list[Condition]:
    """Raises QuerySyntaxError."""
    return _Parser(query).parse()


class _Parser:
    """Methods that read a rule return the position behind it, or None when it does not match."""

    def __init__(self, query: str) -> None:
        # The node puts the query into quotes, and counts symbols with them.
        self._text = f'"{query}"'
        self._farthest = ("Unknown", 0, 0)

    def parse(self) -> list[Condition]:
        conditions: list[Condition] = []
        position: int | None = 1
        while position is not None:
            found = self._condition(position)
            if found is None:
                break
            condition, position = found
            conditions.append(condition)
            if position == len(self._text) - 1:
                return conditions
            position = self._and(position)
        raise QuerySyntaxError(self._error_text())

    def _condition(self, start: int) -> tuple[Condition, int] | None:
        tag = _TAG.match(self._text, start)
        if tag is None:
            return None
        self._ended("PegText", start, tag.end())
        position = self._spaces(tag.end())
        for operator in (*_COMPARISONS, "="):
            behind = self._word(position, operator, _RULES[operator])
            operand = None if behind is None else self._operand(self._spaces(behind), operator)
            if operand is not None:
                return Condition(tag.group(), operator, operand[0]), operand[1]
        behind = self._word(position, "CONTAINS", "contains")
        text = None if behind is None else self._quoted(self._spaces(behind))
        if text is not None:
            return Condition(tag.group(), "CONTAINS", text[0]), text[1]
        behind = self._word(position, "EXISTS", "exists")
        return None if behind is None else (Condition(tag.group(), "EXISTS", None), behind)

    def _operand(self, position: int, operator: str) -> tuple[Operand, int] | None:
        readers: list[Callable[[int], tuple[Operand, int] | None]] = [self._number, self._moment]
        if operator == "=":
            readers.append(self._quoted)
        return next((found for read in readers if (found := read(position))), None)

    def _number(self, start: int) -> tuple[Operand, int] | None:
        if self._text[start] == "0":
            self._ended("PegText", start, start + 1)
            return 0, start + 1
        if self._text[start] not in "123456789":
            return None
        position = self._digits(start + 1)
        if self._text[position] != ".":
            self._ended("PegText", start, position)
            return int(self._text[start:position]), position
        position = self._digits(position + 1)
        self._ended("PegText", start, position)
        return float(self._text[start:position]), position

    def _digits(self, position: int) -> int:
        while (behind := self._one_of(position, "0123456789", "digit")) is not None:
            position = behind
        return position

    def _moment(self, start: int) -> tuple[Operand, int] | None:
        for word, reader in (("TIME ", self._time), ("DATE ", self._date)):
            behind = self._same_word(start, word)
            end = None if behind is None else reader(behind)
            if behind is not None and end is not None:
                self._ended("PegText", behind, end)
                return Moment(self._text[behind:end]), end
        return None

    def _date(self, start: int) -> int | None:
        parts = (("12", "9", "9", "9"), ("01", "9"), ("0123", "9"))
        position: int | None = start
        for rule, part in zip(("year", "month", "day"), parts, strict=True):
            begin = position
            position = self._pattern(position, part)
            if position is None or begin is None:
                return None
            self._ended(rule, begin, position)
            if rule != "day":
                position = self._literal(position, "-")
        return position

    def _time(self, start: int) -> int | None:
        position = self._pattern(self._date(start), tuple("T99:99:99"))
        if position is None:
            return None
        if self._text[position] in "-+":
            return self._pattern(position + 1, tuple("99:99"))
        return self._literal(position, "Z")

    def _pattern(self, start: int | None, parts: tuple[str, ...]) -> int | None:
        """``9`` is the rule of a digit; other parts are the characters allowed there."""
        position = start
        for part in parts:
            if position is None:
                return None
            if part == "9":
                position = self._one_of(position, "0123456789", "digit")
            else:
                position = position + 1 if self._text[position] in part else None
        return position

    def _quoted(self, start: int) -> tuple[Operand, int] | None:
        match = _TEXT.match(self._text, start)
        if match is None:
            return None
        self._ended("PegText", start, match.end())
        return match.group()[1:-1], match.end()

    def _and(self, start: int) -> int | None:
        position = self._spaces(start)
        behind = None if position == start else self._word(position, "AND", "and")
        if behind is None or self._text[behind] != " ":
            return None
        return self._spaces(behind)

    # --- characters ---

    def _spaces(self, position: int) -> int:
        while self._text[position] == " ":
            position += 1
        return position

    def _word(self, start: int, word: str, rule: str) -> int | None:
        end = self._same_word(start, word)
        if end is not None:
            self._ended(rule, start, end)
        return end

    def _same_word(self, start: int, word: str) -> int | None:
        end = start + len(word)
        return end if self._text[start:end].upper() == word else None

    def _literal(self, position: int, character: str) -> int | None:
        return position + 1 if self._text[position] == character else None

    def _one_of(self, position: int, characters: str, rule: str) -> int | None:
        if self._text[position] not in characters:
            return None
        self._ended(rule, position, position + 1)
        return position + 1

    def _ended(self, rule: str, start: int, end: int) -> None:
        if end > self._farthest[2]:
            self._farthest = (rule, start, end)

    def _error_text(self) -> str:
        rule, start, end = self._farthest
        quoted = _go_quoted(self._text[start:end])
        return f"\nparse error near {rule} ({self._place(start)} - {self._place(end)}):\n{quoted}\n"

    def _place(self, position: int) -> str:
        before = self._text[: position + 1]
        line = before.count("\n") + 1
        return f"line {line} symbol {len(before) - before.rfind(chr(10)) - 1}"


def _go_quoted(text: str) -> str:
    """As Go's strconv.Quote: what is not printable is escaped."""
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    shown = []
    for character in text:
        if character in short:
            shown.append(short[character])
        elif character.isprintable():
            shown.append(character)
        else:
            code = ord(character)
            kind, width = ("x", 2) if code < 0x80 else ("u", 4) if code < 0x10000 else ("U", 8)
            shown.append(f"\\{kind}{code:0{width}x}")
    return '"' + "".join(shown) + '"'
