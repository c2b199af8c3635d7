"""What a lost journal is given back: only what the chain says of a column that is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from greenray.protocol.job import JobState
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.objects import ObjectStatus, StorageParams
from greenray.protocol.rebuilding import FoundColumn, no_record_for, sealed_job
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


def test_of_an_object_that_is_gone_or_not_sealed_there_is_no_record() -> None:
    column = FoundColumn("0xprimary", 1, SEGMENTS)
    assert no_record_for(column, None, "") == "the chain has no such object"
    created = replace(SEALED, object_status=ObjectStatus.OBJECT_STATUS_CREATED)
    assert "not sealed" in (no_record_for(column, created, "0xprimary") or "")


def test_a_job_that_is_made_again_has_ended() -> None:
    job = sealed_job("0xprimary", SEALED, StorageParams(), 4, (), now=5.0)
    assert (job.state, job.final, job.seal_tx_hash) == (JobState.SEAL_OBJECT_DONE, True, None)
    assert job.owner == ""
