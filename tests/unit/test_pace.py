"""Whose memory is taken back when uploads wait for each other's."""

from __future__ import annotations

from greenray.actors.uploader.pace import GRACE_S, Pace, whom_to_put_off

LEAST = 1000


def test_the_slowest_of_those_that_are_too_slow_is_put_off() -> None:
    paces = {"slow": Pace(0, 500), "slower": Pace(0, 5), "fast": Pace(0, 10**6)}
    assert whom_to_put_off(paces, LEAST, 10) == "slower"


def test_who_is_fast_enough_or_has_only_begun_is_not_put_off() -> None:
    assert whom_to_put_off({"fast": Pace(0, 10_001)}, LEAST, 10) is None
    assert whom_to_put_off({"new": Pace(10 - GRACE_S / 2, 0)}, LEAST, 10) is None
    assert whom_to_put_off({}, LEAST, 10) is None


def test_nobody_is_put_off_where_nothing_is_too_slow() -> None:
    assert whom_to_put_off({"silent": Pace(0, 0)}, 0, 10) is None
