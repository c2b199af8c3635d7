"""What the actors of one network need to know; everything else they ask each other.

Plain values: whatever this module imports is imported by every actor's process.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from greenray.actors.chain_view.settings import PatienceSettings
from greenray.actors.collector.settings import CollectorSettings
from greenray.actors.credit.settings import LendingSettings
from greenray.actors.downloader.settings import DownloaderSettings
from greenray.actors.gateway.settings import GatewaySettings
from greenray.actors.p2p.settings import P2PSettings
from greenray.actors.receiver.settings import ReceiverSettings
from greenray.actors.replication.settings import (
    HttpSettings,
    InClusterSettings,
    ReplicationSettings,
)
from greenray.actors.scrubber.settings import ScrubberSettings
from greenray.actors.signer.settings import QueueSettings, SignerSettings, WatchSettings
from greenray.actors.task_node.settings import DriverSettings, TaskNodeSettings
from greenray.actors.uploader.settings import UploaderSettings
from greenray.chain.rpc.settings import FollowSettings, RpcSettings
from greenray.cluster.config.state_dir import StateDir
from greenray.logs.settings import LogSettings
from greenray.storage.piece_location import PieceLocation

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from greenray.cluster.config.settings import Settings

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """The settings of each actor as it takes them, except for what only its host knows."""

    state_root: Path
    chain_endpoint: str
    keys: Path | None
    """A directory of keystores, or a key file; None: the environment."""
    hosted: tuple[str, ...]
    """Operator addresses of the SPs of this network."""
    dialect: str
    codec: str
    pieces: PieceLocation
    receivers: int
    """How many there are, on all nodes together."""
    uploaders: int
    """One on each node that takes uploads."""
    cold_columns_bytes: int
    replication_bytes: int
    parity_bytes: int
    """Of memory in which parity is made, for Receivers on the same node."""
    rpc: RpcSettings
    signer: SignerSettings
    p2p: P2PSettings
    receiver: ReceiverSettings
    scrubber: ScrubberSettings
    downloader: DownloaderSettings
    gateway: GatewaySettings
    uploader: UploaderSettings
    task_node: TaskNodeSettings
    collector: CollectorSettings
    in_cluster: InClusterSettings
    http: HttpSettings
    logs: LogSettings

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
        nodes: int = 1,
    ) -> NodeConfig:
        chain, replication, budget = settings.chain, settings.replication, settings.budget
        lending = _told(LendingSettings, budget)
        return cls(
            state_root=state_root,
            chain_endpoint=chain_endpoint,
            keys=keys,
            hosted=hosted,
            dialect=chain.dialect,
            codec=settings.codec,
            pieces=pieces,
            receivers=min(replication.receivers * uploaders, max(len(hosted), 1)),
            uploaders=uploaders,
            cold_columns_bytes=budget.cold_columns_bytes,
            replication_bytes=budget.replication_bytes,
            # On several nodes its readers may be elsewhere.
            parity_bytes=budget.parity_bytes if nodes == 1 else 0,
            rpc=rpc_settings(settings),
            signer=SignerSettings(_told(QueueSettings, chain), _told(WatchSettings, chain)),
            p2p=_told(P2PSettings, replication),
            receiver=_told(
                ReceiverSettings,
                settings.receiver,
                patience=_told(PatienceSettings, chain.patience),
            ),
            scrubber=_told(ScrubberSettings, settings.scrub),
            downloader=_told(
                DownloaderSettings,
                settings.gateway,
                download_budget_bytes=budget.download_bytes,
                lending=lending,
            ),
            gateway=_told(GatewaySettings, settings.gateway, lending=lending),
            uploader=_told(
                UploaderSettings,
                settings.uploader,
                replication,
                batch_segments=settings.batch_segments,
                buffer_budget_bytes=budget.ingest_bytes,
                hot_budget_bytes=budget.hot_columns_bytes,
                lending=lending,
                # None on several nodes: a column that is slices of whole blocks would bring all of
                # them to every node that takes a column.
                spliced_budget_bytes=budget.payload_bytes // 2 if uploaders == 1 else 0,
            ),
            task_node=_told(
                TaskNodeSettings,
                replication,
                driver=_told(
                    DriverSettings,
                    replication,
                    replication=_told(ReplicationSettings, replication),
                ),
            ),
            collector=_told(CollectorSettings, settings.collector),
            in_cluster=_told(InClusterSettings, replication),
            http=_told(HttpSettings, replication.http),
            logs=settings.logs.told,
        )

    @property
    def state(self) -> StateDir:
        return StateDir(self.state_root)

    def receiver_of(self, sp_address: str) -> int:
        """The index of the Receiver that serves this SP."""
        return self.hosted.index(sp_address) % self.receivers

    def served_by_receiver(self, index: int) -> tuple[str, ...]:
        return self.hosted[index :: self.receivers]


def rpc_settings(settings: Settings) -> RpcSettings:
    """Of whoever asks the chain."""
    return _told(RpcSettings, settings.chain, follow=_told(FollowSettings, settings.chain))


def upload_deadline_s(settings: Settings) -> float:
    """After which a job is given up, from its upload on."""
    return _told(UploaderSettings, settings.replication).deadline_s


def _told(wanted: type[T], *sections: object, **calculated: object) -> T:
    """An actor's settings: a field is what a section has by its name, else what is calculated,
    else its default."""
    found = {
        field.name: getattr(section, field.name)
        for section in sections
        for field in fields(wanted)
        if hasattr(section, field.name)
    }
    return wanted(**(found | calculated))


HOME_ACTORS = ("chain", "job_store", "signer", "p2p", "task_node", "collector")
"""A network has one of each, on its home node; they live in one process there."""


HOME = "home"
"""The name of that process."""


def host_of(name: str) -> str:
    """The name of the process that hosts an actor."""
    if name in HOME_ACTORS:
        return HOME
    role, _, index = name.partition("-")
    return f"receiver-{index}" if role == "scrubber" else name


def host_title(host: str) -> str:
    """What lists of processes show for it, as ``ray::Receiver.sweep``; see ``stage_costs``."""
    return host.partition("-")[0].title()
