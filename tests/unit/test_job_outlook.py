from __future__ import annotations

from dataclasses import replace

import pytest

from greenray.protocol.job import JobContext, JobError, JobState
from greenray.protocol.job_outlook import JobFilter, JobOutlook
from greenray.protocol.objects import StorageParams
from tests.support.protocol_values import HELLO, PRIMARY

NOW = 1_700_000_100.0
ERROR = JobError("secondaries-exhausted", "no approved secondary is left", retryable=True)
JOB = JobContext(
    5, PRIMARY, HELLO, StorageParams(), 4, created_at=NOW - 90, deadline_at=NOW + 86_400
)
FAILED = replace(
    JOB, state=JobState.REPLICATE_OBJECT_ERROR, error=ERROR, retries=3, retry_at=NOW + 20
)
SEALED = replace(FAILED, state=JobState.SEAL_OBJECT_DONE, error=None, final=True)
HELD = replace(
    JOB,
    state=JobState.REPLICATE_OBJECT_DOING,
    owner="process-1",
    lease_expires_at=NOW + 30,
)


@pytest.mark.parametrize(
    ("job", "waits_for"),
    [
        (FAILED, "its next retry (secondaries-exhausted)"),
        (replace(FAILED, retry_at=NOW - 1), "a TaskNode"),
        (replace(JOB, state=JobState.UPLOAD_OBJECT_DONE), "a TaskNode"),
        (HELD, "the end of a step, at process-1"),
        (replace(HELD, lease_expires_at=NOW), "a TaskNode"),
        (replace(HELD, state=JobState.UPLOAD_OBJECT_DOING), "the rest of its payload"),
        (replace(JOB, state=JobState.UPLOAD_OBJECT_ERROR), "its client, who may put it again"),
        (replace(FAILED, final=True), ""),
    ],
)
def test_a_job_says_what_it_waits_for(job: JobContext, waits_for: str) -> None:
    assert JobOutlook.of(job, NOW).waits_for == waits_for


def test_a_job_that_failed_is_stuck_until_it_goes_on_or_ends() -> None:
    failed = JobOutlook.of(FAILED, NOW)
    assert (failed.stuck, failed.age_s, failed.next_retry_in_s) == (True, 90, 20)
    assert JobOutlook.of(replace(FAILED, retry_at=NOW - 1), NOW).next_retry_in_s == 0
    for going_on in (JOB, HELD, replace(FAILED, final=True)):
        outlook = JobOutlook.of(going_on, NOW)
        assert (outlook.stuck, outlook.next_retry_in_s) == (False, None)


@pytest.mark.parametrize(
    ("wanted", "passing"),
    [
        (JobFilter(), [FAILED, HELD]),
        (JobFilter(stuck=True), [FAILED]),
        (JobFilter(state=JobState.REPLICATE_OBJECT_DOING), [HELD]),
        (JobFilter(bucket_name=HELLO.bucket_name), [FAILED, HELD]),
        (JobFilter(bucket_name="another"), []),
        (JobFilter(sp_address=PRIMARY.upper()), [FAILED, HELD]),
        (JobFilter(sp_address="0x1"), []),
        (JobFilter(state=JobState.SEAL_OBJECT_DONE), [SEALED]),
        (JobFilter(finished=True), [FAILED, HELD, SEALED, replace(FAILED, final=True)]),
    ],
)
def test_a_filter_lets_pass_what_fits_all_of_it(
    wanted: JobFilter, passing: list[JobContext]
) -> None:
    jobs = [FAILED, HELD, SEALED, replace(FAILED, final=True)]
    outlooks = [JobOutlook.of(job, NOW) for job in jobs]
    assert [outlook for outlook in outlooks if wanted.passes(outlook)] == [
        JobOutlook.of(job, NOW) for job in passing
    ]


def test_its_json_has_the_names_of_a_jobs_status() -> None:
    document = JobOutlook.of(FAILED, NOW).to_json()
    assert document["error"] == {
        "reason": "secondaries-exhausted",
        "message": "no approved secondary is left",
        "retryable": True,
    }
    assert document["state"] == "REPLICATE_OBJECT_ERROR"
    assert document["state_number"] == 9
    assert (document["bucket"], document["object"]) == (HELLO.bucket_name, HELLO.object_name)
