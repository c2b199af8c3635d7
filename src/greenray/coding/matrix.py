"""The coding matrix of klauspost/reedsolomon over GF(2^8), by interpolation (protocol 01 §3.1).

The reference builds ``M = V * inverse(V[0..k-1])`` from the Vandermonde matrix ``V[r][c] = r^c``.
Row r of V evaluates a polynomial of degree < k at the point r, and ``inverse(V[0..k-1])`` finds the
polynomial that passes through the data shards at the points 0..k-1. So shard r *is* the value at
the point r, for data and parity alike, and the coefficients that make any shard from any k others
are Lagrange's: no matrix has to be inverted, and encoding and recovery are one formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from greenray.protocol.errors import InvalidShape

POLYNOMIAL = 0x11D
MAX_SHARDS = 256


def _powers_of_two() -> tuple[bytes, bytes]:
    """``EXP[i] = 2^i`` for i in 0..254, and ``LOG`` with ``LOG[2^i] = i`` (``LOG[0]`` unused)."""
    exp, log = bytearray(255), bytearray(256)
    value = 1
    for power in range(255):
        exp[power], log[value] = value, power
        value <<= 1
        if value > 0xFF:
            value ^= POLYNOMIAL
    return bytes(exp), bytes(log)


EXP, LOG = _powers_of_two()


def check_shape(k: int, m: int) -> None:
    """Raise InvalidShape unless k > 0, m >= 0 and k + m <= 256 (protocol 01 §3)."""
    if k <= 0 or m < 0 or k + m > MAX_SHARDS:
        raise InvalidShape(
            f"{k} data and {m} parity shards are not a redundancy shape",
            "",
            f"Use k > 0, m >= 0 and k + m <= {MAX_SHARDS}",
        )


@lru_cache(maxsize=512)
def combination(sources: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[bytes, ...]:
    """Rows that make the shards ``wanted`` from the k shards ``sources``.

    Shard ``wanted[i]`` is, byte by byte, the field sum of ``rows[i][j] * shard[sources[j]]``.
    ``sources`` are k distinct shard indices in 0..255. With sources 0..k-1 and wanted k..n-1 the
    rows are the reference's parity rows.
    """
    denominators = [
        sum(LOG[point ^ other] for other in sources if other != point) for point in sources
    ]
    return tuple(_row(sources, denominators, point) for point in wanted)


def _row(sources: Sequence[int], denominators: Sequence[int], wanted: int) -> bytes:
    if wanted in sources:
        return bytes(int(point == wanted) for point in sources)
    distances = [LOG[point ^ wanted] for point in sources]
    total = sum(distances)
    return bytes(
        EXP[(total - distance - denominator) % 255]
        for distance, denominator in zip(distances, denominators, strict=True)
    )
