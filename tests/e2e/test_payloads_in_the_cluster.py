"""Payloads that lie in the cluster's object store go to the secondaries from where they lie."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

import greenray
from greenray.actors.ports import Column
from greenray.protocol.errors import InvalidInput
from greenray.storage.direct_io import address_of

MIB = 1 << 20
CHAIN = {"block_interval_s": 0.2, "genesis_params": {"max_segment_size": MIB}}
PAYLOAD = os.urandom(10 * MIB + 321)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def net() -> Iterator[greenray.Network]:
    """Batches have four segments of 1 MiB; replication may keep six of them from being freed."""
    budget = {"payload_bytes": 48 * MIB}
    with greenray.local_network(sps=7, chain=CHAIN, budget=budget) as network:
        yield network


def spans_of(net: greenray.Network, name: str) -> dict[str, Sequence[Any]]:
    """By stage, when each batch was in it."""
    return {row.label: row.spans for row in net.timeline(name).rows}


def blocks_of(*cuts: int) -> list[Column]:
    return np.split(np.frombuffer(PAYLOAD, dtype=np.uint8), cuts)


@pytest.mark.parametrize(
    "cuts",
    [(), (4 * MIB, 8 * MIB), (1, 100_003, 3 * MIB + 17, 3 * MIB + 17, 9 * MIB)],
    ids=["one block", "whole batches", "any"],
)
def test_blocks_of_any_length_are_sealed_and_come_back(
    net: greenray.Network, cuts: tuple[int, ...]
) -> None:
    blocks = [greenray.put_block(part) for part in blocks_of(*cuts)]
    name = f"photos/{len(cuts)} cuts.bin"
    net.put(blocks, name)
    assert net.get(name) == PAYLOAD
    spans = spans_of(net, name)
    assert len(spans["kept hot"]) == 2
    assert len(spans["read"]) == 1  # the third batch has padding


def test_blocks_of_bytes_are_read_back_like_an_upload(net: greenray.Network) -> None:
    net.put([ray.put(PAYLOAD[:5_000_000]), ray.put(PAYLOAD[5_000_000:])], "photos/bytes.bin")
    assert net.get("photos/bytes.bin") == PAYLOAD
    assert "kept hot" not in spans_of(net, "photos/bytes.bin")


def test_most_blocks_come_to_lie_where_files_are_written_from(net: greenray.Network) -> None:
    """By chance an eighth of them would: what was freed before is given out again."""
    between = ray.put(bytes(123_457))  # an object that does not fill its pages
    numbers = np.arange(MIB, dtype=np.uint32)
    arrays = ray.get([greenray.put_block(numbers) for _ in range(16)])
    assert arrays[3].tobytes() == numbers.tobytes()
    assert sum(address_of(array.data) % 512 == 0 for array in arrays) >= 8
    del between


@ray.remote
def made_by_a_task(value: int) -> Any:
    return greenray.block(np.full(MIB, value, dtype=np.uint8))


def test_a_task_returns_blocks(net: greenray.Network) -> None:
    blocks = [made_by_a_task.remote(value) for value in range(8)]
    net.put(blocks, "photos/made.bin")
    assert net.get("photos/made.bin") == b"".join(bytes([value]) * MIB for value in range(8))
    assert len(spans_of(net, "photos/made.bin")["kept hot"]) == 2


def test_what_is_no_block_is_refused() -> None:
    with pytest.raises(InvalidInput, match="a str is not a contiguous run of bytes"):
        greenray.block("text")


PUT_AND_LEAVE = """
import os, sys
import numpy as np, ray
import greenray

with greenray.connect(sys.argv[1]) as net:
    ray.init(sys.argv[2], namespace=sys.argv[3], log_to_driver=False)
    payload = np.fromfile(sys.argv[4], dtype=np.uint8)
    blocks = [greenray.put_block(part) for part in np.array_split(payload, 5)]
    net.put(blocks, "photos/left.bin", wait="uploaded")
    os._exit(0)  # the owner of the blocks is gone at once
"""


def test_who_put_the_blocks_may_leave_when_the_put_is_answered(
    net: greenray.Network, tmp_path: Path
) -> None:
    context = ray.get_runtime_context()
    file = tmp_path / "payload"
    file.write_bytes(PAYLOAD)
    script = [sys.executable, "-c", PUT_AND_LEAVE, str(net.state_dir), context.gcs_address]
    left = subprocess.run([*script, context.namespace, str(file)], timeout=120, check=False)
    assert left.returncode == 0
    give_up_at = time.monotonic() + 60
    while not net.status("photos/left.bin").sealed:
        assert time.monotonic() < give_up_at
        time.sleep(0.2)
    assert net.get("photos/left.bin") == PAYLOAD
