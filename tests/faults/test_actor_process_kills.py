"""A running network on Ray: each actor's process is killed while an object is on its way."""

from __future__ import annotations

import asyncio
import io
import os
import random
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from greenray.client.network_file import read_network
from greenray.client.storage_client import StorageClient, WaitFor
from greenray.client.user import open_client
from greenray.cluster.config.settings_loading import load_settings
from greenray.cluster.network import LocalNetwork

SEGMENT_SIZE_BYTES = 64 * 1024
PAYLOAD = random.Random(11).randbytes(40 * SEGMENT_SIZE_BYTES + 5)
PROCESSES = ("task_node", "receiver-0", "uploader-0")
"""An actor of each; the first lives with the journal, the Signer, P2P and the chain's client."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def network() -> AsyncIterator[LocalNetwork]:
    # Ray's sockets live below a path that must be short, so not below tmp_path.
    with tempfile.TemporaryDirectory(prefix="gr-") as folder:
        settings = load_settings(
            None,
            state_dir=Path(folder),
            chain={"port": 0, "genesis_params": {"max_segment_size": SEGMENT_SIZE_BYTES}},
            gateway={"port": 0},
            budget={"memory_bytes": 1 << 30},
            batch_segments=8,  # columns that are worth a place in shared memory
            replication={"ahead_after_bytes": 0},
        )
        network = LocalNetwork(settings)
        await network.start()
        yield network
        await network.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(network: LocalNetwork) -> AsyncIterator[StorageClient]:
    async with open_client(read_network(network.state.root)) as client:
        yield client


async def kill(network: LocalNetwork, name: str) -> None:
    os.kill(await network.process_id(name), signal.SIGKILL)


async def put(client: StorageClient, name: str) -> None:
    """Put until the gateway is back."""
    from greenray.protocol.errors import GreenrayError

    while True:
        try:
            await client.put(io.BytesIO(PAYLOAD), "kills", name, wait=WaitFor.UPLOADED)
        except GreenrayError as error:
            if not error.retryable:
                raise
            await asyncio.sleep(0.2)
        else:
            return


async def sealed(client: StorageClient, name: str) -> None:
    from greenray.protocol.errors import GreenrayError

    while True:
        try:
            status = await client.status("kills", name)
        except GreenrayError as error:
            if not error.retryable:
                raise
        else:
            if status["state"] == "SEAL_OBJECT_DONE":
                return
        await asyncio.sleep(0.1)


def shared_blocks(process_id: int) -> list[str]:
    """That a process has made, or reads."""
    files = [os.readlink(file) for file in Path(f"/proc/{process_id}/fd").iterdir()]
    return [file for file in files if file.startswith("/memfd:greenray")]


@pytest.mark.timeout(180)
@pytest.mark.asyncio(loop_scope="module")
async def test_parity_lies_in_memory_that_is_lent(
    network: LocalNetwork, client: StorageClient
) -> None:
    """So the kills below hit processes that lend, write and read it."""
    await put(client, "lent")
    await sealed(client, "lent")
    for name in ("task_node", "receiver-0"):
        assert shared_blocks(await network.process_id(name))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.asyncio(loop_scope="module")
async def test_an_object_is_sealed_although_a_process_is_killed_after_the_put(
    network: LocalNetwork, client: StorageClient, name: str, tmp_path: Path
) -> None:
    await put(client, name)
    await kill(network, name)
    await sealed(client, name)
    await client.get("kills", name, tmp_path / "downloaded")
    assert (tmp_path / "downloaded").read_bytes() == PAYLOAD


@pytest.mark.timeout(180)
@pytest.mark.asyncio(loop_scope="module")
async def test_the_embedded_chain_itself_may_be_killed(
    network: LocalNetwork, client: StorageClient
) -> None:
    await put(client, "node")
    [node] = [
        child
        for child in psutil.Process().children()
        if child.is_running() and "greenray.chain.local" in child.cmdline()
    ]
    node.kill()
    await sealed(client, "node")


@pytest.mark.timeout(180)
@pytest.mark.asyncio(loop_scope="module")
async def test_all_processes_may_be_killed_at_once(
    network: LocalNetwork, client: StorageClient, tmp_path: Path
) -> None:
    await put(client, "all")
    process_ids = [await network.process_id(name) for name in PROCESSES]
    for process_id in set(process_ids):
        os.kill(process_id, signal.SIGKILL)
    await sealed(client, "all")
    await put(client, "after")
    await sealed(client, "after")
