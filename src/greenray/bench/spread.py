"""The numbers that stand for a series of repeats."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """``p99`` is what 99 % of the repeats were at least as good as (nearest rank): the worst one
    when there are fewer than a hundred."""

    median: float
    p99: float
    minimum: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float], *, higher_is_better: bool) -> Spread:
        """Raises ValueError when there are no values."""
        if not values:
            raise ValueError("no values")
        best_first = sorted(values, reverse=higher_is_better)
        rank = -(-99 * len(values) // 100)
        return cls(statistics.median(values), best_first[rank - 1], min(values), max(values))
