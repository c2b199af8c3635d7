"""The JSON that ``status --json`` prints, made from the journal and the chain. Pure."""

from __future__ import annotations

from typing import Any

from greenray.protocol.job import JobContext, JobState, SecondaryReceipt
from greenray.protocol.objects import ObjectInfo, ObjectStatus


def job_status(object_info: ObjectInfo, job: JobContext | None) -> dict[str, Any]:
    """JSON-ready. ``job`` is None when this SP never saw a payload of the object.

    A sealed object without a job (sealed by an earlier installation) is SEAL_OBJECT_DONE.
    """
    sealed = object_info.object_status is ObjectStatus.OBJECT_STATUS_SEALED
    if job is None:
        state = JobState.SEAL_OBJECT_DONE if sealed else JobState.INIT_UNSPECIFIED
        secondaries = _sealed_secondaries(object_info) if sealed else []
    else:
        state = job.state
        secondaries = [_secondary(receipt) for receipt in job.secondaries]
    error = job.error if job else None
    return {
        "bucket": object_info.bucket_name,
        "object": object_info.object_name,
        "object_id": object_info.id,
        "create_at": object_info.create_at,
        "integrity_hash": object_info.checksums[0].hex() if object_info.checksums else "",
        "payload_size_bytes": object_info.payload_size,
        "state": state.name,
        "state_number": int(state),
        "final": job.final if job else sealed,
        "sealed": sealed,
        "attempt": job.retries if job else 0,
        "history": _history(job) if job else [],
        "secondaries": secondaries,
        "replaced": [
            {
                "redundancy_index": r.redundancy_index,
                "operator_address": r.operator_address,
                "reason": r.reason,
                "message": r.message,
            }
            for r in (job.replaced if job else ())
        ],
        "seal_tx_hash": job.seal_tx_hash if job else None,
        "seal_height": job.seal_height if job else None,
        "error": (
            {"reason": error.reason, "message": error.message, "retryable": error.retryable}
            if error
            else None
        ),
    }


def _history(job: JobContext) -> list[dict[str, Any]]:
    created = {"state": JobState.INIT_UNSPECIFIED.name, "at": job.created_at}
    return [created, *({"state": c.state.name, "at": c.at} for c in job.history)]


def _secondary(receipt: SecondaryReceipt) -> dict[str, Any]:
    return {
        "redundancy_index": receipt.redundancy_index,
        "operator_address": receipt.operator_address,
        "integrity_hash": receipt.integrity_hash.hex(),
    }


def _sealed_secondaries(object_info: ObjectInfo) -> list[dict[str, Any]]:
    pairs = zip(object_info.secondary_sp_addresses, object_info.checksums[1:], strict=False)
    return [
        {
            "redundancy_index": index,
            "operator_address": operator_address,
            "integrity_hash": integrity_hash.hex(),
        }
        for index, (operator_address, integrity_hash) in enumerate(pairs)
    ]
