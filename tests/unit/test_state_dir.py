from __future__ import annotations

from pathlib import Path

import pytest

from greenray.client.network_file import GatewayAddress, NetworkFile, is_locked, read_network
from greenray.cluster.config.state_dir import StateDir
from greenray.protocol.errors import AlreadyRunning, InvalidSetting, NotRunning, StoreError
from greenray.protocol.known_chain import KnownBlock, KnownChain
from greenray.storage.s3_location import S3Location, S3Options

NETWORK = NetworkFile(
    pid=1,
    chain_endpoint="http://127.0.0.1:26750",
    chain_id="greenfield_9000-121",
    dialect="v0_2",
    gateways=(GatewayAddress("0xabc", "http://127.0.0.1:9033", "uploader-0", "node-1"),),
    keys="keys.json",
    user_key_name="greenray-user-0",
    started_at=1.0,
    pieces=S3Location("bucket", "prefix", S3Options(attempts=2)),
    ray_address="127.0.0.1:6379",
    ray_namespace="greenray-1",
)


def test_one_process_at_a_time_holds_the_directory(tmp_path: Path) -> None:
    first, second = StateDir(tmp_path), StateDir(tmp_path)
    first.lock()
    assert is_locked(tmp_path)
    with pytest.raises(AlreadyRunning, match="greenray down"):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()
    assert not is_locked(tmp_path)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        StateDir(tmp_path / "file" / "state").lock()


def test_a_network_is_found_while_it_runs_only(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    with pytest.raises(NotRunning, match="greenray up"):
        read_network(tmp_path)
    state.lock()
    state.write_network(NETWORK)
    assert read_network(tmp_path) == NETWORK
    state.unlock()
    with pytest.raises(NotRunning):
        read_network(tmp_path)


def test_a_directory_belongs_to_one_chain(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.check_chain("greenfield_9000-121", "AA")
    state.check_chain("greenfield_9000-121", "AA")
    state.check_chain("greenfield_9000-121", "")
    with pytest.raises(InvalidSetting, match="another chain"):
        state.check_chain("greenfield_9000-121", "BB")
    with pytest.raises(InvalidSetting, match="another chain"):
        state.check_chain("greenfield_5600-1", "AA")


def test_recent_blocks_are_known_to_the_next_start(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    assert state.known_chain() == KnownChain()
    state.check_chain("greenfield_9000-121", "AA")
    first = KnownBlock(1, "AA")
    assert state.known_chain() == KnownChain("greenfield_9000-121", (first,))
    history = KnownChain("greenfield_9000-121", (first, KnownBlock(17, "BB")))
    state.remember_chain(history)
    assert StateDir(tmp_path).known_chain() == history
    state.check_chain("greenfield_9000-121", "AA")
    assert state.known_chain() == history


def test_what_is_known_of_the_chain_must_be_readable(tmp_path: Path) -> None:
    (tmp_path / "chain.json").write_text('{"chain_id": "x", "blocks": [["high", "AA"]]}')
    with pytest.raises(StoreError, match=r"chain\.json"):
        StateDir(tmp_path).known_chain()


def test_a_block_hash_that_was_unknown_at_first_is_remembered_later(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.check_chain("greenfield_9000-121", "")
    state.check_chain("greenfield_9000-121", "AA")
    with pytest.raises(InvalidSetting):
        state.check_chain("greenfield_9000-121", "BB")


def test_what_a_crashed_network_said_is_gone_once_the_next_one_starts(tmp_path: Path) -> None:
    crashed = StateDir(tmp_path)
    crashed.lock()
    crashed.write_network(NETWORK)
    crashed.unlock()
    starting = StateDir(tmp_path)
    starting.lock()
    with pytest.raises(NotRunning):
        read_network(tmp_path)
    starting.unlock()
