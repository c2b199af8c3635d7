"""Checksums of a batch's segments while its bytes pass by."""

from __future__ import annotations

from collections import deque
from hashlib import sha256

from greenray.protocol.layout import PayloadLayout
from greenray.storage.ports import Buffer


class SegmentHasher:
    """Of one batch, whose payload comes in parts of any length, in order."""

    def __init__(self, layout: PayloadLayout, batch_index: int) -> None:
        segments = layout.segments.batch_range(batch_index)
        self._lengths = deque(layout.segment_length(segment) for segment in segments)
        self._open = sha256()
        self._open_bytes = 0

    def update(self, part: Buffer) -> list[bytes]:
        """The SHA-256 of each segment that ends in ``part``."""
        ended = []
        while part:
            here = part[: self._lengths[0] - self._open_bytes]
            self._open.update(here)
            self._open_bytes += len(here)
            if self._open_bytes == self._lengths[0]:
                ended.append(self._open.digest())
                self._open, self._open_bytes = sha256(), 0
                self._lengths.popleft()
            part = part[len(here) :]
        return ended
