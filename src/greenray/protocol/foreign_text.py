"""Text that somebody else wrote, before it reaches a terminal, a log, an error or a document.

A peer's text may hold escape sequences that write into the clipboard or over what stands above,
ends of lines that fake a line of ours, directions that turn words round, and a gigabyte of it.
"""

from __future__ import annotations

from typing import Any

MAX_TEXT_CHARACTERS = 2000
"""Of one text of a peer: what is longer is cut."""

_CUT = " ... (cut)"
_BLANKS = str.maketrans("\t\n\v\f\r", "     ")


def printable(text: str, limit: int = MAX_TEXT_CHARACTERS) -> str:
    """In one line, cut to ``limit`` characters, with what cannot be printed written as Python
    escapes it. What is printable already stays as it is."""
    if len(text) > limit:
        text = text[: limit - len(_CUT)] + _CUT
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text.translate(_BLANKS))


def printable_lines(text: str) -> str:
    """The same line by line and uncut: for text with line ends of our own."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "\n".join(printable(line, len(line)) for line in text.split("\n"))


def printable_values(document: Any, limit: int = MAX_TEXT_CHARACTERS) -> Any:
    """What ``json.loads`` gave, with all its texts printable, those of members' names as well.

    As deep as a parser goes that has a limit of its own: ``json.loads`` of CPython.
    """
    if isinstance(document, str):
        return printable(document, limit)
    if isinstance(document, dict):
        return {
            printable(name, limit): printable_values(value, limit)
            for name, value in document.items()
        }
    if isinstance(document, list):
        return [printable_values(value, limit) for value in document]
    return document


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
