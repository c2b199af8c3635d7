"""What a job does, in words for who waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from greenray.protocol.job import JobState

_WORDS: Mapping[JobState, str] = MappingProxyType(
    {
        JobState.INIT_UNSPECIFIED: "waiting for its payload",
        JobState.UPLOAD_OBJECT_DOING: "receiving",
        JobState.UPLOAD_OBJECT_DONE: "stored",
        JobState.UPLOAD_OBJECT_ERROR: "the upload failed",
        JobState.REPLICATE_OBJECT_DOING: "copying to secondaries",
        JobState.REPLICATE_OBJECT_DONE: "copied to secondaries",
        JobState.REPLICATE_OBJECT_ERROR: "copying to secondaries failed",
        JobState.SIGN_OBJECT_DOING: "collecting signatures",
        JobState.SIGN_OBJECT_DONE: "signed",
        JobState.SIGN_OBJECT_ERROR: "signing failed",
        JobState.SEAL_OBJECT_TX_DOING: "waiting for the seal's block",
        JobState.SEAL_OBJECT_DONE: "sealed",
        JobState.SEAL_OBJECT_ERROR: "sealing failed",
    }
)


def words_of(state_name: str) -> str:
    """Of the name in a job-status document; a name that is unknown here stays as it is."""
    state = JobState.__members__.get(state_name)
    return _WORDS.get(state, state_name) if state is not None else state_name
