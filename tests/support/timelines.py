"""A small timeline, written by hand: two batches, two secondaries, 2 cores, ten seconds."""

from __future__ import annotations

from typing import Any

PRIMARY_ADDRESS, FIRST, SECOND = "0xprimary", "0xfirst", "0xsecond"


def stage(
    name: str, index: int, batch: int | None, start_s: float, end_s: float, **given: Any
) -> dict[str, Any]:
    address = {-1: PRIMARY_ADDRESS, 0: FIRST, 1: SECOND}[index]
    return {
        "stage": name,
        "redundancy_index": index,
        "operator_address": address,
        "batch": batch,
        "start_s": start_s,
        "end_s": end_s,
        "size_bytes": 0 if batch is None else 1_000_000,
        "process": "uploader-0",
        "pid": 17,
        "node": "here",
        "failed": False,
        **given,
    }


def timeline_document(**changed: Any) -> dict[str, Any]:
    """As ``status --timeline --json`` prints it.

    Worked on from 2 to 5 and from 6 to 8 seconds; one core idle until 5, both from then on.
    """
    return {
        "bucket": "photos",
        "object": "<cat>.jpg",
        "object_id": 5,
        "payload_size_bytes": 2_000_000,
        "state": "SEAL_OBJECT_DONE",
        "final": True,
        "batches": 2,
        "began_at": 1700000000.0,
        "one_clock": True,
        "states": [
            {"state": "UPLOAD_OBJECT_DOING", "start_s": 0.0, "end_s": 4.0},
            {"state": "SEAL_OBJECT_TX_DOING", "start_s": 4.0, "end_s": 10.0},
            {"state": "SEAL_OBJECT_DONE", "start_s": 10.0, "end_s": None},
        ],
        "secondaries": [
            {"redundancy_index": 0, "operator_address": FIRST, "hosted": True},
            {"redundancy_index": 1, "operator_address": SECOND, "hosted": True},
        ],
        "stages": [
            stage("received", -1, 0, 0.0, 2.0),
            stage("hashed", -1, 0, 2.0, 4.0),
            stage("hashed", -1, 1, 3.0, 5.0),
            stage("sent", 0, 0, 5.0, 8.0),
            stage("sent", 1, 0, 5.5, 7.0, failed=True),
            stage("stored", 0, 0, 6.0, 8.0),
            stage("sealed", -1, None, 8.0, 10.0),
        ],
        "cpu": [
            {
                "node": "here",
                "use": [
                    {"start_s": 0.0, "end_s": 5.0, "busy_shares": [1.0, 0.0]},
                    {"start_s": 5.0, "end_s": 10.0, "busy_shares": [0.0, 0.0]},
                ],
            }
        ],
        "missing": [],
        "silent": [],
        **changed,
    }
