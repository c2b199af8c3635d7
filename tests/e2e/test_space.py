"""``greenray delete``, ``discontinue``, ``du`` and ``collect``, and the same in Python."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import greenray
from greenray.chain.keystore import import_key
from greenray.cli import discontinue
from greenray.protocol.errors import InvalidInput, NoSuchBucket, NoSuchObject
from tests.support.cli import (
    SEGMENT_SIZE_BYTES,
    SMALL_NETWORK,
    Surroundings,
    UpNetwork,
    start_network,
)
from tests.support.waiting import until

GENESIS_PARAMS = {"max_segment_size": SEGMENT_SIZE_BYTES}
CHAIN = {"block_interval_s": 0.1, "genesis_params": GENESIS_PARAMS}
PASSWORD = "a password of a test"
PAYLOAD = random.Random(23).randbytes(4 * SEGMENT_SIZE_BYTES)
STORED_BYTES = len(PAYLOAD) + 6 * len(PAYLOAD) // 4
SOON = {"delay_s": 0.1, "poll_s": 0.1}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[Surroundings]:
    patient = {**SMALL_NETWORK, "collector": {"enabled": False, "delay_s": 0.001}}
    surroundings = Surroundings(tmp_path / "network", patient)
    yield surroundings
    surroundings.kill_everything()


def pieces_on_disk(state_dir: Path) -> int:
    return sum(f.stat().st_size for f in (state_dir / "pieces").rglob("*") if f.is_file())


def test_an_object_is_deleted_and_its_space_collected_by_commands(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    file = tmp_path / "payload.bin"
    file.write_bytes(PAYLOAD)
    network = start_network(surroundings)
    network.answer("put", file, "album/photo.jpg")
    network.answer("put", file, "album/kept.jpg")
    deletion = network.answer("delete", "album/photo.jpg")
    assert (deletion["object"], deletion["cancelled"]) == ("photo.jpg", False)
    assert network.answer("status", "album/photo.jpg")["error"]["reason"] == "object-gone"
    [waiting] = network.answer("collect", "--dry-run")["waiting"]
    assert waiting["object_id"] == deletion["object_id"]
    usage = network.answer("du")["total"]
    assert (usage["size_bytes"], usage["collectable_bytes"]) == (2 * STORED_BYTES, STORED_BYTES)
    rebuilt = network.answer("index", "rebuild")
    assert (rebuilt["buckets"], rebuilt["objects"]) == (1, 1)
    report = until(lambda: _collected(network))
    assert (report["size_bytes"], report["waiting"]) == (STORED_BYTES, [])
    assert pieces_on_disk(surroundings.state_dir) == STORED_BYTES
    network.stop()

    assert surroundings.call("collect", "--json").error["reason"] == "not-running"
    assert surroundings.call("index", "rebuild", "--json").error["reason"] == "not-running"
    assert surroundings.call("du", "nowhere", "--json").error["reason"] == "no-such-bucket"
    assert "in all" in surroundings.call("du", "album").stdout


def _collected(network: UpNetwork) -> dict[str, Any] | None:
    """The report of one pass, if it has removed anything."""
    report = network.answer("collect")
    return report if report["collected"] else None


def test_the_same_from_python_in_one_process_by_itself(tmp_path: Path) -> None:
    with greenray.local_network(
        ray=False, chain=CHAIN, state_dir=tmp_path, collector=SOON
    ) as network:
        network.put(PAYLOAD, "photos/one")
        network.put(PAYLOAD, "photos/two")
        assert network.du("photos").size_bytes == 2 * STORED_BYTES
        with pytest.raises(InvalidInput, match="not empty"):
            network.delete_bucket("photos")
        first = network.delete("photos/one")
        with pytest.raises(NoSuchObject):
            network.get("photos/one")
        until(lambda: network.du().size_bytes <= STORED_BYTES)
        assert pieces_on_disk(tmp_path) == STORED_BYTES
        assert network.get("photos/two") == PAYLOAD

        again = network.put(PAYLOAD, "photos/one")
        assert again.status.object_id != first.object_id
        for name in ("photos/one", "photos/two"):
            network.delete(name)
        assert network.delete_bucket("photos").object_id is None
        until(lambda: network.du().size_bytes == 0)
        assert network.collect().waiting == ()
        assert "0 bytes" in network.du()._repr_html_()
        with pytest.raises(NoSuchBucket):
            network.du("photos")


def gc_keystore(network: greenray.Network, path: Path) -> Path:
    """Of the SP that buckets of this network go to."""
    primary = next(iter(network.gateways))
    keys = json.loads((network.state_dir / "keys.json").read_text())["keys"]
    [name] = [name for name, entry in keys.items() if entry["address"] == primary]
    gc = keys[name.replace("operator", "gc")]["private_key"]
    import_key(path, bytes.fromhex(gc), PASSWORD)
    return path


def test_a_provider_discontinues_a_bucket_and_the_space_of_its_objects_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENRAY_KEY_PASSWORD", PASSWORD)
    chain = {**CHAIN, "genesis_params": {**GENESIS_PARAMS, "discontinue_confirm_period": 1}}
    with greenray.local_network(
        ray=False, chain=chain, state_dir=tmp_path, collector=SOON
    ) as network:
        network.put(PAYLOAD, "films/one")
        keystore = gc_keystore(network, tmp_path / "gc.json")
        arguments = ["films", "--key", str(keystore), "--state-dir", str(tmp_path), "--json"]
        result = CliRunner().invoke(discontinue.app, arguments)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["bucket"] == "films"
        until(lambda: network.du().size_bytes == 0)
        with pytest.raises(NoSuchBucket):
            network.delete_bucket("films")
