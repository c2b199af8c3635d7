"""After a chain went back: objects that it still has, and does not know to be sealed or rejected
any more. What was sealed is sealed again, what was given up may be put again."""

from __future__ import annotations

import logging

from greenray.actors import names
from greenray.protocol.errors import NoSuchObject
from greenray.protocol.job import JobContext, JobState
from greenray.protocol.objects import ObjectStatus
from greenray.seam.finder import Finder

log = logging.getLogger(__name__)


async def begin_lost_ends_again(finder: Finder, height: int, deadline_s: float) -> int:
    """``height``: of the last block that is left. Returns how many jobs were begun again; before
    any job is claimed. Raises ChainError, JournalError."""
    jobs, chain = finder.find(names.JOB_STORE), finder.find(names.CHAIN)
    begun = 0
    for job in await jobs.list_jobs():
        if not may_be_lost(job, height):
            continue
        try:
            found = await chain.head_object_by_id(job.object_id)
        except NoSuchObject:
            continue
        is_open = found.object_status is ObjectStatus.OBJECT_STATUS_CREATED
        if is_open and found.identity == job.object_info.identity:
            again = await jobs.begin_again(job.sp_address, job.job_id, deadline_s)
            log.warning(
                "%s had ended (%s) in a block that is lost; it goes on from %s",
                found.name,
                job.state.name,
                again.state.name,
            )
            begun += 1
    return begun


def may_be_lost(job: JobContext, height: int) -> bool:
    """Whether the job ended in a later block than that, or in one nobody knows: the heights of
    rejections and removals are not in the journal."""
    if not job.final:
        return False
    is_sealed = job.state is JobState.SEAL_OBJECT_DONE and job.error is None
    return not is_sealed or job.seal_height is None or job.seal_height > height
