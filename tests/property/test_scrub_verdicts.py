"""The verdict on a column, whatever is stored and recorded of it."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from greenray.protocol.integrity import integrity_hash
from greenray.protocol.scrub import DamageKind, Mending, PieceFound, judge_column

UNREAD = [DamageKind.MISSING, DamageKind.SHORT, DamageKind.UNREADABLE]
CHECKSUMS = st.binary(min_size=1, max_size=2).map(lambda data: sha256(data).digest())


@st.composite
def _columns(
    draw: st.DrawFn,
) -> tuple[tuple[bytes, ...], list[PieceFound], tuple[bytes, ...] | None]:
    """(right checksums, what was found, what is recorded)"""
    right = draw(st.lists(CHECKSUMS, min_size=1, max_size=5).map(tuple))
    found: list[PieceFound] = [
        draw(st.one_of(st.just(checksum), CHECKSUMS, st.sampled_from(UNREAD))) for checksum in right
    ]
    recorded = draw(
        st.one_of(st.just(right), st.none(), st.lists(CHECKSUMS, max_size=5).map(tuple))
    )
    return right, found, recorded


@given(_columns())
def test_nothing_is_called_sound_that_is_not_the_chains(
    column: tuple[tuple[bytes, ...], list[PieceFound], tuple[bytes, ...] | None],
) -> None:
    right, found, recorded = column
    verdict = judge_column(found, recorded, integrity_hash(right))
    assert (verdict.mending is Mending.NOTHING) == (tuple(found) == right and recorded == right)
    assert (verdict.mending is Mending.NOTHING) == (verdict.damages == ())
    assert (verdict.mending is Mending.COLUMN) == (tuple(found) != right)
    assert all(found[index] == right[index] for index in verdict.good)
    if verdict.checksums is not None:
        assert verdict.checksums == right
    if recorded == right:
        wrong = {index for index, piece in enumerate(found) if piece != right[index]}
        assert {index for damage in verdict.damages for index in damage.pieces} == wrong
        assert verdict.good == set(range(len(right))) - wrong
