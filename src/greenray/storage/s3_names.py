"""Where the S3 store keeps its columns, and the record that makes one finished (decision 0010).

Keys below an SP's root::

    columns/<object id>_s                                     record of finished whole segments
    columns/<object id>_p<index>                              ... of EC pieces of one index
    unfinished/<column>.a<fence>                            name of the writer that has begun it
    parts/<column>.a<fence>/<writer>/<offset>               the bytes of one append

Object ids and offsets have 20 digits, so that S3's listings, which are ordered by bytes, come in
the order of objects and of bytes in a column.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from greenray.protocol.layout import SEGMENTS
from greenray.storage.column_paths import check_column
from greenray.storage.ports import ColumnKey, Fence

FINISHED = "columns/"
UNFINISHED = "unfinished/"

_COLUMN = re.compile(r"([0-9]{20})_(?:s|p(0|[1-9][0-9]*))", re.ASCII)
_FENCE = re.compile(r"(0|[1-9][0-9]*)", re.ASCII)


def finished_key(key: ColumnKey) -> str:
    """Raises: InvalidInput."""
    return f"{FINISHED}{_column(key)}"


def unfinished_key(key: ColumnKey, fence: Fence) -> str:
    """Raises: InvalidInput."""
    check_column(key, fence)
    return f"{unfinished_prefix(key)}{fence}"


def unfinished_prefix(key: ColumnKey) -> str:
    """What the unfinished keys of all fences of a column begin with; the fence follows."""
    return f"{UNFINISHED}{_column(key)}.a"


def parts_prefix(key: ColumnKey) -> str:
    """What the parts of all fences of a column begin with."""
    return f"parts/{_column(key)}.a"


def part_key(key: ColumnKey, fence: Fence, writer: str, offset: int) -> str:
    return f"{writer_prefix(key, fence, writer)}{offset:020d}"


def writer_prefix(key: ColumnKey, fence: Fence, writer: str) -> str:
    """What the parts of one writer begin with; the offset (bytes) follows."""
    return f"{parts_prefix(key)}{fence}/{writer}/"


def writer_of(part: str) -> tuple[int, str]:
    """(fence, writer) of the key of a part."""
    _, column, writer, _ = part.split("/")
    return int(column.rpartition(".a")[2]), writer


def part_of(part: str) -> tuple[ColumnKey, Fence] | None:
    """(column, fence) that a part belongs to; None for the key of anything else."""
    pieces = part.split("/")
    if len(pieces) != 4 or pieces[0] != "parts":
        return None
    return parse_unfinished(f"{UNFINISHED}{pieces[1]}")


def object_prefix(object_id: int) -> str:
    """What the names of all columns of an object begin with."""
    return f"{object_id:020d}_"


def parse_finished(name: str) -> ColumnKey | None:
    """The column of a finished key; None for any other."""
    return _parse(name.removeprefix(FINISHED))


def parse_unfinished(name: str) -> tuple[ColumnKey, Fence] | None:
    """The column and fence of an unfinished key; None for any other."""
    column, _, fence = name.removeprefix(UNFINISHED).rpartition(".a")
    key = _parse(column)
    if key is None or not _FENCE.fullmatch(fence):
        return None
    return key, Fence(int(fence))


def _column(key: ColumnKey) -> str:
    check_column(key)
    index = "s" if key.redundancy_index == SEGMENTS else f"p{key.redundancy_index}"
    return f"{key.object_id:020d}_{index}"


def _parse(name: str) -> ColumnKey | None:
    match = _COLUMN.fullmatch(name)
    if match is None:
        return None
    return ColumnKey(int(match[1]), SEGMENTS if match[2] is None else int(match[2]))


@dataclass(frozen=True, slots=True)
class FinishedColumn:
    """The record of a finished column: whose parts it consists of, and where they end."""

    fence: Fence
    writer: str
    ends: tuple[int, ...]
    """Where each part ends in the column, in bytes; the next one begins there."""

    @property
    def size_bytes(self) -> int:
        return self.ends[-1] if self.ends else 0

    def ranges(self, start: int, end: int, limit_bytes: int) -> Iterator[tuple[int, int, int]]:
        """What to read for bytes ``start`` to ``end`` of the column: (offset of a part in the
        column, first byte, end) in that part, at most ``limit_bytes`` at a time."""
        for part_start, part_end in pairwise((0, *self.ends)):
            first, last = max(start, part_start), min(end, part_end)
            for begin in range(first, last, limit_bytes):
                until = min(begin + limit_bytes, last)
                yield part_start, begin - part_start, until - part_start

    def to_bytes(self) -> bytes:
        return json.dumps(
            {"attempt": self.fence, "writer": self.writer, "ends": self.ends}
        ).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> FinishedColumn:
        """Raises: ValueError, for anything that ``to_bytes`` does not make."""
        try:
            document = json.loads(data)
            return cls(
                Fence(int(document["attempt"])), str(document["writer"]), tuple(document["ends"])
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a record of a column: {error}") from error
