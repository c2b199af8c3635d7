"""Bytes in Ray's object store, at addresses from which a file can be written past the page cache.

Such a write takes memory only at multiples of 512 bytes (``greenray.storage.direct_io``), and
whoever stores what lies elsewhere has to copy it first: a fifth of a CPU second per GB. Ray places
objects at multiples of 64. When every object fills whole pages, the bytes of all lie at the same
place in their pages, and a gap of the right size before them moves that to where it has to be.

This rests on how Ray lays objects out and allocates them. Where it is otherwise, for a while or for
ever, the bytes are copied again; nothing but speed depends on it.
"""

from __future__ import annotations

from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any

import numpy as np

from greenray.cluster.on_ray.private import OBJECT_ALIGNMENT_BYTES, OBJECT_OVERHEAD_BYTES
from greenray.storage.direct_io import address_of

if TYPE_CHECKING:
    from greenray.actors.ports import Column
    from greenray.storage.ports import Buffer

_PAGE_BYTES = 4096
_ALIGNMENT_BYTES = 512

USUAL_LEAD_BYTES = 256
"""The gap that is right when nothing but ``PlacedBytes`` is in the store."""

_ZEROS = np.zeros(_PAGE_BYTES, dtype=np.uint8).data


class PlacedBytes:
    """Contiguous bytes as Ray is given them: with a gap of ``lead_bytes`` before, and one behind
    that fills the last page. Who gets them from Ray gets a flat array of them, without a copy."""

    def __init__(self, memory: Buffer, lead_bytes: int = USUAL_LEAD_BYTES) -> None:
        self._memory = memory
        self.lead_bytes = lead_bytes

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        used_bytes = self._memory.nbytes + self.lead_bytes + OBJECT_OVERHEAD_BYTES
        used_bytes += -used_bytes % OBJECT_ALIGNMENT_BYTES
        lead = PickleBuffer(_ZEROS[: self.lead_bytes])
        trail = PickleBuffer(_ZEROS[: -used_bytes % _PAGE_BYTES])
        return _array, (lead, PickleBuffer(self._memory), trail)


def _array(lead: Buffer, memory: Buffer, trail: Buffer) -> Column:
    return np.frombuffer(memory, dtype=np.uint8)


class Placing:
    """The gap before the next bytes, as the last ones teach it. Thread-safe."""

    def __init__(self) -> None:
        self.lead_bytes = USUAL_LEAD_BYTES

    def placed(self, memory: Buffer) -> PlacedBytes:
        return PlacedBytes(memory, self.lead_bytes)

    def learn(self, placed: PlacedBytes, stored: Column) -> None:
        """``stored`` is what Ray gave back for ``placed``."""
        off_bytes = address_of(stored.data) % _ALIGNMENT_BYTES if stored.size else 0
        if off_bytes and off_bytes % OBJECT_ALIGNMENT_BYTES == 0:
            self.lead_bytes = (placed.lead_bytes - off_bytes) % _ALIGNMENT_BYTES
