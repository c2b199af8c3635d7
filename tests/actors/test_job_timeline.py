"""What a network remembers of how an object went through it."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from greenray.actors.replication.settings import InClusterSettings
from greenray.protocol.errors import NoTrace
from greenray.protocol.job import JobState
from tests.support.whole_network import SEGMENT_SIZE_BYTES, WholeNetwork, whole_network

PAYLOAD = random.Random(12).randbytes(SEGMENT_SIZE_BYTES * 13 + 100)
BATCHES = 4
INDICES = range(6)
PRIMARY = -1
NAME = "photo.jpg"
SEAL = ("submitted", "reserved", "broadcast", "sealed")

Stages = dict[tuple[str, int, int | None], Mapping[str, Any]]


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[WholeNetwork]:
    async with whole_network(tmp_path) as network:
        await network.start()
        yield network


async def timeline(network: WholeNetwork, name: str = NAME) -> Mapping[str, Any]:
    async with network.client() as client:
        return await client.timeline("album", name)


def by_place(document: Mapping[str, Any]) -> Stages:
    """By (stage, redundancy index, batch)."""
    return {(s["stage"], s["redundancy_index"], s["batch"]): s for s in document["stages"]}


async def test_every_stage_of_every_batch_is_there_and_in_order(network: WholeNetwork) -> None:
    await network.put(PAYLOAD)
    document = await timeline(network)
    assert document["missing"] == document["silent"] == []
    assert (document["state"], document["batches"]) == ("SEAL_OBJECT_DONE", BATCHES)
    assert document["one_clock"]
    stages = by_place(document)
    of_primary = ("received", "hashed", "written", "kept hot", "encoded")
    of_secondary = ("sent", "stored", "hashed", "written")
    expected: set[tuple[str, int, int | None]]
    expected = {(s, PRIMARY, batch) for s in of_primary for batch in range(BATCHES)}
    expected |= {(s, i, b) for s in of_secondary for i in INDICES for b in range(BATCHES)}
    expected |= {(s, PRIMARY, None) for s in ("approved", "signed", *SEAL)}
    expected |= {(s, i, None) for s in ("opened", "receipt", "signed") for i in INDICES}
    assert expected <= stages.keys()
    assert {s["stage"] for s in document["stages"]} <= {stage for stage, _, _ in expected}

    assert all(0 <= s["start_s"] <= s["end_s"] for s in stages.values())
    assert not any(s["failed"] for s in stages.values())
    for batch in range(BATCHES):
        received = stages["received", PRIMARY, batch]
        for stage in ("hashed", "written", "kept hot"):
            assert received["end_s"] <= stages[stage, PRIMARY, batch]["start_s"]
        encoded = stages["encoded", PRIMARY, batch]
        assert stages["written", PRIMARY, batch]["end_s"] <= encoded["start_s"]
        for index in INDICES:
            sent, stored = (stages[s, index, batch] for s in ("sent", "stored"))
            assert encoded["end_s"] <= sent["start_s"]
            assert sent["start_s"] <= stored["start_s"] <= stored["end_s"] <= sent["end_s"]
            for stage in ("hashed", "written"):
                inside = stages[stage, index, batch]
                assert stored["start_s"] <= inside["start_s"] <= inside["end_s"] <= stored["end_s"]
    for index in INDICES:
        receipt, signed = stages["receipt", index, None], stages["signed", index, None]
        assert stages["sent", index, BATCHES - 1]["end_s"] <= receipt["start_s"]
        assert receipt["start_s"] <= signed["start_s"] <= signed["end_s"] <= receipt["end_s"]
        assert receipt["end_s"] <= stages["submitted", PRIMARY, None]["start_s"]
    submitted, reserved, broadcast, sealed = (stages[name, PRIMARY, None] for name in SEAL)
    assert submitted["start_s"] <= reserved["start_s"]
    assert reserved["end_s"] <= broadcast["start_s"]
    assert broadcast["end_s"] <= submitted["end_s"] <= sealed["start_s"]


async def test_an_object_whose_groups_are_held_in_one_call_has_every_stage(
    network: WholeNetwork,
) -> None:
    await network.kill()
    network.in_cluster = InClusterSettings(whole_group_bytes=1 << 16)
    await network.start()
    await network.put(b"a small payload")
    document = await timeline(network)
    assert document["missing"] == []
    stages = by_place(document)
    for index in INDICES:
        stored = stages["stored", index, 0]
        hashed, written = (stages[s, index, 0] for s in ("hashed", "written"))
        assert stored["start_s"] <= hashed["start_s"] <= hashed["end_s"] <= written["start_s"]
        assert written["end_s"] <= stored["end_s"] <= stages["signed", index, None]["start_s"]


async def test_sizes_processes_and_addresses_are_those_of_the_object(
    network: WholeNetwork,
) -> None:
    status = await network.put(PAYLOAD)
    document = await timeline(network)
    sizes: dict[tuple[str, int], int] = defaultdict(int)
    for stage in document["stages"]:
        sizes[stage["stage"], stage["redundancy_index"]] += stage["size_bytes"]
    for name in ("received", "hashed", "written"):
        assert sizes[name, PRIMARY] == len(PAYLOAD)
    column = sizes["sent", 0]
    assert len(PAYLOAD) / 4 <= column < len(PAYLOAD) / 4 + 14 * 4
    assert {sizes[name, i] for name in ("sent", "stored", "written") for i in INDICES} == {column}
    assert sizes["encoded", PRIMARY] == 4 * column

    holders = {s["redundancy_index"]: s["operator_address"] for s in status["secondaries"]}
    holders[PRIMARY] = network.primary
    for stage in document["stages"]:
        assert stage["operator_address"] == holders[stage["redundancy_index"]]
    processes = {(s["stage"], s["redundancy_index"]): s["process"] for s in document["stages"]}
    assert processes["received", PRIMARY] == "uploader-0"
    assert processes["sent", 0] == "task_node"
    assert processes["broadcast", PRIMARY] == "signer"
    receiver = [sp.address for sp in network.sps].index(holders[0])
    assert processes["stored", 0] == f"receiver-{receiver}"


async def test_states_come_from_the_journal_on_the_same_scale(network: WholeNetwork) -> None:
    status = await network.put(PAYLOAD)
    document = await timeline(network)
    states = document["states"]
    assert [s["state"] for s in states] == [entry["state"] for entry in status["history"]]
    assert states[-1]["end_s"] is None
    for state, entry in zip(states, status["history"], strict=True):
        assert document["began_at"] + state["start_s"] == pytest.approx(entry["at"], abs=0.01)
    starts = {s["state"]: s["start_s"] for s in states}
    stages = by_place(document)
    sealed = stages["sealed", PRIMARY, None]
    assert starts["SEAL_OBJECT_TX_DOING"] <= sealed["start_s"] + 0.01
    assert sealed["end_s"] <= starts["SEAL_OBJECT_DONE"] + 0.01


async def test_a_busy_machine_shows_in_the_shares_of_its_cores(network: WholeNetwork) -> None:
    await network.put(PAYLOAD)
    [node] = (await timeline(network))["cpu"]
    assert node["use"]
    for use in node["use"]:
        assert use["start_s"] < use["end_s"]
        assert use["busy_shares"]
        assert all(0 <= share <= 1 for share in use["busy_shares"])


async def test_what_a_restarted_process_has_forgotten_is_named(network: WholeNetwork) -> None:
    await network.put(PAYLOAD)
    await network.restart_task_node()
    document = await timeline(network)
    assert document["states"][-1]["state"] == JobState.SEAL_OBJECT_DONE.name
    missing = {(m["stage"], m["redundancy_index"]): m["batches"] for m in document["missing"]}
    assert missing["encoded", PRIMARY] == list(range(BATCHES))
    assert missing["sent", 5] == list(range(BATCHES))
    assert missing["sealed", PRIMARY] == []
    assert ("stored", 5) not in missing


async def test_when_every_process_is_new_the_error_says_why_and_what_to_do(
    network: WholeNetwork,
) -> None:
    await network.put(PAYLOAD)
    await network.kill()
    await network.start()
    with pytest.raises(NoTrace, match="restart") as caught:
        await timeline(network)
    assert f"greenray status album/{NAME}" in str(caught.value)
