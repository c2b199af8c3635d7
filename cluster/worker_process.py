"""What the processes that Ray starts for us do to themselves."""

from __future__ import annotations

import gc
import os

_BEHIND_UPLOADS = 5
"""Added to the niceness of processes that work for objects whose upload was answered, or will be
answered without them: a third of the time of an Uploader that wants all of it."""


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
