"""What is wrong with a column, what mends it, and whose turn it is."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from greenray.protocol.integrity import integrity_hash
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.objects import ObjectInfo, ObjectStatus, Visibility
from greenray.protocol.scrub import (
    Damage,
    DamageKind,
    Mending,
    PieceFound,
    ScrubOrder,
    ScrubRun,
    columns_of,
    is_scrubbed,
    judge_column,
    next_background_at,
    next_run,
    orphans_among,
)

CHECKSUMS = tuple(sha256(bytes([i])).digest() for i in range(4))
EXPECTED = integrity_hash(CHECKSUMS)
OTHER = sha256(b"other").digest()


def test_a_whole_column_with_its_record_needs_nothing() -> None:
    verdict = judge_column(CHECKSUMS, CHECKSUMS, EXPECTED)
    assert (verdict.damages, verdict.mending) == ((), Mending.NOTHING)


@pytest.mark.parametrize(
    ("recorded", "kind"),
    [
        (None, DamageKind.NO_RECORD),
        ((), DamageKind.WRONG_RECORD),
        ((*CHECKSUMS[:3], OTHER), DamageKind.WRONG_RECORD),
    ],
)
def test_of_a_whole_column_a_lost_or_wrong_record_is_made_again(
    recorded: tuple[bytes, ...] | None, kind: DamageKind
) -> None:
    verdict = judge_column(CHECKSUMS, recorded, EXPECTED)
    assert verdict.damages == (Damage(kind),)
    assert verdict.mending is Mending.RECORD
    assert verdict.checksums == CHECKSUMS


def test_a_record_tells_which_pieces_are_broken() -> None:
    found: list[PieceFound] = [CHECKSUMS[0], OTHER, DamageKind.SHORT, DamageKind.SHORT]
    verdict = judge_column(found, CHECKSUMS, EXPECTED)
    assert verdict.damages == (
        Damage(DamageKind.SHORT, (2, 3)),
        Damage(DamageKind.FLIPPED, (1,)),
    )
    assert verdict.mending is Mending.COLUMN
    assert verdict.good == {0}
    assert verdict.checksums == CHECKSUMS


def test_without_a_record_every_piece_of_a_broken_column_is_in_doubt() -> None:
    verdict = judge_column([CHECKSUMS[0], OTHER, *CHECKSUMS[2:]], None, EXPECTED)
    assert verdict.damages == (
        Damage(DamageKind.FLIPPED, (0, 1, 2, 3)),
        Damage(DamageKind.NO_RECORD),
    )
    assert verdict.good == frozenset()
    assert verdict.checksums is None


def test_a_missing_column_is_not_called_flipped() -> None:
    found = [DamageKind.MISSING] * 4
    for recorded in (None, CHECKSUMS):
        verdict = judge_column(found, recorded, EXPECTED)
        assert verdict.damages[0] == Damage(DamageKind.MISSING, (0, 1, 2, 3))
        assert DamageKind.FLIPPED not in [damage.kind for damage in verdict.damages]


def test_damages_are_told_in_ranges() -> None:
    assert Damage(DamageKind.FLIPPED, (0, 2, 3, 4, 9)).text == "flipped: pieces 0, 2-4, 9"
    assert Damage(DamageKind.NO_RECORD).text == "no-record"


INFO = ObjectInfo(
    owner="0x0",
    bucket_name="album",
    object_name="photo",
    id=7,
    payload_size=10,
    visibility=Visibility.VISIBILITY_TYPE_PRIVATE,
    content_type="",
    create_at=1000,
    object_status=ObjectStatus.OBJECT_STATUS_SEALED,
    secondary_sp_addresses=("0xB", "0xC"),
)


def test_only_sealed_objects_with_bytes_are_scrubbed() -> None:
    assert is_scrubbed(INFO)
    assert not is_scrubbed(replace(INFO, object_status=ObjectStatus.OBJECT_STATUS_CREATED))
    assert not is_scrubbed(replace(INFO, object_status=ObjectStatus.OBJECT_STATUS_DISCONTINUED))
    assert not is_scrubbed(replace(INFO, payload_size=0))


def test_who_holds_a_column_that_is_anothers_has_an_orphan() -> None:
    holders = columns_of(INFO, "0xA")
    assert holders == {SEGMENTS: "0xA", 0: "0xB", 1: "0xC"}
    stored = [("0xa", SEGMENTS), ("0xB", 0), ("0xD", 1), ("0xB", 1), ("0xC", 5)]
    assert orphans_among(stored, holders) == (("0xB", 1), ("0xC", 5), ("0xD", 1))


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        (ScrubOrder(), True),
        (ScrubOrder(bucket_name="album"), True),
        (ScrubOrder(bucket_name="other"), False),
        (ScrubOrder(bucket_name="album", object_name="photo"), True),
        (ScrubOrder(bucket_name="album", object_name="phot"), False),
        (ScrubOrder(created_since=1000.0), True),
        (ScrubOrder(created_since=1000.5), False),
    ],
)
def test_an_order_names_a_bucket_an_object_or_a_time(order: ScrubOrder, wanted: bool) -> None:
    assert order.wants(INFO) == wanted


def _run(run_id: int, *, background: bool = False, ended: bool = False) -> ScrubRun:
    order = ScrubOrder(background=background)
    return ScrubRun(run_id, "s", order, 100.0 * run_id, ended_at=1.0 if ended else None)


def test_what_somebody_waits_for_goes_before_the_background() -> None:
    runs = [_run(1, ended=True), _run(2, background=True), _run(4), _run(3)]
    assert next_run(runs) == _run(3)
    assert next_run(runs[:2]) == _run(2, background=True)
    assert next_run(runs[:1]) is None


def test_a_background_scrub_follows_the_beginning_of_the_last_one() -> None:
    runs = [_run(1, background=True, ended=True), _run(2, ended=True)]
    assert next_background_at(runs, 50.0, 1000.0) == 150.0
    assert next_background_at([], 50.0, 1000.0) == 1050.0
