"""Rows of the coding matrix."""

from __future__ import annotations

from greenray.coding.matrix import combination


def parity_rows(k: int, m: int) -> tuple[bytes, ...]:
    """The m rows of k coefficients of protocol 01 §3.1."""
    return combination(tuple(range(k)), tuple(range(k, k + m)))
