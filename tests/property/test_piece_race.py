"""Who is asked for the pieces of a broken segment, whatever is lost, slow or distrusted."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenray.protocol.layout import SEGMENTS
from greenray.protocol.piece_race import PieceRace, races_for

SHAPES = [(4, 2), (2, 1), (1, 5), (6, 3)]
"""k data pieces and m others; k = 1 is a replica object."""


def _run(race: PieceRace, lost: set[int]) -> list[int]:
    """Let every holder answer at once; returns who was asked, in order."""
    asked: list[int] = []
    while not race.is_won and not race.is_lost:
        indices = race.next_indices
        assert indices, "nothing is running and nobody is asked"
        for index in indices:
            asked.append(index)
            race = race.asked([index])
            race = race.broke(index) if index in lost else race.came(index)
    assert race.is_won != race.is_lost
    assert not race.arrived & lost
    return asked


@pytest.mark.parametrize(("k", "m"), SHAPES)
def test_any_m_losses_are_survived_and_one_more_is_not(k: int, m: int) -> None:
    for count in range(m + 2):
        for lost in map(set, combinations(range(k + m), count)):
            asked = _run(PieceRace.of(range(k + m), k), lost)
            assert len(set(asked)) == len(asked), "a piece was asked for twice"
            if count <= m:
                assert len(set(asked) - lost) == k


@pytest.mark.parametrize(("k", "m"), SHAPES)
def test_with_all_data_pieces_there_nothing_else_is_asked_for(k: int, m: int) -> None:
    assert _run(PieceRace.of(range(k + m), k), set()) == list(range(k))


@pytest.mark.parametrize(("k", "m"), SHAPES)
def test_who_failed_before_is_asked_last(k: int, m: int) -> None:
    race = PieceRace.of(range(k + m), k, distrusted=[0])
    assert race.order == (*range(1, k + m), 0)
    assert _run(race, set(range(1, m + 1)))[-1] == 0


@pytest.mark.parametrize(("k", "m"), SHAPES)
def test_what_turns_out_false_is_asked_of_others(k: int, m: int) -> None:
    for false in map(set, combinations(range(k), min(m, k))):
        race = PieceRace.of(range(k + m), k)
        race = race.asked(range(k))
        for index in range(k):
            race = race.came(index)
        assert race.is_won
        race = race.exposed(false)
        assert not race.is_won
        assert len(race.next_indices) == len(false)
        assert not set(race.next_indices) & set(range(k))


def test_silence_brings_spares_and_who_was_slow_may_still_win() -> None:
    race = PieceRace.of(range(6), 4)
    race = race.asked(race.next_indices).came(1).came(2)
    assert race.next_indices == ()
    race = race.stalled()
    assert race.next_indices == (4, 5)
    race = race.asked(race.next_indices)
    assert race.next_indices == ()
    assert race.came(0).came(5).is_won


@st.composite
def _answers(draw: st.DrawFn) -> tuple[int, int, list[tuple[str, int]]]:
    k, m = draw(st.integers(1, 6)), draw(st.integers(0, 4))
    happenings = st.tuples(st.sampled_from(["came", "broke", "stalled"]), st.integers(0, 100))
    return k, m, draw(st.lists(happenings, max_size=40))


@given(_answers())
def test_whatever_happens_enough_pieces_are_counted_on_until_it_is_decided(
    drawn: tuple[int, int, list[tuple[str, int]]],
) -> None:
    k, m, happenings = drawn
    race = PieceRace.of(range(k + m), k)
    for happening, choice in happenings:
        if race.is_won or race.is_lost:
            break
        race = race.asked(race.next_indices)
        assert len(race.arrived) + len(race.running) >= k or not race.next_indices
        assert race.running, "it is not decided and nothing is running"
        index = sorted(race.running)[choice % len(race.running)]
        match happening:
            case "came":
                race = race.came(index)
            case "broke":
                race = race.broke(index)
            case _:
                race = race.stalled()
        parts = (race.running, race.arrived, race.failed)
        assert sum(map(len, parts)) == len(frozenset().union(*parts))
        assert race.slow <= race.running
    assert race.is_lost == (len(race.failed) > m)


def _run_all(races: tuple[PieceRace, ...], lost: set[int]) -> tuple[list[int], bool]:
    """Who was asked, in order, and whether one of the races was won."""
    asked: list[int] = []
    for race in races:
        order = _run(race, lost)
        asked += order
        if len(set(order) - lost) >= race.needed:
            return asked, True
    return asked, False


@pytest.mark.parametrize(("k", "m"), SHAPES)
def test_a_column_is_repaired_from_the_primary_or_else_from_any_k_others(k: int, m: int) -> None:
    columns = range(SEGMENTS, k + m)
    for repaired in columns:
        others = set(columns) - {repaired}
        for lost in _subsets(others, m + 1):
            asked, won = _run_all(races_for(repaired, columns, k), lost)
            assert repaired not in asked
            primary_is_there = repaired != SEGMENTS and SEGMENTS not in lost
            left = others - lost - {SEGMENTS}
            assert won == (primary_is_there or len(left) >= k)
            assert not primary_is_there or asked == [SEGMENTS]


def _subsets(of: set[int], largest: int) -> list[set[int]]:
    return [set(lost) for size in range(largest + 2) for lost in combinations(sorted(of), size)]


def test_a_primary_that_is_known_as_broken_is_asked_last() -> None:
    asked, won = _run_all(races_for(0, range(SEGMENTS, 6), 4, {SEGMENTS, 1}), {2})
    assert won
    assert SEGMENTS not in asked
    assert asked[-1] == 1
    asked, won = _run_all(races_for(0, range(SEGMENTS, 6), 4, {SEGMENTS}), {2, 3})
    assert won
    assert asked[-1] == SEGMENTS


def test_nobody_asks_a_primary_that_is_not_named() -> None:
    [race] = races_for(2, range(6), 4)
    assert set(race.order) == {0, 1, 3, 4, 5}
