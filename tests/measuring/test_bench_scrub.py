"""What a scrub costs an upload is told beside what two uploads differ by anyway."""

from __future__ import annotations

from statistics import median

import pytest

from greenray.bench.plans import SCRUB_REPEATS, Plan
from greenray.bench.records import Row
from greenray.bench.runner import pair
from greenray.bench.scrub import Reading, ScrubRound, scrub_rows, scrub_summary
from greenray.cluster.config.settings import Settings

SIZE_BYTES = 10**9
READING = Reading(2 * SIZE_BYTES, 2.0, 3.0)


def rounds(*times: tuple[float, float, float, float]) -> list[ScrubRound]:
    """With a warm-up, whose times do not count."""
    warm_up = ScrubRound(READING, READING, 99.0, 1.0, 99.0, 1.0)
    return [warm_up, *(ScrubRound(READING, READING, *of_round) for of_round in times)]


def rows_of(*times: tuple[float, float, float, float]) -> list[Row]:
    return scrub_rows(SIZE_BYTES, True, rounds(*times))


def ratio(rows: list[Row], metric: str) -> tuple[float, ...]:
    [values] = [row.values for row in rows if row.metric == metric]
    return values


def test_every_other_pair_is_the_other_way_round() -> None:
    order: list[str] = []

    def side(name: str) -> str:
        order.append(name)
        return name

    found = [pair(number, lambda: side("a"), lambda: side("b")) for number in range(4)]
    assert found == [("a", "b")] * 4
    assert "".join(order) == "abbaabba"


def test_what_drifts_falls_on_both_sides_alike() -> None:
    """A machine that takes a tenth longer for each upload than for the one before."""
    uploads = iter(range(1, 100))

    def upload_s() -> float:
        return 1.1 ** next(uploads)

    ratios = [a / b for a, b in (pair(number, upload_s, upload_s) for number in range(10))]
    assert median(ratios) == pytest.approx(1.0, abs=0.01)


def test_the_loss_stands_beside_the_noise_of_the_same_run() -> None:
    rows = rows_of((2.0, 2.5, 2.0, 2.1), (2.0, 2.0, 2.2, 2.0), (2.0, 4.0, 2.0, 2.0))
    assert ratio(rows, "upload beside a scrub / alone") == (0.8, 1.0, 0.5)
    assert ratio(rows, "upload alone / alone") == pytest.approx((2.0 / 2.1, 1.1, 1.0))
    summary = scrub_summary(rows)
    assert (summary["upload_kept_ratio"], summary["upload_alone_ratio"]) == (0.8, 1.0)
    assert summary["upload_alone_ratio_spread"] == pytest.approx([2.0 / 2.1, 1.1])


def test_a_full_run_has_nine_pairs_and_is_told_otherwise_by_name() -> None:
    settings = Settings()
    assert Plan(settings).scrub().repeats == SCRUB_REPEATS == 9
    assert Plan(settings, quick=True).scrub().repeats == 3
    assert Plan(settings, repeats=2).scrub().repeats == 2
