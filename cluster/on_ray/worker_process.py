"""What the processes that Ray starts for us do to themselves."""

from __future__ import annotations

import gc
import os
import uuid
from functools import cache

_BEHIND_UPLOADS = 19
"""Added to the niceness of processes that work for objects whose upload was answered, or will be
answered without them: they live on what uploads leave, which while a payload arrives is enough for
half of it. At 5 a PUT was answered a quarter later, and the object sealed no sooner."""


def settle() -> None:
    """Call when everything is imported and built: the garbage collector never looks at it again.

    Ray collects garbage in its processes rather often, and what was imported costs it 0.1 s each
    time.
    """
    gc.collect()
    gc.freeze()


def work_behind_uploads() -> None:
    """From now on this process takes the time that Uploaders leave. Call it once."""
    os.nice(_BEHIND_UPLOADS)


@cache
def process_name() -> str:
    """A name for this process that no other has ever had: leases belong to it."""
    return f"process-{os.getpid()}-{uuid.uuid4().hex[:8]}"
