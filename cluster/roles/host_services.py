"""What the process that hosts an actor gives it: all that differs between Ray and one process."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from greenray.actors.traffic import Traffic
from greenray.seam.fault_points import NO_FAULTS, FaultPoints, clock_through, store_through

if TYPE_CHECKING:
    from greenray.actors.ports import Encoder, ObjectSpace
    from greenray.seam.finder import Finder
    from greenray.storage.piece_location import PieceLocation
    from greenray.storage.ports import PieceStore


@dataclass(frozen=True, slots=True)
class HostServices:
    finder: Finder
    object_space: ObjectSpace
    encoder: Callable[[str, int], Encoder]
    """Makes one for columns in ``object_space``, by the name of a codec, with so many bytes of
    memory to share with the other processes of its machine."""
    small_column_bytes: int
    """Columns up to this size are not worth a place in the object space."""
    process_name: str
    """Whom leases belong to: a name that no other process has ever had."""
    work_behind_uploads: Callable[[], None]
    """From now on the process takes the time that Uploaders leave, if it hosts no Uploader."""
    fault_points: FaultPoints = NO_FAULTS
    """Of this process."""
    uploads: Traffic = field(default_factory=Traffic)
    """Columns of uploads are being stored by this process."""

    @property
    def clock(self) -> Callable[[], float]:
        """Gives unix seconds."""
        return clock_through(self.fault_points)

    def open_stores(self, pieces: PieceLocation, served: Collection[str]) -> dict[str, PieceStore]:
        """The stores of these SPs, by operator address. Raises NoSpaceLeft, StoreError."""
        return {
            sp_address: store_through(store, self.fault_points)
            for sp_address, store in pieces.open(served).items()
        }
