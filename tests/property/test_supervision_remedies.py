from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from greenray.cluster.supervision.rules import (
    ComponentFailure,
    Kind,
    LifeSign,
    Remedy,
    Vital,
    recent,
    remedy,
    too_many,
)
from greenray.cluster.supervision.settings import SupervisionSettings

SETTINGS = SupervisionSettings()
SECONDS = st.floats(min_value=0, max_value=10_000)


@given(st.sampled_from(Kind), st.sampled_from(LifeSign), SECONDS, SECONDS)
def test_waiting_longer_never_takes_a_remedy_back(
    kind: Kind, sign: LifeSign, first_s: float, more_s: float
) -> None:
    before = remedy(Vital("it", kind, sign, first_s), SETTINGS)
    after = remedy(Vital("it", kind, sign, first_s + more_s), SETTINGS)
    assert before in (Remedy.NONE, after)


@given(st.sampled_from(Kind), SECONDS)
def test_what_answers_and_what_is_not_ours_is_left_alone(kind: Kind, bad_for_s: float) -> None:
    assert remedy(Vital("it", kind, LifeSign.ANSWERS, bad_for_s), SETTINGS) is Remedy.NONE
    for sign in LifeSign:
        assert remedy(Vital("it", Kind.NODE, sign, bad_for_s), SETTINGS) is Remedy.NONE


@given(st.lists(st.tuples(st.sampled_from("abc"), SECONDS), max_size=40))
def test_a_network_gives_up_exactly_when_the_last_component_failed_too_often(
    drawn: list[tuple[str, float]],
) -> None:
    failures = [ComponentFailure(name, at_s, "why") for name, at_s in sorted(drawn, key=_time)]
    now_s = failures[-1].at_s if failures else 0.0
    counted = recent(failures, now_s)
    last = failures[-1].component if failures else ""
    often = sum(f.component == last and now_s - f.at_s <= 60 for f in failures)
    assert (too_many(counted, SETTINGS) is not None) == (often > SETTINGS.failures_per_minute)


def _time(drawn: tuple[str, float]) -> float:
    return drawn[1]
