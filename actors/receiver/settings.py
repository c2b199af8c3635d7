"""What a Receiver is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from greenray.actors.chain_view.settings import PatienceSettings
from greenray.actors.settings import MIB, AtLeastOne


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    threads: AtLeastOne = 4
    """Threads of one Receiver that hash and write; they bound what it does at a time."""
    max_open_groups: AtLeastOne = 1024
    """Groups of one Receiver with an open column; beyond this the longest unused one is set aside
    on disk."""
    patience: PatienceSettings = field(default_factory=PatienceSettings)
    """With a chain that has not seen the object yet."""
    wire_batch_bytes: int = 16 * MIB
    """Batches of a group that arrives over HTTP are about this large."""
