"""A put says what goes wrong on the way: to a caller, and to people without a terminal."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from greenray.actors.ports import ReceiverPort
from greenray.client.network_file import GatewayAddress, NetworkFile
from greenray.client.setbacks import FailedStep, ReplacedSecondary, Setback
from greenray.cluster.config.state_dir import StateDir
from greenray.protocol.integrity import UnverifiedReceipt
from greenray.protocol.job import JobState
from greenray.storage.file_location import FileLocation
from greenray.storage.ports import GroupKey
from tests.support.faulty_secondaries import LyingReceiver
from tests.support.whole_network import USER_KEY, WholeNetwork, whole_network

PAYLOAD = bytes(range(256)) * 100
SPS = 7
"""No spare: an object takes all of them."""


class Liar(LyingReceiver):
    """Lies until it is converted."""

    converted = False

    async def finish(self, sp_address: str, key: GroupKey) -> UnverifiedReceipt:
        if self.converted:
            return await self.honest.finish(sp_address, key)
        return await super().finish(sp_address, key)


class NetworkWithALiar:
    """Until it is converted every try at an object fails."""

    def __init__(self, network: WholeNetwork) -> None:
        self.network = network
        self.liar = network.sps[2].address
        self._liars: list[Liar] = []
        network.decorate = self._decorate

    def _decorate(self, sp_address: str, receiver: ReceiverPort) -> ReceiverPort:
        if sp_address != self.liar:
            return receiver
        self._liars.append(Liar(receiver))
        return self._liars[-1]

    def convert(self) -> None:
        for liar in self._liars:
            liar.converted = True

    def check(self, replaced: Setback, failed: Setback) -> None:
        assert isinstance(replaced, ReplacedSecondary)
        assert replaced.operator_address == self.liar
        assert replaced.reason == "secondary-lied"
        assert "approval key" in replaced.message
        assert isinstance(failed, FailedStep)
        assert failed.state is JobState.REPLICATE_OBJECT_ERROR
        assert failed.reason == "secondaries-exhausted"


@pytest.fixture
async def faulty(tmp_path: Path) -> AsyncIterator[NetworkWithALiar]:
    async with whole_network(tmp_path, sps=SPS) as network:
        faulty = NetworkWithALiar(network)
        await network.start()
        yield faulty


async def test_each_setback_is_told_once_while_put_waits_and_again_in_its_result(
    faulty: NetworkWithALiar,
) -> None:
    seen: list[Setback] = []

    def failed() -> list[FailedStep]:
        return [setback for setback in seen if isinstance(setback, FailedStep)]

    def on_setback(setback: Setback) -> None:
        seen.append(setback)
        if len(failed()) == 2:
            faulty.convert()

    async with faulty.network.client() as client:
        result = await client.put(io.BytesIO(PAYLOAD), "album", "photo", on_setback=on_setback)
    assert result.status["state"] == "SEAL_OBJECT_DONE"
    faulty.check(seen[0], failed()[0])
    assert len({setback.retries for setback in failed()}) == len(failed())
    assert len(seen) - len(failed()) == len(result.status["replaced"])
    assert result.setbacks == tuple(seen)


async def test_the_command_says_it_on_stderr_and_keeps_stdout_one_document(
    faulty: NetworkWithALiar, tmp_path: Path
) -> None:
    file = tmp_path / "payload.bin"
    file.write_bytes(PAYLOAD)
    with announced(faulty.network, tmp_path / "state") as state_dir:
        command = [sys.executable, "-m", "greenray", "put", str(file), "album/photo"]
        put = await asyncio.create_subprocess_exec(
            *command,
            *("--state-dir", str(state_dir), "--json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert put.stderr is not None
        replaced = (await put.stderr.readline()).decode()
        failed = ""
        while "REPLICATE_OBJECT_ERROR" not in failed:  # a retry may come before a look at the job
            failed = (await put.stderr.readline()).decode()
            assert failed, "put ended"
        faulty.convert()
        stdout, _ = await put.communicate()
    assert replaced.startswith("album/photo: replaced at ")
    assert f"{faulty.liar}, secondary-lied: " in replaced
    assert "approval key" in replaced
    assert failed.startswith("album/photo: REPLICATE_OBJECT_ERROR")
    assert "secondaries-exhausted: " in failed
    assert failed.endswith("(tried again)\n")
    assert put.returncode == 0
    assert json.loads(stdout)["state"] == "SEAL_OBJECT_DONE"


@contextmanager
def announced(network: WholeNetwork, state_dir: Path) -> Iterator[Path]:
    """A state directory by which commands find the network."""
    state = StateDir(state_dir)
    state.lock()
    keys = {"chain_id": "", "keys": {"greenray-user-0": {"private_key": USER_KEY.hex()}}}
    state.keys_file.write_text(json.dumps(keys))
    gateways = [
        GatewayAddress(address, endpoint, "uploader-0", "")
        for address, endpoint in network.live.endpoints.items()
    ]
    state.write_network(
        NetworkFile(
            pid=os.getpid(),
            chain_endpoint=network.chain.endpoint,
            chain_id="greenfield_9000-121",
            dialect="v0_2",
            gateways=tuple(gateways),
            keys=str(state.keys_file),
            user_key_name="greenray-user-0",
            started_at=time.time(),
            pieces=FileLocation(network.folder / "pieces"),
            ray_address="",
            ray_namespace="",
        )
    )
    try:
        yield state_dir
    finally:
        state.unlock()
