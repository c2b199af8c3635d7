from __future__ import annotations

import pytest

from greenray.bench.spread import Spread


def test_spread_of_rates_names_the_slowest_as_p99() -> None:
    spread = Spread.of([300.0, 200.0, 250.0, 240.0], higher_is_better=True)
    assert spread == Spread(median=245.0, p99=200.0, minimum=200.0, maximum=300.0)


def test_spread_of_durations_names_the_longest_as_p99() -> None:
    assert Spread.of([3.0, 2.0, 9.0], higher_is_better=False).p99 == 9.0


def test_p99_leaves_out_one_of_a_hundred() -> None:
    values = [float(i) for i in range(1, 101)]
    assert Spread.of(values, higher_is_better=False).p99 == 99.0
    assert Spread.of(values, higher_is_better=True).p99 == 2.0


def test_one_value_is_its_own_spread() -> None:
    assert Spread.of([7.0], higher_is_better=True) == Spread(7.0, 7.0, 7.0, 7.0)


def test_spread_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        Spread.of([], higher_is_better=True)
