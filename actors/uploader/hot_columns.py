"""The data columns that are still in the object space: a cache within a byte budget, no promise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from greenray.actors.ports import ColumnRef


@dataclass(slots=True)
class _HotObject:
    used_at: float
    size_bytes: int = 0
    batches: dict[int, tuple[int, tuple[ColumnRef, ...]]] = field(default_factory=dict)


class HotColumnCache:
    """References to the columns of batches; dropping a reference frees its column.

    A batch that finds no room is refused rather than pushing out earlier ones: replication reads an
    object from its first batch on, and older objects before newer ones. Only objects that nobody
    asked for in the last ``idle_s`` seconds make room, longest unused first.
    """

    def __init__(self, budget_bytes: int, idle_s: float, clock: Callable[[], float]) -> None:
        """``clock``: monotonic seconds."""
        self._budget_bytes = budget_bytes
        self._idle_s = idle_s
        self._clock = clock
        self._objects: dict[tuple[str, int], _HotObject] = {}
        self._held_bytes = 0
        self._released = asyncio.Event()

    @property
    def held_bytes(self) -> int:
        """Columns that are kept or reserved."""
        return self._held_bytes

    def reserve(self, sp_address: str, object_id: int, size_bytes: int) -> bool:
        """Whether a batch of ``size_bytes`` may be put into the object space; its bytes then count
        as held until ``keep`` or ``cancel``."""
        if not self._make_room(size_bytes, (sp_address, object_id)):
            return False
        self._held_bytes += size_bytes
        return True

    async def reserve_soon(
        self, sp_address: str, object_id: int, size_bytes: int, patience_s: float
    ) -> bool:
        """``reserve``, but wait for other batches to be released."""
        if size_bytes > self._budget_bytes:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while not self.reserve(sp_address, object_id, size_bytes):
                    await self._released.wait()
                return True
        return False

    def cancel(self, size_bytes: int) -> None:
        """Give back what was reserved."""
        self._give_back(size_bytes)

    def keep(
        self,
        sp_address: str,
        object_id: int,
        batch_index: int,
        columns: tuple[ColumnRef, ...],
        size_bytes: int,
    ) -> None:
        """Hold the columns of a batch for which ``size_bytes`` are reserved."""
        hot = self._objects.get((sp_address, object_id)) or _HotObject(self._clock())
        self.release_batch(sp_address, object_id, batch_index)
        hot.batches[batch_index] = (size_bytes, columns)
        hot.size_bytes += size_bytes
        self._use((sp_address, object_id), hot)

    def get(
        self, sp_address: str, object_id: int, batch_index: int
    ) -> tuple[ColumnRef, ...] | None:
        """The columns of a batch in order, or None when it is not held (any more)."""
        hot = self._objects.get((sp_address, object_id))
        if hot is None:
            return None
        self._use((sp_address, object_id), hot)
        batch = hot.batches.get(batch_index)
        return None if batch is None else batch[1]

    def release_batch(self, sp_address: str, object_id: int, batch_index: int) -> None:
        """Drop one batch; an unknown one is fine."""
        hot = self._objects.get((sp_address, object_id))
        batch = hot.batches.pop(batch_index, None) if hot is not None else None
        if hot is not None and batch is not None:
            hot.size_bytes -= batch[0]
            self._give_back(batch[0])

    def release(self, sp_address: str, object_id: int) -> None:
        """Drop everything of an object; unknown objects are fine."""
        hot = self._objects.pop((sp_address, object_id), None)
        if hot is not None:
            self._give_back(hot.size_bytes)

    def _give_back(self, size_bytes: int) -> None:
        self._held_bytes -= size_bytes
        released, self._released = self._released, asyncio.Event()
        released.set()

    def _use(self, key: tuple[str, int], hot: _HotObject) -> None:
        """Stamp it; the dict stays in the order of last use."""
        hot.used_at = self._clock()
        self._objects.pop(key, None)
        self._objects[key] = hot

    def _make_room(self, size_bytes: int, wanted_by: tuple[str, int]) -> bool:
        if size_bytes > self._budget_bytes:
            return False
        idle_since = self._clock() - self._idle_s
        while self._held_bytes + size_bytes > self._budget_bytes:
            others = (item for item in self._objects.items() if item[0] != wanted_by)
            oldest_key, oldest = next(others, (None, None))
            if oldest_key is None or oldest is None or oldest.used_at > idle_since:
                return False
            self.release(*oldest_key)
        return True
