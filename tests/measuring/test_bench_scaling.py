"""What a second worker brings, from rates; nothing is measured here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from greenray.bench.records import Case, Row
from greenray.bench.scaling import GAIN, SHARE_OF_GAIN, gains_of


def rates(case: Case, one: tuple[float, ...], many: tuple[float, ...], workers: int) -> list[Row]:
    return [
        Row(replace(case, workers=1), "payload", "MB/s", one),
        Row(replace(case, workers=workers), "payload", "MB/s", many),
    ]


def test_a_gain_is_of_neighbouring_repeats() -> None:
    [row] = gains_of(rates(Case("streams"), (100.0, 50.0), (190.0, 100.0), 2))
    assert (row.metric, row.case.workers) == (GAIN, 2)
    assert row.values == pytest.approx((1.9, 2.0))


def test_workers_of_ray_are_compared_with_the_better_plain_ones_of_the_same_work() -> None:
    rows = [
        *rates(Case("encode", "threads"), (100.0,), (150.0,), 2),
        *rates(Case("encode", "processes"), (80.0,), (160.0,), 2),
        *rates(Case("encode", "ray tasks"), (10.0,), (18.0,), 2),
        *rates(Case("reconstruct 1", "threads"), (100.0,), (300.0,), 2),
    ]
    shares = {r.case.worker_kind: r.values for r in gains_of(rows) if r.metric == SHARE_OF_GAIN}
    assert shares == {"ray tasks": pytest.approx((0.9,))}


def test_the_pipeline_is_compared_with_the_floor() -> None:
    rows = [
        *rates(Case("pipeline, 8 in turn"), (100.0,), (190.0,), 2),
        *rates(Case("floor, 8 in turn"), (200.0,), (400.0,), 2),
        *rates(Case("floor"), (100.0,), (300.0,), 2),
    ]
    shares = {r.case.kind: r.values for r in gains_of(rows) if r.metric == SHARE_OF_GAIN}
    assert shares == {"pipeline, 8 in turn": pytest.approx((0.95,))}


def test_one_core_shows_no_gain() -> None:
    rows = [Row(Case("streams", workers=1), "payload", "MB/s", (100.0,))]
    assert gains_of(rows) == []
