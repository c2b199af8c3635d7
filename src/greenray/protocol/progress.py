"""What a client is told about an upload (protocol 02 §4, v0.2 texts; clients compare them)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from greenray.protocol.job import JobState

NOT_STARTED = "object meta is created in the chain, but the upload has been not started yet"
UPLOADING = "object payload is uploading to the primary SP"
REPLICATING = "object payload is replicating to the secondary SPs in the background"
SEALING = "object meta is sealing onto the chain in the background"
SUCCEEDED = "object is succeed to upload"
FAILED = "something is wrong in the upload process"

_TEXTS: Mapping[JobState, str] = MappingProxyType(
    {
        JobState.INIT_UNSPECIFIED: UPLOADING,
        JobState.UPLOAD_OBJECT_DOING: UPLOADING,
        JobState.UPLOAD_OBJECT_DONE: REPLICATING,
        JobState.UPLOAD_OBJECT_ERROR: FAILED,
        JobState.REPLICATE_OBJECT_DOING: REPLICATING,
        JobState.REPLICATE_OBJECT_DONE: REPLICATING,
        JobState.REPLICATE_OBJECT_ERROR: FAILED,
        JobState.SIGN_OBJECT_DOING: SEALING,
        JobState.SIGN_OBJECT_DONE: SEALING,
        JobState.SIGN_OBJECT_ERROR: FAILED,
        JobState.SEAL_OBJECT_TX_DOING: SEALING,
        JobState.SEAL_OBJECT_DONE: SUCCEEDED,
        JobState.SEAL_OBJECT_ERROR: FAILED,
    }
)


def progress_text(state: JobState | None, sealed: bool) -> str:
    """``state`` is None when the object has no job; ``sealed`` is what the chain says, and wins."""
    if sealed:
        return SUCCEEDED
    return NOT_STARTED if state is None else _TEXTS[state]
