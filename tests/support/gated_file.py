"""A payload that stops in the middle of being sent, until the test lets it go on."""

from __future__ import annotations

import io
import threading


class GatedFile(io.BytesIO):
    """Hashed freely (by ``readinto``), but sent (by ``read``) only up to ``free_bytes`` until the
    gate opens."""

    def __init__(self, payload: bytes, free_bytes: int) -> None:
        super().__init__(payload)
        self._free_bytes = free_bytes
        self._gate = threading.Event()
        self._breaks = False

    def open_gate(self) -> None:
        self._gate.set()

    def break_off(self) -> None:
        """Reading on fails, as from a disk that was pulled out."""
        self._breaks = True
        self._gate.set()

    def read(self, size: int | None = -1, /) -> bytes:
        left_bytes = self._free_bytes - self.tell()
        if left_bytes > 0:
            return super().read(left_bytes)
        self._gate.wait(timeout=30)
        if self._breaks:
            raise OSError(5, "pulled out")
        return super().read(size)
