from __future__ import annotations

import sqlite3
from dataclasses import dataclass, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenray.protocol.approvals import Approval
from greenray.protocol.errors import StoreError
from greenray.protocol.job import (
    JobContext,
    JobError,
    JobState,
    Replacement,
    SecondaryReceipt,
    StateChange,
)
from greenray.protocol.objects import (
    ObjectInfo,
    ObjectStatus,
    RedundancyType,
    SourceType,
    StorageParams,
    Visibility,
)
from greenray.storage.job_codec import (
    JOB_COLUMNS,
    decode_checksums,
    decode_job,
    decode_object_info,
    decode_params,
    encode_checksums,
    encode_value,
    job_columns,
)
from greenray.storage.json_values import from_json_value, to_json_value

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
hashes = st.binary(min_size=1, max_size=40)
counts = st.integers(0, 2**63 - 1)
times = st.floats(0, 1e12)

object_infos = st.builds(
    ObjectInfo,
    owner=texts,
    bucket_name=texts,
    object_name=st.text(max_size=20),  # lone surrogates, too
    id=st.integers(0, 2**64 - 1),
    payload_size=counts,
    visibility=st.sampled_from(Visibility),
    content_type=texts,
    create_at=st.integers(-(2**63), 2**63 - 1),
    object_status=st.sampled_from(ObjectStatus),
    redundancy_type=st.sampled_from(RedundancyType),
    source_type=st.sampled_from(SourceType),
    checksums=st.lists(hashes, max_size=7).map(tuple),
    secondary_sp_addresses=st.lists(texts, max_size=3).map(tuple),
)
params = st.builds(StorageParams, *([st.integers(1, 2**62)] * len(fields(StorageParams))))


@st.composite
def jobs(draw: st.DrawFn) -> JobContext:
    info = draw(object_infos)
    approvals = st.builds(
        Approval, st.just(info) | object_infos, texts, counts, texts, st.binary(max_size=65)
    )
    receipts = st.builds(SecondaryReceipt, st.integers(0, 5), texts, hashes, hashes)
    replaced = st.builds(Replacement, st.integers(0, 5), texts, texts, texts, counts)
    values = {
        "job_id": draw(counts),
        "sp_address": draw(texts),
        "object_info": info,
        "params": draw(params),
        "batch_segments": draw(counts),
        "created_at": draw(times),
        "deadline_at": draw(times),
        "state": draw(st.sampled_from(JobState)),
        "epoch": draw(counts),
        "owner": draw(texts),
        "lease_expires_at": draw(times),
        "retries": draw(counts),
        "retry_at": draw(times),
        "final": draw(st.booleans()),
        "error": draw(st.none() | st.builds(JobError, texts, texts, st.booleans())),
        "approval_round": draw(counts),
        "approvals": draw(st.lists(approvals, max_size=3).map(tuple)),
        "secondaries": draw(st.lists(receipts, max_size=3).map(tuple)),
        "replaced": draw(st.lists(replaced, max_size=3).map(tuple)),
        "seal_tx_hash": draw(st.none() | texts),
        "seal_height": draw(st.none() | counts),
        "history": draw(
            st.lists(st.builds(StateChange, st.sampled_from(JobState), times), max_size=3).map(
                tuple
            )
        ),
    }
    # A new field has to be drawn as well, or its default hides that it is not stored.
    assert set(values) == {f.name for f in fields(JobContext)}
    return JobContext(**values)


@given(jobs())
def test_every_job_survives_its_row(job: JobContext) -> None:
    columns = (*JOB_COLUMNS, "details", "object_info", "params")
    values = {
        **job_columns(job),
        "object_info": encode_value(job.object_info),
        "params": encode_value(job.params),
    }
    db = sqlite3.connect(":memory:")
    db.row_factory = sqlite3.Row
    names = ", ".join(f":{c} AS {c}" for c in columns)
    row = db.execute(f"SELECT {names}", values).fetchone()
    db.close()
    assert decode_job(row) == job


@given(object_infos, params)
def test_values_survive_their_text(info: ObjectInfo, storage_params: StorageParams) -> None:
    assert decode_object_info(encode_value(info)) == info
    assert decode_params(encode_value(storage_params)) == storage_params


@given(st.lists(hashes).map(tuple))
def test_checksums_survive_their_text(checksums: tuple[bytes, ...]) -> None:
    assert decode_checksums(encode_checksums(checksums)) == checksums


@pytest.mark.parametrize(
    "text", ["", "null", "{}", '{"version":1}', '{"version":2}', '{"version":1,"id":"1"}']
)
def test_a_text_of_another_kind_is_a_store_error(text: str) -> None:
    with pytest.raises(StoreError, match="ObjectInfo cannot be read"):
        decode_object_info(text)


@dataclass(frozen=True)
class Old:
    count: int


@dataclass(frozen=True)
class New:
    count: int
    names: tuple[str, ...] = ("none",)


def test_a_value_older_than_a_field_takes_the_default_and_a_newer_one_is_refused() -> None:
    assert from_json_value(New, to_json_value(Old(3))) == New(3)
    with pytest.raises(ValueError, match="does not know"):
        from_json_value(Old, to_json_value(New(3)))


@pytest.mark.parametrize("value", [{"count": "3"}, {"count": True}, {"count": 3.0}, [], {}])
def test_a_value_of_the_wrong_type_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="Old"):
        from_json_value(Old, value)
