"""What a lost journal is given back: only what the chain says of a column that is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from greenray.protocol.job import JobState
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.objects import ObjectStatus, StorageParams
from greenray.protocol.rebuilding import FoundColumn, no_record_for, rebuilt_job
from tests.support.fake_chain import FakeChain

SECONDARIES = tuple(f"0xsecondary{index}" for index in range(6))
CHAIN = FakeChain(params=StorageParams())
CHAIN.add_bucket("0xowner", "album", "0xprimary")
SEALED = replace(
    CHAIN.add_object("album", "photo", 5, (bytes(32),) * 7),
    object_status=ObjectStatus.OBJECT_STATUS_SEALED,
    secondary_sp_addresses=SECONDARIES,
)


@pytest.mark.parametrize(
    ("holder", "index"), [("0xprimary", SEGMENTS), *zip(SECONDARIES, range(6), strict=True)]
)
def test_who_the_chain_names_gets_its_record(holder: str, index: int) -> None:
    assert no_record_for(FoundColumn(holder, 1, index), SEALED, "0xprimary") is None


@pytest.mark.parametrize(
    ("holder", "index"),
    [("0xprimary", 0), (SECONDARIES[0], SEGMENTS), (SECONDARIES[0], 1), (SECONDARIES[5], 6)],
)
def test_who_the_chain_does_not_name_gets_none(holder: str, index: int) -> None:
    reason = no_record_for(FoundColumn(holder, 1, index), SEALED, "0xprimary")
    assert reason == "the chain names another storage provider for it"


def test_of_an_object_that_is_gone_or_discontinued_there_is_no_record() -> None:
    column = FoundColumn("0xprimary", 1, SEGMENTS)
    assert no_record_for(column, None, "") == "the chain has no such object"
    gone = replace(SEALED, object_status=ObjectStatus.OBJECT_STATUS_DISCONTINUED)
    assert no_record_for(column, gone, "0xprimary") is not None


def test_of_an_object_that_is_not_sealed_the_primarys_record_is_made_and_no_others() -> None:
    created = replace(SEALED, object_status=ObjectStatus.OBJECT_STATUS_CREATED)
    assert no_record_for(FoundColumn("0xprimary", 1, SEGMENTS), created, "0xprimary") is None
    group = FoundColumn(SECONDARIES[0], 1, 0)
    assert "not sealed yet" in (no_record_for(group, created, "0xprimary") or "")


@pytest.mark.parametrize(
    ("status", "state", "final"),
    [
        (ObjectStatus.OBJECT_STATUS_SEALED, JobState.SEAL_OBJECT_DONE, True),
        (ObjectStatus.OBJECT_STATUS_CREATED, JobState.UPLOAD_OBJECT_DONE, False),
    ],
)
def test_a_job_has_ended_if_its_object_is_sealed_and_goes_on_if_not(
    status: ObjectStatus, state: JobState, final: bool
) -> None:
    info = replace(SEALED, object_status=status)
    job = rebuilt_job("0xprimary", info, StorageParams(), 4, (), now=5.0, deadline_s=10.0)
    assert (job.state, job.final, job.seal_tx_hash) == (state, final, None)
    assert (job.owner, job.deadline_at) == ("", 15.0)
