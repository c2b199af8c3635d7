"""What may be collected, of answers, rows and listings that are written down here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from greenray.protocol.collection import (
    FORGOTTEN_AFTER_BLOCKS,
    BlockNews,
    Cause,
    ChainKnowledge,
    ChainTip,
    Collectable,
    Holding,
    ObjectSighting,
    Removal,
    Standing,
    cause_of,
    collectable_of,
    gone_error,
)
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.objects import ObjectInfo, ObjectStatus, Visibility

SECONDARIES = tuple(f"0xSecondary{i}" for i in range(6))
KNOWN = ChainKnowledge("first", ChainTip(100, "hash-100"), 100, highest_object_id=7)
SEALED = ObjectInfo(
    owner="0xOwner",
    bucket_name="bucket",
    object_name="object",
    id=5,
    payload_size=10,
    visibility=Visibility.VISIBILITY_TYPE_PRIVATE,
    content_type="",
    create_at=0,
    object_status=ObjectStatus.OBJECT_STATUS_SEALED,
    secondary_sp_addresses=SECONDARIES,
)


def absent(object_id: int = 5, height: int = 100) -> ObjectSighting:
    return ObjectSighting(object_id, height, None)


def present(info: ObjectInfo = SEALED, height: int = 100) -> ObjectSighting:
    return ObjectSighting(info.id, height, info)


# --- what a node's answer is worth ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("tip", "anchor_hash", "standing"),
    [
        (ChainTip(100, "hash-100"), "hash-100", Standing.SAME),
        (ChainTip(105, "hash-105"), "hash-100", Standing.SAME),
        (ChainTip(99, "hash-99"), "", Standing.BEHIND),
        (ChainTip(101, "hash-101"), "", Standing.BEHIND),
        (ChainTip(101, "x"), "another", Standing.OTHER_HISTORY),
        (ChainTip(101 + FORGOTTEN_AFTER_BLOCKS, "x"), "", Standing.OTHER_HISTORY),
    ],
)
def test_a_node_is_compared_with_what_is_known(
    tip: ChainTip, anchor_hash: str, standing: Standing
) -> None:
    assert KNOWN.standing("first", tip, anchor_hash) is standing


def test_another_first_block_is_another_chain_if_both_are_known() -> None:
    tip = ChainTip(100, "hash-100")
    assert KNOWN.standing("other", tip, "hash-100") is Standing.OTHER_CHAIN
    assert KNOWN.standing("", tip, "hash-100") is Standing.SAME
    assert replace(KNOWN, first_block_hash="").standing("x", tip, "hash-100") is Standing.SAME


def test_an_object_is_gone_when_its_id_was_given_away_and_is_not_found() -> None:
    assert KNOWN.proves_gone(absent(7, 100))


@pytest.mark.parametrize(
    "sighting",
    [present(), absent(7, 99), absent(8, 100), absent(7, 0)],
    ids=["found", "older state", "id not given away yet", "unknown state"],
)
def test_any_other_answer_proves_nothing(sighting: ObjectSighting) -> None:
    assert not KNOWN.proves_gone(sighting)


def test_blocks_tell_how_far_ids_have_come() -> None:
    news = [BlockNews(101, 9), BlockNews(102, 0, (Removal(11, Cause.DELETED),)), BlockNews(103)]
    after = KNOWN.after_blocks(news, ChainTip(103, "hash-103"))
    assert after == ChainKnowledge("first", ChainTip(103, "hash-103"), 103, 11)
    assert KNOWN.after_blocks([], ChainTip(101, "h")).highest_object_id == 7


def test_what_is_seen_counts_once_the_anchor_covers_it() -> None:
    seen = [present(replace(SEALED, id=20), 104), present(replace(SEALED, id=30), 106)]
    after = KNOWN.after_sightings(seen, ChainTip(105, "hash-105"))
    assert (after.highest_object_id, after.anchor.height, after.read_height) == (20, 105, 100)
    assert KNOWN.after_sightings(seen, ChainTip(99, "behind")) == KNOWN
    assert KNOWN.after_sightings([absent(50)], ChainTip(105, "h")).highest_object_id == 7


def test_of_a_new_history_nothing_is_proven() -> None:
    new = ChainKnowledge.start("first", ChainTip(300, "hash-300"))
    assert not new.proves_gone(absent(1, 300))


# --- why something is not needed -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("holding", "cause"),
    [
        (Holding("0xPrimary", 5, SEGMENTS), None),
        (Holding(SECONDARIES[3], 5, 3), None),
        (Holding(SECONDARIES[3].lower(), 5, 3), None),
        (Holding("0xReplaced", 5, 3), Cause.REPLACED),
        (Holding(SECONDARIES[3], 5, 4), Cause.REPLACED),
        (Holding(SECONDARIES[3], 5, 9), Cause.REPLACED),
        (Holding("0xReplaced", 5, 3, is_finished=False), Cause.REPLACED),
        (Holding(SECONDARIES[3], 5, 3, is_finished=False), Cause.LEFT_UNFINISHED),
        (Holding("0xPrimary", 5, SEGMENTS, is_finished=False), Cause.LEFT_UNFINISHED),
    ],
)
def test_of_a_sealed_object_its_own_columns_are_needed(
    holding: Holding, cause: Cause | None
) -> None:
    assert cause_of(holding, present(), KNOWN) is cause


@pytest.mark.parametrize(
    "status", [ObjectStatus.OBJECT_STATUS_CREATED, ObjectStatus.OBJECT_STATUS_DISCONTINUED]
)
@pytest.mark.parametrize("is_finished", [True, False])
def test_of_an_object_that_is_not_sealed_or_still_discontinued_everything_is_kept(
    status: ObjectStatus, is_finished: bool
) -> None:
    info = replace(SEALED, object_status=status)
    assert cause_of(Holding("0xAnybody", 5, 2, is_finished), present(info), KNOWN) is None


def test_of_an_object_that_is_gone_nothing_is_needed() -> None:
    assert cause_of(Holding("0xAnybody", 5, 2), absent(), KNOWN) is Cause.NOT_ON_CHAIN
    assert cause_of(Holding("0xAnybody", 8, 2), absent(8), KNOWN) is None


def test_segments_are_needed_by_the_primary_alone_whatever_the_status_of_the_object() -> None:
    for status in ObjectStatus:
        info = replace(SEALED, object_status=status)
        sighting = replace(present(info), primary_sp_address="0xPrimary")
        for is_finished in (True, False):
            lost = Holding("0xOther", 5, SEGMENTS, is_finished)
            assert cause_of(lost, sighting, KNOWN) is Cause.ANOTHER_PRIMARY
            assert cause_of(lost, present(info), KNOWN) is not Cause.ANOTHER_PRIMARY
        assert cause_of(Holding("0xPRIMARY", 5, SEGMENTS), sighting, KNOWN) is None
        assert cause_of(Holding(SECONDARIES[3], 5, 3), sighting, KNOWN) is None


# --- what waits ----------------------------------------------------------------------------------


def test_a_gone_object_waits_as_a_whole_and_a_replaced_group_alone() -> None:
    holding = Holding("0xReplaced", 5, 3)
    gone = collectable_of(holding, Cause.NOT_ON_CHAIN, absent(5, 110), 1000.0)
    assert gone == Collectable(5, Cause.NOT_ON_CHAIN, 1000.0, 110)
    assert gone.covers(Holding("0xAnybody", 5, SEGMENTS))
    assert not gone.covers(Holding("0xAnybody", 6, SEGMENTS))
    group = collectable_of(holding, Cause.REPLACED, present(SEALED, 110), 1000.0)
    assert group.covers(holding)
    assert not group.covers(Holding("0xReplaced", 5, 4))
    assert not group.covers(Holding("0xOther", 5, 3))


def test_it_is_due_after_the_delay_and_not_before() -> None:
    waiting = Collectable(5, Cause.DELETED, 1000.0, 100)
    assert not waiting.is_due(1059.9, 60.0)
    assert waiting.is_due(1060.0, 60.0)


def test_the_chain_is_asked_again_and_has_the_last_word() -> None:
    gone = Collectable(5, Cause.DELETED, 0.0, 100)
    assert gone.holds_still(absent(5, 100), KNOWN)
    assert not gone.holds_still(absent(5, 99), KNOWN)
    assert not gone.holds_still(present(), KNOWN)
    segments = Collectable(5, Cause.ANOTHER_PRIMARY, 0.0, 100, "0xOther", SEGMENTS)
    assert segments.holds_still(replace(present(), primary_sp_address="0xPrimary"), KNOWN)
    assert not segments.holds_still(replace(present(), primary_sp_address="0xOther"), KNOWN)
    assert not segments.holds_still(present(), KNOWN)
    group = Collectable(5, Cause.REPLACED, 0.0, 100, "0xReplaced", 3)
    assert group.holds_still(present(), KNOWN)
    assert not group.holds_still(absent(), KNOWN)
    created = replace(SEALED, object_status=ObjectStatus.OBJECT_STATUS_CREATED)
    assert not group.holds_still(present(created), KNOWN)


def test_a_job_is_told_what_became_of_its_object() -> None:
    error = gone_error(5, Cause.CANCELLED, 120)
    assert error.reason == "object-gone"
    assert "cancelled" in error.message
    assert "120" in error.message
    assert not error.retryable
