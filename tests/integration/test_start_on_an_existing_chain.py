"""``--chain-endpoint``: what is wrong with the chain or the keys is said before anything starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from greenray.cluster.config.settings import Settings
from greenray.cluster.config.settings_loading import load_settings
from greenray.cluster.config.state_dir import StateDir
from greenray.cluster.in_process import InProcessCarrier
from greenray.cluster.network import LocalNetwork
from greenray.cluster.roles.carrier import Ending
from greenray.protocol.errors import (
    ChainUnavailable,
    GreenrayError,
    InvalidSetting,
    KeyMissing,
    KeystoreError,
    TooFewProviders,
    UnknownStorageProvider,
)
from tests.support.chain_process import ChainProcess
from tests.support.local_chain import key, small_genesis

NOBODY = "http://127.0.0.1:1"
PURPOSES = ("operator", "seal", "approval")


class CarrierNotToBeStarted(InProcessCarrier):
    async def start(self, undo: AsyncExitStack, ending: Ending) -> None:
        raise AssertionError("the carrier was started")


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its endpoint: seven SPs, and objects of 8+3."""
    shape = {"redundant_data_chunk_num": 8, "redundant_parity_chunk_num": 3}
    process = ChainProcess(tmp_path_factory.mktemp("chain"), small_genesis(shape), 0.2)
    process.start()
    yield process.endpoint
    process.stop()


@pytest.fixture(scope="module")
def usual_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process = ChainProcess(tmp_path_factory.mktemp("chain"), small_genesis(), 0.2)
    process.start()
    yield process.endpoint
    process.stop()


def keys_file(tmp_path: Path, *names: str) -> Path:
    path = tmp_path / "keys.json"
    keys = {name: {"private_key": key(name).hex()} for name in names}
    path.write_text(json.dumps({"chain_id": "greenfield_9000-1", "keys": keys}))
    return path


def sp_keys(tmp_path: Path, sp: str = "sp-0") -> Path:
    return keys_file(tmp_path, *(f"{sp}-{purpose}" for purpose in PURPOSES))


def settings_of(tmp_path: Path, endpoint: str, keys: Path | None) -> Settings:
    chain = {"endpoint": endpoint, "keys": keys}
    return load_settings(state_dir=tmp_path / "state", chain=chain, gateway={"port": 0})


async def refusal(settings: Settings) -> GreenrayError:
    network = LocalNetwork(settings, CarrierNotToBeStarted(settings))
    with pytest.raises(GreenrayError) as refused:
        await network.start()
    assert not network.state.job_store_file.exists()
    return refused.value


async def test_an_endpoint_where_nobody_answers(tmp_path: Path) -> None:
    error = await refusal(settings_of(tmp_path, NOBODY, sp_keys(tmp_path)))
    assert isinstance(error, ChainUnavailable)
    assert error.where == f"chain node {NOBODY}"


async def test_no_keys_at_all(tmp_path: Path) -> None:
    error = await refusal(settings_of(tmp_path, NOBODY, None))
    assert isinstance(error, KeyMissing)
    assert error.where == "the environment"


async def test_a_key_file_that_is_not_there(tmp_path: Path) -> None:
    error = await refusal(settings_of(tmp_path, NOBODY, tmp_path / "keys.json"))
    assert isinstance(error, KeystoreError)
    assert error.where == str(tmp_path / "keys.json")


async def test_keys_of_users_only(tmp_path: Path) -> None:
    keys = keys_file(tmp_path, "user")
    error = await refusal(settings_of(tmp_path, NOBODY, keys))
    assert isinstance(error, KeyMissing)
    assert str(error).startswith(f"{keys}: there are no keys of a storage provider")


async def test_a_chain_with_too_few_storage_providers(tmp_path: Path, chain: str) -> None:
    error = await refusal(settings_of(tmp_path, chain, sp_keys(tmp_path)))
    assert isinstance(error, TooFewProviders)
    assert "8+3 of this chain needs 12 storage providers" in error.what


async def test_keys_of_somebody_who_is_no_storage_provider_there(
    tmp_path: Path, usual_chain: str
) -> None:
    error = await refusal(settings_of(tmp_path, usual_chain, sp_keys(tmp_path, "sp-8")))
    assert isinstance(error, UnknownStorageProvider)
    assert error.where == usual_chain


async def test_a_state_directory_of_another_chain(tmp_path: Path, usual_chain: str) -> None:
    settings = settings_of(tmp_path, usual_chain, sp_keys(tmp_path))
    settings.state_dir.mkdir()
    StateDir(settings.state_dir).check_chain("greenfield_1017-1", "AA")
    error = await refusal(settings)
    assert isinstance(error, InvalidSetting)
    assert "belongs to another chain" in error.what
