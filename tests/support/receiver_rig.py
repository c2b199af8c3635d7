"""A Receiver over real stores and a fake chain, with the means to look behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from greenray.actors.chain_view.settings import PatienceSettings
from greenray.actors.receiver.actor import Receiver
from greenray.actors.receiver.settings import ReceiverSettings
from greenray.actors.traffic import Traffic
from greenray.chain.dialects import get_dialect
from greenray.protocol.objects import StorageParams
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.ports import ColumnKey, GroupRow, JobStore, PieceStore
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.fake_chain import FakeChain
from tests.support.groups import NOW, SMALL_SEGMENTS, ObjectGroups, put_object_on_chain
from tests.support.sps import KeySigner, SpKeys

IMPATIENT = ReceiverSettings(
    threads=2,
    patience=PatienceSettings(blocks=2, limit_s=10.0, poll_interval_s=0.001),
    wire_batch_bytes=2 * 1024 * 1024,
)


@dataclass
class Clock:
    """Unix seconds that only move when a test says so."""

    now: float = float(NOW)

    def __call__(self) -> float:
        return self.now


@dataclass
class ReceiverRig:
    """``secondary`` and ``other`` are hosted by the receiver, ``primary`` is not."""

    job_store: SqliteJobStore
    chain: FakeChain
    clock: Clock
    primary: SpKeys = field(default_factory=lambda: SpKeys.numbered(0))
    secondary: SpKeys = field(default_factory=lambda: SpKeys.numbered(1))
    other: SpKeys = field(default_factory=lambda: SpKeys.numbered(2))
    piece_stores: dict[str, PieceStore] = field(default_factory=dict)
    settings: ReceiverSettings = IMPATIENT
    uploads: Traffic = field(default_factory=Traffic)
    receivers: list[Receiver] = field(default_factory=list)

    @classmethod
    def create(cls, folder: Path, params: StorageParams = SMALL_SEGMENTS) -> ReceiverRig:
        clock = Clock()
        job_store = SqliteJobStore.open(folder / "jobs.db", clock=clock)
        rig = cls(job_store, FakeChain(params=params), clock)
        for sp in (rig.secondary, rig.other):
            rig.piece_stores[sp.address] = MemoryPieceStore()
            rig.chain.providers.append(sp.provider())
        return rig

    def start(
        self, settings: ReceiverSettings | None = None, job_store: JobStore | None = None
    ) -> Receiver:
        """A new Receiver over the same stores, as after a restart."""
        receiver = Receiver(
            chain=self.chain,
            job_store=job_store or self.job_store,
            piece_stores=self.piece_stores,
            signer=KeySigner([self.secondary, self.other]),
            dialect=get_dialect(),
            clock=self.clock,
            uploads=self.uploads,
            settings=settings or self.settings,
        )
        self.receivers.append(receiver)
        return receiver

    def put_object(
        self, payload_size: int, object_name: str = "photo.jpg", *, replica: bool = False
    ) -> ObjectGroups:
        return put_object_on_chain(
            self.chain, self.primary, payload_size, object_name=object_name, replica=replica
        )

    @property
    def store(self) -> PieceStore:
        return self.piece_stores[self.secondary.address]

    def stored(self, groups: ObjectGroups, redundancy_index: int) -> bytes:
        """The finished column that the secondary holds."""
        column = bytearray(groups.layout.size_bytes)
        key = ColumnKey(groups.info.id, redundancy_index)
        self.store.read_into(key, groups.layout, 0, [memoryview(column)])
        return bytes(column)

    async def leftovers(
        self,
    ) -> tuple[list[ColumnKey], list[tuple[ColumnKey, int]], list[GroupRow]]:
        """Everything the secondary holds: finished columns, unfinished ones, rows of groups."""
        return (
            list(self.store.list_columns()),
            list(self.store.list_unfinished()),
            list(await self.job_store.list_groups(self.secondary.address)),
        )

    async def close(self) -> None:
        for receiver in self.receivers:
            await receiver.close()
        await self.job_store.close()


NOTHING: tuple[list[ColumnKey], list[tuple[ColumnKey, int]], list[GroupRow]] = ([], [], [])
"""What ``leftovers`` answers when nothing was ever stored."""
