"""The data columns that are still in the object space: a cache within a byte budget, no promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from actors.ports import ColumnRef


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

    def cancel(self, size_bytes: int) -> None:
        """Give back what was reserved."""
        self._held_bytes -= size_bytes

    def keep(
        self,
        sp_address: str,
        object_id: int,
        batch_index: int,
        columns: tuple[ColumnRef, ...],
        size_bytes: int,
    ) -> None:
        """Hold the columns of a batch for which ``size_bytes`` are reserved."""
        hot = self._objects.setdefault((sp_address, object_id), _HotObject(self._clock()))
        previous = hot.batches.get(batch_index)
        if previous is not None:
            hot.size_bytes -= previous[0]
            self._held_bytes -= previous[0]
        hot.batches[batch_index] = (size_bytes, columns)
        hot.size_bytes += size_bytes
        hot.used_at = self._clock()

    def get(
        self, sp_address: str, object_id: int, batch_index: int
    ) -> tuple[ColumnRef, ...] | None:
        """The columns of a batch in order, or None when it is not held (any more)."""
        hot = self._objects.get((sp_address, object_id))
        if hot is None:
            return None
        hot.used_at = self._clock()
        batch = hot.batches.get(batch_index)
        return None if batch is None else batch[1]

    def release(self, sp_address: str, object_id: int) -> None:
        """Drop everything of an object; unknown objects are fine."""
        hot = self._objects.pop((sp_address, object_id), None)
        if hot is not None:
            self._held_bytes -= hot.size_bytes

    def _make_room(self, size_bytes: int, wanted_by: tuple[str, int]) -> bool:
        if size_bytes > self._budget_bytes:
            return False
        idle_since = self._clock() - self._idle_s
        idle = sorted(
            (hot.used_at, key)
            for key, hot in self._objects.items()
            if hot.used_at <= idle_since and key != wanted_by
        )
        for _, key in idle:
            if self._held_bytes + size_bytes <= self._budget_bytes:
                break
            self.release(*key)
        return self._held_bytes + size_bytes <= self._budget_bytes
