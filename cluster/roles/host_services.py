"""What the process that hosts an actor gives it: all that differs between Ray and one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenray.actors.ports import Encoder, ObjectSpace
    from greenray.seam.finder import Finder


@dataclass(frozen=True, slots=True)
class HostServices:
    finder: Finder
    object_space: ObjectSpace
    encoder: Callable[[str], Encoder]
    """Makes one for columns in ``object_space``, by the name of a codec."""
    small_column_bytes: int
    """Columns up to this size are not worth a place in the object space."""
    process_name: str
    """Whom leases belong to: a name that no other process has ever had."""
    work_behind_uploads: Callable[[], None]
    """From now on the process takes the time that Uploaders leave, if it hosts no Uploader."""
