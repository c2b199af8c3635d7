"""What is done about a component that has died or does not answer, decided from values alone."""

from __future__ import annotations

import pytest

from greenray.client.network_health import NetworkState
from greenray.cluster.supervision.rules import (
    WINDOW_S,
    ComponentFailure,
    Kind,
    LifeSign,
    Remedy,
    Vital,
    health_of,
    recent,
    remedy,
    too_many,
)
from greenray.cluster.supervision.settings import SupervisionSettings

SETTINGS = SupervisionSettings(silence_s=15, start_s=120, failures_per_minute=3)


@pytest.mark.parametrize(
    ("kind", "sign", "bad_for_s", "wanted"),
    [
        (Kind.ACTOR, LifeSign.ANSWERS, 0, Remedy.NONE),
        (Kind.ACTOR, LifeSign.AWAY, 3, Remedy.NONE),
        (Kind.ACTOR, LifeSign.AWAY, 120, Remedy.RENEW),
        (Kind.ACTOR, LifeSign.STOPPED, 0, Remedy.NONE),
        (Kind.ACTOR, LifeSign.STOPPED, 1, Remedy.KILL),
        (Kind.ACTOR, LifeSign.SILENT, 14, Remedy.NONE),
        (Kind.ACTOR, LifeSign.SILENT, 15, Remedy.KILL),
        (Kind.WORKER, LifeSign.STOPPED, 1, Remedy.KILL),
        (Kind.WORKER, LifeSign.AWAY, 1000, Remedy.NONE),
        (Kind.CHAIN, LifeSign.AWAY, 1000, Remedy.NONE),
        (Kind.CHAIN, LifeSign.STOPPED, 1, Remedy.KILL),
        (Kind.CHAIN, LifeSign.SILENT, 15, Remedy.KILL),
        (Kind.SERVER, LifeSign.AWAY, 0, Remedy.RENEW),
        (Kind.SERVER, LifeSign.STOPPED, 0, Remedy.NONE),
        (Kind.SERVER, LifeSign.STOPPED, 1, Remedy.RENEW),
        (Kind.SERVER, LifeSign.SILENT, 14, Remedy.NONE),
        (Kind.SERVER, LifeSign.SILENT, 15, Remedy.RENEW),
        (Kind.NODE, LifeSign.AWAY, 1000, Remedy.NONE),
        (Kind.NODE, LifeSign.SILENT, 1000, Remedy.NONE),
    ],
)
def test_the_remedy_depends_on_who_starts_a_component_again(
    kind: Kind, sign: LifeSign, bad_for_s: float, wanted: Remedy
) -> None:
    assert remedy(Vital("it", kind, sign, bad_for_s), SETTINGS) is wanted


def failures(*components: str) -> list[ComponentFailure]:
    return [ComponentFailure(name, float(i), f"cause {i}") for i, name in enumerate(components)]


def test_a_network_goes_on_as_long_as_no_component_fails_too_often() -> None:
    assert too_many([], SETTINGS) is None
    assert too_many(failures("home", "home", "home"), SETTINGS) is None
    assert too_many(failures("home", "chain", "home", "chain", "home", "chain"), SETTINGS) is None


def test_it_gives_up_with_the_last_cause_when_one_does() -> None:
    why = too_many(failures("chain", "home", "home", "home", "home"), SETTINGS)
    assert why == "home failed 4 times within 60 s, at last: cause 4"


def test_failures_are_forgotten_after_a_minute() -> None:
    old, new = ComponentFailure("home", 0, "x"), ComponentFailure("home", WINDOW_S + 0.5, "y")
    assert recent([old, new], WINDOW_S + 1) == (new,)


def test_a_network_is_degraded_by_whatever_is_not_well_and_says_what() -> None:
    well = Vital("home", Kind.ACTOR, LifeSign.ANSWERS)
    assert health_of([well]).state is NetworkState.RUNNING
    assert str(health_of([well])) == "running"
    ill = Vital("receiver-0", Kind.ACTOR, LifeSign.STOPPED)
    assert str(health_of([well, ill])) == "degraded (receiver-0 is stopped)"
    renewed = health_of([well], renewing="raylet has died")
    assert renewed.state is NetworkState.DEGRADED
    assert renewed.troubles == ("Ray and all actors are started anew, since raylet has died",)
