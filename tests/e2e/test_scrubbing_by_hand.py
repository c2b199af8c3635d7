"""``greenray scrub`` and its like in Python, on a running network that has lost directories."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

import greenray
from greenray.protocol.errors import InvalidInput, NoSuchBucket, NoSuchObject
from tests.support.cli import (
    SEGMENT_SIZE_BYTES,
    SMALL_NETWORK,
    Surroundings,
    UpNetwork,
    start_network,
)
from tests.support.waiting import until

PAYLOAD = random.Random(24).randbytes(9 * SEGMENT_SIZE_BYTES + 11)
NAME = "album/photo.jpg"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[Surroundings]:
    surroundings = Surroundings(tmp_path / "network", SMALL_NETWORK)
    yield surroundings
    surroundings.kill_everything()


def _files(surroundings: Surroundings) -> dict[Path, bytes]:
    """All that the SPs store, but for unfinished columns."""
    columns = (surroundings.state_dir / "pieces").rglob("columns/*/*")
    return {file: file.read_bytes() for file in columns}


def _lose(surroundings: Surroundings, *holders: str) -> None:
    for holder in holders:
        [directory] = (surroundings.state_dir / "pieces").glob(f"*{holder.lower()}*")
        shutil.rmtree(directory)


def test_lost_directories_are_read_past_named_and_restored(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    network = start_network(surroundings)
    source, copy = tmp_path / "payload.bin", tmp_path / "copy.bin"
    source.write_bytes(PAYLOAD)
    put = network.answer("put", source, NAME)
    secondaries = [each["operator_address"] for each in put["secondaries"]]
    before = _files(surroundings)
    assert len(before) == 7

    _lose(surroundings, network.primary, secondaries[1], secondaries[4])
    found = network.call("scrub", NAME, "--json")
    assert found.exit_code == 1
    assert [broken["redundancy_index"] for broken in found.document["broken"]] == [-1, 1, 4]
    known = network.call("scrub", "--known")
    assert known.exit_code == 1
    assert known.stdout.count("missing: pieces 0-9") == 3
    got = network.answer("get", NAME, copy)
    assert copy.read_bytes() == PAYLOAD
    assert got["sources"]["primary_bytes"] == 0
    assert got["sources"]["rebuilt_bytes"] == len(PAYLOAD)
    assert set(got["sources"]["piece_bytes"]) <= set(secondaries)

    _until_it_is_whole(surroundings, before)  # by the download
    _lose(surroundings, network.primary)
    repaired = network.answer("scrub", "--repair")["repaired"]
    assert [column["redundancy_index"] for column in repaired] == [-1, 1, 4]
    assert _files(surroundings) == before
    _refuses_nonsense(network)


def _until_it_is_whole(surroundings: Surroundings, before: dict[Path, bytes]) -> None:
    """The primary's file; the test's own timeout ends a wait in vain."""
    [segments] = [file for file in before if file.name.startswith("s")]
    until(lambda: _files(surroundings).get(segments) == before[segments])


def _refuses_nonsense(network: UpNetwork) -> None:
    with greenray.connect(network.surroundings.state_dir) as net:
        assert net.scrub(NAME).findings == ()
        with pytest.raises(NoSuchObject):
            net.scrub("album/nothing")
        with pytest.raises(NoSuchBucket):
            net.scrub("nothing-there")
        with pytest.raises(InvalidInput):
            net.scrub(bandwidth_bytes_s=-1)
    assert not ray.is_initialized()  # it would end this process a minute after the network's end
    assert network.call("scrub", "A", "--json").error["reason"] == "invalid-name"
    for arguments in (["--since", "yesterday"], ["--bandwidth", "fast"], ["--known", "--repair"]):
        assert network.call("scrub", *arguments).exit_code == 2
