"""What is wrong with a peer or its answer; who asked says it in an error of its own."""

from __future__ import annotations

from greenray.protocol.foreign_text import printable


class PeerFault(Exception):
    """Of one request. Its text is printable and one line."""

    def __init__(self, what: str) -> None:
        super().__init__(printable(what))


class PeerLost(PeerFault):
    """No connection, or one that broke."""


class PeerSilent(PeerFault):
    """No connection or no answer in time."""


class AnswerTooSlow(PeerSilent):
    """The body stood still, or stayed below the least rate."""


class AnswerInvalid(PeerFault):
    """Not an answer in HTTP, or not the one that was asked for."""


class AnswerTooLong(AnswerInvalid):
    """More bytes than who asked takes."""


class AnswerEncoded(AnswerInvalid):
    """Compressed, although nobody asked for it: a few bytes of it can become gigabytes."""
