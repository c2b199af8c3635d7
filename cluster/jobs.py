"""Jobs for operators: read from the journal, changed by the TaskNode of the running network."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from greenray.actors import names
from greenray.actors.ports import JobOperator
from greenray.client.network_file import NetworkFile
from greenray.cluster.attaching import attached_finder
from greenray.protocol.errors import InvalidInput, NoSuchJob
from greenray.protocol.job import JobState
from greenray.protocol.job_outlook import JobFilter, JobOutlook
from greenray.protocol.names import check_bucket_name
from greenray.storage.journal_file import read_jobs

if TYPE_CHECKING:
    from greenray.seam.finder import Finder


_ADDRESS = re.compile(r"0x[0-9a-f]{40}", re.IGNORECASE)

OperatorSource = Callable[[], JobOperator]
"""Called where an event loop runs, when a job is to be changed."""


def find_jobs(journal: Path, wanted: JobFilter) -> tuple[JobOutlook, ...]:
    """Oldest first; the network may run.

    Raises InvalidName, InvalidInput (no name of a bucket, no address), JournalMissing,
    JournalError.
    """
    _check(wanted)
    now = time.time()
    jobs = read_jobs(journal, unfinished_only=not wanted.lets_final_pass)
    outlooks = (JobOutlook.of(job, now) for job in jobs)
    return tuple(job for job in outlooks if wanted.passes(job))


def _check(wanted: JobFilter) -> None:
    if wanted.bucket_name is not None:
        check_bucket_name(wanted.bucket_name)
    if wanted.sp_address is not None and not _ADDRESS.fullmatch(wanted.sp_address):
        raise InvalidInput(
            f"{wanted.sp_address!r} is no operator address",
            "sp",
            "Use one that 'greenray status' shows",
        )


def find_job(journal: Path, name: str) -> JobOutlook:
    """``name``: the number of a job, or BUCKET/OBJECT, whose newest job it is.

    Raises NoSuchJob, JournalMissing, JournalError.
    """
    jobs = find_jobs(journal, JobFilter(finished=True))
    found = [job for job in jobs if name in (str(job.job_id), job.name)]
    if not found:
        raise NoSuchJob("there is no such job", name, "See: greenray jobs list --all")
    return found[-1]


def parse_state(name: str) -> JobState:
    """Of a state's name or number. Raises InvalidInput."""
    for state in JobState:
        if name.upper() == state.name or name == str(int(state)):
            return state
    names_of_all = ", ".join(state.name for state in JobState)
    raise InvalidInput(f"{name!r} is no state of a job", "state", f"Use one of {names_of_all}")


def operator_of(finder: Finder) -> JobOperator:
    return finder.find(names.JOB_OPERATOR)


def attached_operator(network: NetworkFile) -> JobOperator:
    """Of a network that another process runs. Raises: as ``attached_finder``."""
    return operator_of(attached_finder(network, "retry_job and give_up_job"))
