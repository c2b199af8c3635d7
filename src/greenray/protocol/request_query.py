"""The query of a request, parsed once: what is signed of it is what is routed by."""

from __future__ import annotations

from dataclasses import dataclass

from greenray.protocol.errors import InvalidQuery
from greenray.protocol.percent_encoding import unescape

MAX_PAIRS = 100
"""In one query. No request of the protocol has more than four."""


@dataclass(frozen=True, slots=True)
class RequestQuery:
    pairs: tuple[tuple[str, str], ...] = ()
    """Decoded, in order; text is UTF-8 with surrogateescape."""

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self.pairs)

    def value(self, name: str) -> str:
        """The first one, or an empty text. Values of one name are signed in their order."""
        return next((value for key, value in self.pairs if key == name), "")


def parse_query(raw_query: str) -> RequestQuery:
    """The pairs of a query without its ``?``, as Go's url.ParseQuery reads them: what it cannot
    parse (a broken escape, a semicolon) is left out.

    Raises:
        InvalidQuery: there are more than MAX_PAIRS.
    """
    if raw_query.count("&") >= MAX_PAIRS:
        raise InvalidQuery(f"the query has more than {MAX_PAIRS} pairs")
    pairs = []
    for pair in raw_query.split("&"):
        if not pair or ";" in pair:
            continue
        key, _, value = pair.partition("=")
        try:
            pairs.append((unescape(key, plus_is_space=True), unescape(value, plus_is_space=True)))
        except ValueError:
            continue
    return RequestQuery(tuple(pairs))


def parse_routed_query(raw_query: str) -> RequestQuery:
    """``parse_query`` for who acts on the query.

    Raises:
        InvalidQuery: also for a semicolon: to some it ends a pair, and what stands behind it is
            not signed.
    """
    if ";" in raw_query:
        raise InvalidQuery(
            "the query has a semicolon, which not all readers take for the same",
            "",
            "Escape it as %3B.",
        )
    return parse_query(raw_query)
