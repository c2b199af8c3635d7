"""Values of the journal as text, exactly and versioned.

A job's row has what is searched for, or changed on its own, in columns; what never changes in
``object_info`` and ``params``; and all else in ``details``. Each fact is in one place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from greenray.protocol.approvals import Approval
from greenray.protocol.errors import StoreError
from greenray.protocol.job import JobContext, JobState
from greenray.protocol.objects import ObjectInfo, StorageParams
from greenray.storage.json_values import (
    fields_from_json,
    fields_to_json,
    from_json_value,
    to_json_value,
)

VERSION = 1
"""Of the texts. Fields with defaults may come without a new one; nothing else may."""

_FIELDS_IN_COLUMNS = {
    "job_id": "job_id",
    "sp_address": "sp_address",
    "batch_segments": "batch_segments",
    "created_at": "created_at",
    "deadline_at": "deadline_at",
    "state": "state",
    "epoch": "epoch",
    "owner": "owner",
    "lease_expires_at": "lease_expires_at",
    "attempt": "retries",
    "next_attempt_at": "retry_at",
    "final": "final",
}
"""By column: the field of JobContext. Columns keep the names that journals have."""

JOB_COLUMNS = tuple(_FIELDS_IN_COLUMNS)

_OWN_TEXT = ("object_info", "params")
_DETAILS = tuple(
    f.name
    for f in fields(JobContext)
    if f.name not in (*_FIELDS_IN_COLUMNS.values(), *_OWN_TEXT, "approvals")
)
_DETAILS_AND_APPROVALS = (*_DETAILS, "approvals")
_APPROVAL_FIELDS = tuple(f.name for f in fields(Approval) if f.name != "object_info")


class JobRow(Protocol):
    """A row of a database, by column name."""

    def __getitem__(self, column: str, /) -> Any: ...


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)

Value = TypeVar("Value", ObjectInfo, StorageParams)


def job_columns(job: JobContext) -> dict[str, Any]:
    """What changes of a job, by column name."""
    columns = {column: getattr(job, field) for column, field in _FIELDS_IN_COLUMNS.items()}
    columns["state"] = int(job.state)
    columns["final"] = int(job.final)
    columns["details"] = _encode_details(job)
    return columns


def decode_job(row: JobRow, written: JobContext | None = None) -> JobContext:
    """The job of a row (``JOB_COLUMNS``, ``object_info``, ``params``, ``details``).

    ``written``: a job whose details have the same text, which is not read again then.

    Raises: StoreError.
    """
    values = {field: row[column] for column, field in _FIELDS_IN_COLUMNS.items()}
    values["final"] = bool(row["final"])
    object_info = decode_object_info(row["object_info"])
    try:
        values["state"] = JobState(row["state"])
        # The text leaves out which object its approvals are for.
        if written is not None and written.object_info == object_info:
            details = _details_of(written)
        else:
            details = _decode_details(row["details"], object_info)
        return JobContext(
            **values,
            object_info=object_info,
            params=decode_params(row["params"]),
            **details,
        )
    except ValueError as error:
        raise _unreadable(f"job {row['job_id']}", error) from error


def encode_value(value: ObjectInfo | StorageParams) -> str:
    return _to_text(to_json_value(value))


@lru_cache(maxsize=4096)
def decode_object_info(text: str) -> ObjectInfo:
    """Raises: StoreError."""
    return _decode_value(ObjectInfo, text)


@lru_cache(maxsize=64)
def decode_params(text: str) -> StorageParams:
    """Raises: StoreError."""
    return _decode_value(StorageParams, text)


def encode_checksums(checksums: tuple[bytes, ...]) -> str:
    """Hex, joined with commas (protocol 02 §5)."""
    return ",".join(c.hex() for c in checksums)


def decode_checksums(text: str) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(t) for t in text.split(",")) if text else ()


def _encode_details(job: JobContext) -> str:
    details = fields_to_json(job, _DETAILS)
    details["approvals"] = [_encode_approval(a, job.object_info) for a in job.approvals]
    return _to_text(details)


def _details_of(job: JobContext) -> dict[str, Any]:
    """What ``_decode_details`` finds in the text of this job."""
    return {name: getattr(job, name) for name in _DETAILS_AND_APPROVALS}


def _decode_details(text: str, object_info: ObjectInfo) -> dict[str, Any]:
    values = _from_text(text)
    approvals = values.pop("approvals", [])
    details = fields_from_json(JobContext, values)
    details["approvals"] = tuple(_decode_approval(a, object_info) for a in approvals)
    return details


def _encode_approval(approval: Approval, object_info: ObjectInfo) -> dict[str, Any]:
    """An approval repeats the object it is for; here only where it differs from the job's."""
    values = fields_to_json(approval, _APPROVAL_FIELDS)
    if approval.object_info != object_info:
        values["object_info"] = to_json_value(approval.object_info)
    return values


def _decode_approval(values: Mapping[str, Any], object_info: ObjectInfo) -> Approval:
    return Approval(**{"object_info": object_info, **fields_from_json(Approval, values)})


def _decode_value(kind: type[Value], text: str) -> Value:
    try:
        return from_json_value(kind, _from_text(text))
    except ValueError as error:
        raise _unreadable(kind.__name__, error) from error


def _to_text(values: dict[str, Any]) -> str:
    return _ENCODER.encode({"version": VERSION, **values})


def _from_text(text: str) -> dict[str, Any]:
    values = json.loads(text)
    if not isinstance(values, dict) or values.pop("version", None) != VERSION:
        raise ValueError(f"not a value of version {VERSION}")
    return values


def _unreadable(what: str, error: Exception) -> StoreError:
    return StoreError(
        f"{what} cannot be read: {error}",
        "the journal",
        "It was written by another version of greenray, or is damaged: restore it from a backup",
    )
