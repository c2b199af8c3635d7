"""What the actors of one network need to know; everything else they ask each other.

Plain values: whatever this module imports is imported by every actor's process.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from greenray.cluster.config.state_dir import StateDir
from greenray.storage.piece_location import PieceLocation

if TYPE_CHECKING:
    from greenray.cluster.config.settings import Settings


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Times in seconds, sizes in bytes; see ``greenray.cluster.config.settings`` for what each one
    means."""

    state_root: Path
    chain_endpoint: str
    keys: Path | None
    """A directory of keystores, or a key file; None: the environment."""
    hosted: tuple[str, ...]
    """Operator addresses of the SPs of this network."""
    dialect: str
    codec: str
    pieces: PieceLocation
    batch_segments: int
    receivers: int
    """How many there are, on all nodes together."""
    uploaders: int
    """One on each node that takes uploads."""
    seal_timeout_blocks: int
    ingest_bytes: int
    hot_columns_bytes: int
    spliced_columns_bytes: int
    """How much of payloads that were put from within the cluster replication may keep from being
    freed. None on several nodes: a column that is slices of whole blocks would bring all of them to
    every node that takes a column."""
    cold_columns_bytes: int
    replication_bytes: int
    download_bytes: int
    idle_timeout_s: float
    approval_timeout_s: float
    batch_timeout_s: float
    retry_base_s: float
    retry_cap_s: float
    deadline_s: float
    ahead_after_bytes: int
    restart_wait_s: float = 20.0
    """How long a Receiver whose process died is given to come back."""

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        state_root: Path,
        chain_endpoint: str,
        keys: Path | None,
        hosted: tuple[str, ...],
        pieces: PieceLocation,
        uploaders: int = 1,
    ) -> NodeConfig:
        replication = settings.replication
        return cls(
            state_root=state_root,
            chain_endpoint=chain_endpoint,
            keys=keys,
            hosted=hosted,
            dialect=settings.chain.dialect,
            codec=settings.codec,
            pieces=pieces,
            batch_segments=settings.batch_segments,
            receivers=min(replication.receivers * uploaders, max(len(hosted), 1)),
            uploaders=uploaders,
            seal_timeout_blocks=settings.chain.seal_timeout_blocks,
            ingest_bytes=settings.budget.ingest_bytes,
            hot_columns_bytes=settings.budget.hot_columns_bytes,
            spliced_columns_bytes=settings.budget.payload_bytes // 2 if uploaders == 1 else 0,
            cold_columns_bytes=settings.budget.cold_columns_bytes,
            replication_bytes=settings.budget.replication_bytes,
            download_bytes=settings.budget.download_bytes,
            idle_timeout_s=settings.gateway.idle_timeout_s,
            approval_timeout_s=replication.approval_timeout_s,
            batch_timeout_s=replication.batch_timeout_s,
            retry_base_s=replication.retry_base_s,
            retry_cap_s=replication.retry_cap_s,
            deadline_s=replication.deadline_s,
            ahead_after_bytes=replication.ahead_after_bytes,
        )

    @property
    def state(self) -> StateDir:
        return StateDir(self.state_root)

    def receiver_of(self, sp_address: str) -> int:
        """The index of the Receiver that serves this SP."""
        return self.hosted.index(sp_address) % self.receivers

    def served_by_receiver(self, index: int) -> tuple[str, ...]:
        return self.hosted[index :: self.receivers]


HOME_ACTORS = ("chain", "job_store", "signer", "p2p", "task_node")
"""A network has one of each, on its home node; they live in one process there."""


def host_of(name: str) -> str:
    """The name of the process that hosts an actor."""
    return "home" if name in HOME_ACTORS else name


def host_title(host: str) -> str:
    """What lists of processes show for it, as ``ray::Receiver.sweep``; see ``stage_costs``."""
    return host.partition("-")[0].title()
