"""Percent escapes as Go's net/url reads and writes them, byte for byte.

What an escape stands for and how a byte is written are looked up, so that the loop over the bytes
of a request line, which anybody may send, is the interpreter's own.
"""

from __future__ import annotations

_ALWAYS_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")
_DIGITS = "0123456789abcdefABCDEF"
_BYTES = {f"{high}{low}".encode(): bytes.fromhex(high + low) for high in _DIGITS for low in _DIGITS}


def _written(safe: frozenset[int]) -> tuple[str, ...]:
    return tuple(chr(byte) if byte in safe else f"%{byte:02X}" for byte in range(256))


PATH_SAFE = _written(_ALWAYS_SAFE | {ord("/")})
QUERY_SAFE = _written(_ALWAYS_SAFE)


def escape(data: bytes, written: tuple[str, ...]) -> str:
    """``written``: PATH_SAFE or QUERY_SAFE, how each byte is written."""
    return "".join(map(written.__getitem__, data))


def unescape(text: str, *, plus_is_space: bool = False) -> str:
    """``text`` with its escapes decoded; UTF-8 with surrogateescape.

    Raises:
        ValueError: a ``%`` is not followed by two hex digits.
    """
    if plus_is_space:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    first, *rest = text.encode("utf-8", "surrogateescape").split(b"%")
    try:
        decoded = [_BYTES[part[:2]] + part[2:] for part in rest]
    except KeyError:
        raise ValueError("a percent sign is not followed by two hex digits") from None
    return b"".join([first, *decoded]).decode("utf-8", "surrogateescape")
