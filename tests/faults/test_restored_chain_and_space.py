"""The embedded chain is restored from an older copy: the Collector believes it nothing until it has
caught up, and then what the new history says."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from greenray.actors.collector.actor import Collector
from greenray.actors.collector.settings import CollectorSettings
from greenray.chain.dialects import get_dialect, get_local_dialect
from greenray.chain.local.server import running_chain
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.transactions.user import TransactionSender
from greenray.protocol.errors import ChainNotComparable
from greenray.protocol.layout import SEGMENTS
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.ports import ColumnKey
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.collector_world import LAYOUT
from tests.support.local_chain import (
    BUCKET,
    address,
    create_bucket,
    create_object,
    key,
    small_genesis,
)

SP = address("sp-0-operator")
DELAY_S = 60.0


class Host:
    """What outlives the node: one SP's store and the journal."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.store = MemoryPieceStore()
        self.journal = SqliteJobStore.open(folder / "jobs.sqlite", clock=lambda: self.now)

    def hold(self, object_id: int) -> None:
        writer = self.store.create(ColumnKey(object_id), LAYOUT)
        writer.append([memoryview(bytes(4))])
        writer.finish()

    @property
    def held(self) -> list[int]:
        return [column.object_id for column in self.store.list_columns()]

    def collector(self, chain: RpcChainClient) -> Collector:
        return Collector(
            chain=chain,
            journal=self.journal,
            job_store=self.journal,
            piece_stores={SP: self.store},
            clock=lambda: self.now,
            settings=CollectorSettings(delay_s=DELAY_S),
        )

    async def collect_after_the_delay(self, collector: Collector) -> None:
        await collector.collect(dry_run=False)
        self.now += DELAY_S
        await collector.collect(dry_run=False)


@asynccontextmanager
async def chain_in(home: Path) -> AsyncIterator[tuple[RpcChainClient, TransactionSender]]:
    async with running_chain(
        home,
        port=0,
        local_dialect=get_local_dialect(),
        genesis=small_genesis(),
        block_interval_s=0.02,
    ) as running:
        client = RpcChainClient(running.endpoint)
        try:
            yield client, TransactionSender(client, get_dialect(), key("user"))
        finally:
            await client.close()


async def cancelled_anew(user: TransactionSender, name: str) -> None:
    await user.create_object(create_object(name))
    await user.cancel_create_object(BUCKET, name)


async def test_pieces_of_a_lost_history_go_once_the_new_one_has_given_their_number_away(
    tmp_path: Path,
) -> None:
    home, older = tmp_path / "chain", tmp_path / "older"
    host = Host(tmp_path)
    async with chain_in(home) as (_, user):
        await user.create_bucket(create_bucket())
        assert await user.create_object(create_object("kept")) == 1
        host.hold(1)
    shutil.copytree(home, older)
    async with chain_in(home) as (client, user):
        await host.collector(client).collect(dry_run=False)
        assert await user.create_object(create_object("lost")) == 2
        host.hold(2)
        while (await client.latest_block()).height < 100:
            continue
        await host.collector(client).collect(dry_run=False)

    shutil.rmtree(home)
    shutil.copytree(older, home)
    async with chain_in(home) as (client, user):
        collector = host.collector(client)
        with pytest.raises(ChainNotComparable):
            await host.collect_after_the_delay(collector)
        known = await host.journal.load_knowledge()
        assert known is not None
        while (await client.latest_block()).height <= known.anchor.height:
            continue
        await host.collect_after_the_delay(collector)
        assert host.held == [1, 2]
        await cancelled_anew(user, "another object 2")
        await host.collect_after_the_delay(collector)
        assert host.held == [1]
        assert host.store.exists(ColumnKey(1, SEGMENTS))
    await host.journal.close()
