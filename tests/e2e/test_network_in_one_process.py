"""``greenray.local_network(ray=False)``: the same network, in this process alone."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import greenray
from greenray.protocol.errors import InvalidInput, InvalidSetting, NotRunning, TooFewShards
from greenray.protocol.job import JobState
from greenray.protocol.layout import SEGMENTS

SEGMENT_SIZE_BYTES = 65536
CHAIN = {"block_interval_s": 0.1, "genesis_params": {"max_segment_size": SEGMENT_SIZE_BYTES}}
PAYLOAD = random.Random(4).randbytes(9 * SEGMENT_SIZE_BYTES + 321)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def net() -> Iterator[greenray.Network]:
    with greenray.local_network(ray=False, chain=CHAIN) as network:
        yield network


@pytest.mark.parametrize("replica", [False, True], ids=["EC", "replica"])
def test_an_object_is_sealed_and_comes_back(net: greenray.Network, replica: bool) -> None:
    name = f"photos/{replica}"
    stored = net.put(PAYLOAD, name, replica=replica)
    assert stored.status.state is JobState.SEAL_OBJECT_DONE
    assert len({s.operator_address for s in stored.status.secondaries}) == 6
    assert net.get(name) == PAYLOAD


def test_what_lies_beneath_is_there_as_on_ray(net: greenray.Network) -> None:
    net.put(PAYLOAD, "photos/beneath")
    assert all(column.intact for column in net.pieces("photos/beneath").columns)
    assert net.rebuild_segment("photos/beneath", 3, lost=(0, 4)).same
    assert len(net.seal_transaction("photos/beneath").approved_by) == 6
    timeline = net.timeline("photos/beneath")
    assert (timeline.silent, timeline.missing) == ((), ())


def test_several_of_them_run_in_one_process(net: greenray.Network) -> None:
    with greenray.local_network(sps=8, ray=False, chain=CHAIN) as other:
        assert other.put(b"payload", "photos/one").status.sealed
        assert len(other.gateways) == 8
    assert net.put(b"payload", "photos/after").status.sealed


def test_costs_of_stages_that_share_a_process_are_refused(net: greenray.Network) -> None:
    with pytest.raises(InvalidInput, match="local_network\\(\\) without ray=False"):
        net.stage_costs()


def test_references_into_a_ray_cluster_are_refused(net: greenray.Network) -> None:
    with pytest.raises(NotRunning):
        net.put([object()], "photos/references")


def test_a_network_goes_on_where_it_stopped(tmp_path: Path) -> None:
    before = psutil.Process().children()
    with greenray.local_network(ray=False, chain=CHAIN, state_dir=tmp_path) as network:
        network.put(PAYLOAD, "photos/one", wait="uploaded")
    assert psutil.Process().children() == before
    with greenray.local_network(ray=False, chain=CHAIN, state_dir=tmp_path) as network:
        *_, last = network.watch("photos/one")
        assert last.state is JobState.SEAL_OBJECT_DONE
        assert network.get("photos/one") == PAYLOAD


def test_what_is_missing_is_shown_and_rebuilt_from_what_is_left(tmp_path: Path) -> None:
    with greenray.local_network(ray=False, chain=CHAIN, state_dir=tmp_path) as network:
        network.put(PAYLOAD, "photos/one")
        columns = network.pieces("photos/one").columns
        for column in (columns[0], columns[3]):
            (tmp_path / column.path).unlink()
        segments = tuple(range(len(columns[0].piece_keys)))
        table = network.pieces("photos/one")
        assert [column.missing for column in table.columns if not column.intact] == [segments] * 2
        assert "are missing" in table._repr_html_()
        rebuilt = network.rebuild_segment("photos/one", 0, lost=())
        assert PAYLOAD.startswith(rebuilt.payload)
        assert rebuilt.missing == (SEGMENTS, 2)
        with pytest.raises(TooFewShards):
            network.rebuild_segment("photos/one", 0, lost=(0, 1))

        assert network.get("photos/one") == PAYLOAD
        while not network.pieces("photos/one").columns[0].intact:
            time.sleep(0.05)
        assert network.rebuild_segment("photos/one", 0, lost=()).same


def test_pieces_may_be_in_the_memory_of_the_process(tmp_path: Path) -> None:
    with greenray.local_network(
        ray=False, chain=CHAIN, state_dir=tmp_path, pieces={"url": "memory://"}
    ) as network:
        network.put(PAYLOAD, "photos/one")
        assert network.get("photos/one") == PAYLOAD
        assert all(column.intact for column in network.pieces("photos/one").columns)
        assert not (tmp_path / "pieces").exists()


def test_a_ray_cluster_and_no_ray_is_a_contradiction() -> None:
    with pytest.raises(InvalidSetting, match="is for a network on Ray"):
        greenray.local_network(ray=False, address="auto")


def test_nothing_of_ray_is_imported() -> None:
    program = (
        "import sys, greenray\n"
        "with greenray.local_network(ray=False) as net:\n"
        "    net.put(b'payload', 'photos/one')\n"
        "    print('ray' in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "False\n", "")
