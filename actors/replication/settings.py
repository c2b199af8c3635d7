"""What replication is told, and the two ways to a secondary."""

from __future__ import annotations

from dataclasses import dataclass

from greenray.actors.settings import AtLeastOne, PositiveSeconds


@dataclass(frozen=True, slots=True)
class ReplicationSettings:
    window_batches: AtLeastOne = 1
    """Batches that may wait for one secondary."""
    batch_timeout_s: PositiveSeconds = 60.0
    """How long a secondary may take for one batch, or to open or finish a group, before it is
    replaced."""


@dataclass(frozen=True, slots=True)
class InClusterSettings:
    call_timeout_s: PositiveSeconds = 30.0
    """For one call to a Receiver of this cluster: one batch at most."""
    restart_wait_s: PositiveSeconds = 20.0
    """How long a Receiver whose process died is given to come back."""
    restart_poll_s: float = 0.25
    whole_group_bytes: int = 0
    """Groups of one batch up to this size are sent in one call, which saves a small object most of
    its calls; they are held until their last byte is there, as over HTTP."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    idle_timeout_s: PositiveSeconds = 60.0
    """A secondary may take as long as it likes, but something must move within this time."""
    connect_timeout_s: PositiveSeconds = 10.0
    """For a connection to a secondary."""
    chunk_bytes: int = 256 * 1024
