"""Where the file store keeps its columns.

::

    root/columns/<object id // 4096>/s<object id>            whole segments, finished
    root/columns/<object id // 4096>/e<object id>_p<index>   EC pieces of one redundancy index
    root/unfinished/s<object id>.a<fence>                  still being written
    root/unfinished/e<object id>_p<index>.a<fence>

The letters are those of the piece keys (protocol 01 §5). Finished columns of neighbouring objects
share a directory, so that a directory holds a bounded number of files and columns can be listed in
key order without holding all of them in memory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from greenray.protocol.errors import InvalidInput
from greenray.protocol.layout import SEGMENTS
from greenray.storage.ports import LONE_WRITER, ColumnKey, Fence

OBJECTS_PER_DIRECTORY = 4096

_NUMBER = "(0|[1-9][0-9]*)"
_COLUMN = re.compile(rf"(?:s{_NUMBER}|e{_NUMBER}_p{_NUMBER})(?:\.a{_NUMBER})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ColumnPaths:
    root: Path

    @property
    def finished_root(self) -> Path:
        return self.root / "columns"

    @property
    def unfinished_root(self) -> Path:
        return self.root / "unfinished"

    def finished(self, key: ColumnKey) -> Path:
        directory = str(key.object_id // OBJECTS_PER_DIRECTORY)
        return self.finished_root / directory / column_name(key)

    def unfinished(self, key: ColumnKey, fence: Fence) -> Path:
        check_column(key, fence)
        return self.unfinished_root / f"{column_name(key)}.a{fence}"


def check_column(key: ColumnKey, fence: Fence = LONE_WRITER) -> None:
    """Raises: InvalidInput, for keys and fences that every store refuses."""
    if key.object_id < 0 or key.redundancy_index < SEGMENTS:
        raise InvalidInput(f"no column of object {key.object_id} has index {key.redundancy_index}")
    if fence < 0:
        raise InvalidInput(f"fence {fence} of column {key} is negative")


def column_name(key: ColumnKey) -> str:
    """Raises: InvalidInput."""
    check_column(key)
    if key.redundancy_index == SEGMENTS:
        return f"s{key.object_id}"
    return f"e{key.object_id}_p{key.redundancy_index}"


def parse_finished(name: str) -> ColumnKey | None:
    """The column of a file name; None for any other file."""
    parsed = _parse(name)
    return parsed[0] if parsed is not None and parsed[1] is None else None


def parse_unfinished(name: str) -> tuple[ColumnKey, Fence] | None:
    """The column and fence of a file name; None for any other file."""
    parsed = _parse(name)
    if parsed is None or parsed[1] is None:
        return None
    return parsed[0], parsed[1]


def _parse(name: str) -> tuple[ColumnKey, Fence | None] | None:
    match = _COLUMN.fullmatch(name)
    if match is None:
        return None
    segments_of, pieces_of, index, fence = match.groups()
    key = ColumnKey(int(segments_of)) if segments_of else ColumnKey(int(pieces_of), int(index))
    return key, None if fence is None else Fence(int(fence))
