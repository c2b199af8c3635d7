"""Refusals of the chain: codespace, code and log exactly as a node words them (04 §11).

The texts of the modules that differ between dialects are with their rules.
"""

from __future__ import annotations

SDK_TEXTS = {
    2: "tx parse error",
    4: "unauthorized",
    5: "insufficient funds",
    6: "unknown request",
    7: "invalid address",
    8: "invalid pubkey",
    9: "unknown address",
    10: "invalid coins",
    11: "out of gas",
    12: "memo too large",
    13: "insufficient fee",
    14: "maximum number of signatures exceeded",
    15: "no signatures supplied",
    18: "invalid request",
    21: "tx too large",
    22: "key not found",
    26: "invalid height",
    29: "invalid type",
    30: "tx timeout height",
    31: "unknown extension options",
    32: "incorrect account sequence",
    38: "not found",
    41: "invalid gas limit",
}


class ChainFault(Exception):
    """A refusal: what a node answers as codespace, code and log."""

    def __init__(self, codespace: str, code: int, log: str) -> None:
        super().__init__(codespace, code, log)
        self.codespace = codespace
        self.code = code
        self.log = log


class NilPointer(Exception):
    """A node panics here."""


def wrapped(codespace: str, code: int, root: str, text: str = "") -> ChainFault:
    """The error ``codespace/code`` with the registered text ``root``, wrapped by ``text`` as the Go
    code wraps it."""
    return ChainFault(codespace, code, f"{text}: {root}" if text else root)


def sdk(code: int, text: str = "") -> ChainFault:
    """An error of codespace ``sdk``."""
    return wrapped("sdk", code, SDK_TEXTS[code], text)


def panic(text: str) -> ChainFault:
    """What becomes of a message at which the node panics."""
    return wrapped("undefined", 111222, "panic", text)
