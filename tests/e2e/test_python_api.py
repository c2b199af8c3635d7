"""The Python API on a real local network; then everything that it started is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import ray
from jupyter_client.manager import start_new_kernel

import greenray
from greenray.protocol.errors import (
    AlreadyRunning,
    InvalidInput,
    NoSuchObject,
    NotRunning,
    TooFewShards,
    WrongObjectStatus,
)
from greenray.protocol.job import JobState
from greenray.protocol.layout import SEGMENTS

SEGMENT_SIZE_BYTES = 65536
CHAIN = {"block_interval_s": 0.2, "genesis_params": {"max_segment_size": SEGMENT_SIZE_BYTES}}
PAYLOAD = os.urandom(5 * SEGMENT_SIZE_BYTES + 12345)
NAME = "photos/2026/random.bin"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def net() -> Iterator[greenray.Network]:
    # Other tests may have left helpers of this process, such as multiprocessing's.
    before = psutil.Process().children(recursive=True)
    with greenray.local_network(sps=7, chain=CHAIN) as network:
        yield network
        children = psutil.Process().children(recursive=True)
    started = [child for child in children if child not in before]
    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []
    assert not network.state_dir.exists()


@pytest.fixture(scope="module")
def stored(net: greenray.Network) -> greenray.StoredObject:
    return net.put(PAYLOAD, NAME)


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "{'ray', 'web3', 'numpy', 'asyncio', 'pydantic'}"
    script = f"import sys, greenray; print(*{heavy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == []
    assert done.returncode == 0


def test_of_ray_only_what_is_needed_was_started(net: greenray.Network) -> None:
    children = psutil.Process().children(recursive=True)
    commands = [" ".join(child.cmdline()) for child in children]
    assert any("raylet" in command for command in commands)
    for server in ("monitor.py", "dashboard.py"):
        assert [command for command in commands if server in command] == []


def test_put_returns_when_the_object_is_sealed(stored: greenray.StoredObject) -> None:
    status = stored.status
    assert status.sealed
    assert status.final
    assert status.state is JobState.SEAL_OBJECT_DONE
    assert status.payload_size_bytes == len(PAYLOAD)
    assert [s.redundancy_index for s in status.secondaries] == list(range(6))
    assert stored.stages.keys() == {"hashing", "creating", "upload", "seal"}
    assert stored.name == NAME


def test_blocks_in_the_cluster_are_put_without_http(net: greenray.Network) -> None:
    blocks = [
        ray.put(PAYLOAD[:100_000]),
        ray.put(np.frombuffer(PAYLOAD[100_000:250_000], dtype=np.uint8)),
        made_by_a_task.remote(PAYLOAD[250_000:]),
    ]
    stored = net.put(blocks, "photos/blocks.bin")
    assert stored.status.sealed
    assert stored.status.payload_size_bytes == len(PAYLOAD)
    assert net.get("photos/blocks.bin") == PAYLOAD


def test_a_task_of_the_cluster_puts_what_it_made(net: greenray.Network) -> None:
    sealed = put_from_a_task.remote(str(net.state_dir), PAYLOAD[:200_000])
    assert ray.get(sealed) == "SEAL_OBJECT_DONE"
    assert net.get("photos/from a task.bin") == PAYLOAD[:200_000]


def test_blocks_that_are_none_are_refused(net: greenray.Network) -> None:
    with pytest.raises(InvalidInput, match="block 1"):
        net.put([ray.put(b"abc"), b"def"], "photos/blocks.bin")
    with pytest.raises(InvalidInput, match="a dict is not a contiguous run of bytes"):
        net.put([ray.put({"a": 1})], "photos/blocks.bin")


def test_no_blocks_are_an_empty_object(net: greenray.Network) -> None:
    net.put([], "photos/nothing.bin")
    assert net.get("photos/nothing.bin") == b""


@ray.remote
def made_by_a_task(payload: bytes) -> bytes:
    return payload


@ray.remote
def put_from_a_task(state_dir: str, payload: bytes) -> str:
    with greenray.connect(state_dir) as network:
        return network.put([ray.put(payload)], "photos/from a task.bin").status.state.name


def test_the_timeline_of_an_object_has_every_stage(
    net: greenray.Network, stored: greenray.StoredObject
) -> None:
    timeline = net.timeline(NAME)
    assert timeline.missing == ()
    assert {"received", "encoded", "sent 0", "stored 5", "sealed"} <= {
        row.label for row in timeline.rows
    }
    assert timeline.name in timeline._repr_html_()
    with pytest.raises(NoSuchObject):
        net.timeline("photos/nothing")


def test_get_returns_the_payload_or_a_file(
    net: greenray.Network, stored: greenray.StoredObject, tmp_path: Path
) -> None:
    assert net.get(NAME) == PAYLOAD
    target = net.get(NAME, tmp_path / "copy.bin")
    assert target.read_bytes() == PAYLOAD


def test_a_file_can_be_put_and_watched_until_it_is_sealed(
    net: greenray.Network, tmp_path: Path
) -> None:
    path = tmp_path / "small.bin"
    path.write_bytes(PAYLOAD[:1000])
    net.put(path, "photos/small.bin", wait="uploaded", replica=True)
    states = [status.state for status in net.watch("photos/small.bin")]
    assert states[-1] is JobState.SEAL_OBJECT_DONE
    history = [change.state for change in net.status("photos/small.bin").history]
    assert set(states) <= set(history)
    assert all(column.intact for column in net.pieces("photos/small.bin").columns)
    assert net.rebuild_segment("photos/small.bin", 0, lost=(0, 1, 2, 3, 4)).same


def test_the_pieces_on_disk_are_those_on_chain(
    net: greenray.Network, stored: greenray.StoredObject
) -> None:
    table = net.pieces(NAME)
    assert [column.redundancy_index for column in table.columns] == [SEGMENTS, *range(6)]
    assert all(column.intact for column in table.columns)
    hashes = {s.redundancy_index: s.integrity_hash for s in stored.status.secondaries}
    for column in table.columns[1:]:
        assert column.integrity_hash == hashes[column.redundancy_index]
        assert (net.state_dir / column.path).stat().st_size == column.size_bytes
        assert len(column.piece_keys) == len(column.piece_checksums) == 6
    assert table.columns[3].piece_keys[5] == f"{stored.status.object_id}_s5_p2"


def test_a_segment_without_any_two_of_its_pieces_is_rebuilt(
    net: greenray.Network, stored: greenray.StoredObject
) -> None:
    for lost in ((0, 1), (0, 5), (4, 5)):
        rebuilt = net.rebuild_segment(NAME, 5, lost)
        assert rebuilt.payload == PAYLOAD[5 * SEGMENT_SIZE_BYTES :]
        assert rebuilt.same
        assert not set(rebuilt.read) & set(lost)
    with pytest.raises(TooFewShards):
        net.rebuild_segment(NAME, 5, (0, 1, 2))
    with pytest.raises(InvalidInput):
        net.rebuild_segment(NAME, 6, ())


def test_a_changed_piece_is_seen(net: greenray.Network) -> None:
    net.put(PAYLOAD, "photos/damaged.bin")
    column = net.pieces("photos/damaged.bin").columns[2]
    path = net.state_dir / column.path
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 1
    path.write_bytes(damaged)
    intact = {c.redundancy_index: c.intact for c in net.pieces("photos/damaged.bin").columns}
    assert [index for index, whole in intact.items() if not whole] == [column.redundancy_index]
    assert not net.rebuild_segment("photos/damaged.bin", 0, lost=()).same
    assert net.rebuild_segment("photos/damaged.bin", 0, (column.redundancy_index,)).same


def test_the_seal_transaction_shows_who_signed_what(
    net: greenray.Network, stored: greenray.StoredObject
) -> None:
    sealed = net.seal_transaction(NAME)
    keys = json.loads((net.state_dir / "keys.json").read_text())["keys"]
    address_of = {name: entry["address"] for name, entry in keys.items()}
    sp_of = {address_of[f"greenray-sp-{i}-operator"]: i for i in range(7)}
    assert sealed.tx_hash == stored.status.seal_tx_hash
    assert sealed.height == stored.status.seal_height
    assert sealed.signer_address == sealed.message.operator == address_of["greenray-sp-0-seal"]
    assert sealed.approved_by == tuple(
        address_of[f"greenray-sp-{sp_of[s.operator_address]}-approval"]
        for s in stored.status.secondaries
    )
    assert sealed.height <= sealed.timeout_height


def test_the_cost_of_each_stage_is_measured(net: greenray.Network) -> None:
    costs = net.stage_costs(large_bytes=32 * SEGMENT_SIZE_BYTES, small_objects=2)
    names = {stage.name for stage in costs.stages}
    assert names >= {"Uploader and Gateway", "Receivers", "home"}
    assert costs.cpu_s_per_gb > 0
    receivers = next(stage for stage in costs.stages if stage.name == "Receivers")
    assert receivers.processes_per_node == 1


@pytest.mark.parametrize(
    "shown",
    [
        lambda net: net,
        lambda net: net.status(NAME),
        lambda net: net.pieces(NAME),
        lambda net: net.seal_transaction(NAME),
        lambda net: net.rebuild_segment(NAME, 0, (1, 2)),
    ],
)
def test_results_are_tables_in_a_notebook(
    net: greenray.Network,
    stored: greenray.StoredObject,
    shown: Callable[[greenray.Network], greenray.JobStatus],
) -> None:
    html = shown(net)._repr_html_()
    assert html.count("<table>") == html.count("</table>") > 0
    assert html.count("<tr>") == html.count("</tr>") > 1
    assert "<table>" in stored._repr_html_()


def test_names_of_users_are_text_in_a_table(net: greenray.Network) -> None:
    stored = net.put(b"x", "photos/<b>bold")
    assert "&lt;b&gt;bold" in stored._repr_html_()
    assert "<b>bold" not in stored._repr_html_()


def test_errors_are_those_of_the_commands(
    net: greenray.Network, stored: greenray.StoredObject
) -> None:
    with pytest.raises(WrongObjectStatus):
        net.put(PAYLOAD, NAME)
    with pytest.raises(NoSuchObject):
        net.status("photos/nothing")
    with pytest.raises(InvalidInput, match="neither 'sealed' nor 'uploaded'"):
        net.put(PAYLOAD, "photos/other.bin", wait="sealde")
    with pytest.raises(NoSuchObject):
        net.seal_transaction("photos/other.bin")


def test_only_one_network_runs_in_a_process(net: greenray.Network) -> None:
    with pytest.raises(AlreadyRunning):
        greenray.local_network()


def test_a_second_user_connects_and_leaves_it_running(
    net: greenray.Network, stored: greenray.StoredObject
) -> None:
    with greenray.connect(net.state_dir) as other:
        assert other.get(NAME) == PAYLOAD
    with pytest.raises(NotRunning):
        other.get(NAME)
    other.close()
    assert net.status(NAME).sealed


def test_connecting_to_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotRunning):
        greenray.connect(tmp_path)


LEFT_OPEN = """
import sys, greenray
net = greenray.local_network(state_dir=sys.argv[1])
net.put(b"hello", "photos/hello.txt", wait="uploaded")
print("ready", flush=True)
sys.stdin.read()
"""


def test_nothing_survives_a_process_that_never_closed_its_network(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LEFT_OPEN, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) > 8
        process.stdin.close()
        assert process.wait(60) == 0
    _, alive = psutil.wait_procs(family, timeout=120)
    assert alive == []


def ends_at_once(process: psutil.Process) -> bool:
    """Ray's two agents look for their node for a minute before they end, and workers that have not
    got a task yet for half of one; nobody waits here."""
    is_agent = process.name().endswith("Agent")
    return not is_agent and not any("default_worker.py" in part for part in process.cmdline())


IN_A_CELL = """
import greenray
net = greenray.local_network(state_dir={state_dir!r})
"""


@pytest.mark.parametrize("how", ["restarted", "terminated", "killed"])
def test_nothing_survives_a_kernel_that_held_a_network(how: str, tmp_path: Path) -> None:
    manager, client = start_new_kernel()
    try:
        reply = client.execute_interactive(
            IN_A_CELL.format(state_dir=str(tmp_path)), timeout=100, output_hook=lambda _: None
        )
        assert reply["content"]["status"] == "ok", reply
        pid = client.execute_interactive(
            "", user_expressions={"pid": "__import__('os').getpid()"}, timeout=10
        )["content"]["user_expressions"]["pid"]["data"]["text/plain"]
        kernel = psutil.Process(int(pid))
        family = kernel.children(recursive=True)
        assert len(family) > 8
        family = [member for member in family if ends_at_once(member)]
        if how == "restarted":
            manager.restart_kernel()
        else:
            kernel.send_signal(signal.SIGTERM if how == "terminated" else signal.SIGKILL)
        _, alive = psutil.wait_procs(family, timeout=120)
        assert alive == []
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
