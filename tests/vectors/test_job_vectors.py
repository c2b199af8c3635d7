"""protocol 02: state numbers, names and progress texts."""

from __future__ import annotations

import pytest

from greenray.protocol.job import JobState
from greenray.protocol.job_table import progress_text

_STATES = {
    0: "INIT_UNSPECIFIED",
    1: "UPLOAD_OBJECT_DOING",
    2: "UPLOAD_OBJECT_DONE",
    3: "UPLOAD_OBJECT_ERROR",
    7: "REPLICATE_OBJECT_DOING",
    8: "REPLICATE_OBJECT_DONE",
    9: "REPLICATE_OBJECT_ERROR",
    10: "SIGN_OBJECT_DOING",
    11: "SIGN_OBJECT_DONE",
    12: "SIGN_OBJECT_ERROR",
    13: "SEAL_OBJECT_TX_DOING",
    14: "SEAL_OBJECT_DONE",
    15: "SEAL_OBJECT_ERROR",
}
_TEXTS = {
    "object payload is uploading to the primary SP": (0, 1),
    "object payload is replicating to the secondary SPs in the background": (2, 7, 8),
    "object meta is sealing onto the chain in the background": (10, 11, 13),
    "object is succeed to upload": (14,),
    "something is wrong in the upload process": (3, 9, 12, 15),
}


def test_states_have_the_numbers_and_names_of_the_specification() -> None:
    assert {state.value: state.name for state in JobState} == _STATES


@pytest.mark.parametrize(("text", "states"), _TEXTS.items())
def test_progress_text_is_the_literal_of_v0_2(text: str, states: tuple[int, ...]) -> None:
    assert {progress_text(JobState(state), sealed=False) for state in states} == {text}


def test_every_state_has_a_progress_text() -> None:
    assert {progress_text(state, sealed=False) for state in JobState} == _TEXTS.keys()


def test_an_object_without_a_job_has_not_been_started() -> None:
    assert progress_text(None, sealed=False) == (
        "object meta is created in the chain, but the upload has been not started yet"
    )


@pytest.mark.parametrize("state", [None, *JobState])
def test_a_sealed_object_has_succeeded_whatever_its_job_says(state: JobState | None) -> None:
    assert progress_text(state, sealed=True) == "object is succeed to upload"
