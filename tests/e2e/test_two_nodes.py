"""A network on a Ray cluster that runs already: two nodes on this machine, pieces on S3."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import ray
from ray._private.authentication import authentication_token_setup
from ray.cluster_utils import Cluster
from ray.experimental import get_object_locations
from ray.util import list_named_actors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from greenray.cluster.on_ray.encoder import RayEncoder
from greenray.cluster.on_ray.placing import Placing
from tests.support.cli import SMALL_NETWORK, Outcome, Surroundings, start_network
from tests.support.s3_server import S3Server, s3_server

OBJECT_STORE_BYTES = 300 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def cluster(server: S3Server) -> Iterator[Cluster]:
    """Started after the server: its processes inherit the credentials. It wants Ray's token, and
    the environment of what comes later does not say so, as after "ray start" in another shell."""
    untyped: Any = authentication_token_setup
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RAY_USAGE_STATS_ENABLED", "RAY_enable_metrics_collection"):
            patch.setenv(name, "0")
        patch.setenv("RAY_AUTH_MODE", "token")
        untyped._enable_token_auth()
        untyped.ensure_token_if_auth_enabled()
        cluster: Any = Cluster()
        for _ in range(2):
            cluster.add_node(
                num_cpus=1, object_store_memory=OBJECT_STORE_BYTES, include_dashboard=False
            )
        ray.init(address=cluster.address, namespace="test", log_to_driver=False)
        patch.delenv("RAY_AUTH_MODE")
        yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def surroundings(tmp_path: Path, server: S3Server) -> Iterator[Surroundings]:
    pieces = {
        "kind": "s3",
        "bucket": server.bucket_name,
        "prefix": tmp_path.name,
        "endpoint_url": server.endpoint_url,
    }
    settings = {**SMALL_NETWORK, "pieces": pieces, "replication": {"receivers": 1}}
    surroundings = Surroundings(tmp_path / "network", settings)
    yield surroundings
    surroundings.kill_everything()


def named_actors() -> dict[str, str]:
    """Namespaces by name."""
    return {entry["name"]: entry["namespace"] for entry in list_named_actors(all_namespaces=True)}


def ray_nodes() -> list[dict[str, Any]]:
    untyped: Any = ray
    described: list[dict[str, Any]] = untyped.nodes()
    return described


def raylet_of(name: str, namespace: str) -> int:
    """The process id of the node's server, whose child the actor's process is."""
    handle: Any = ray.get_actor(name, namespace)
    return psutil.Process(ray.get(handle.ping.remote())).ppid()


def at_once(surroundings: Surroundings, commands: Sequence[Sequence[object]]) -> list[Outcome]:
    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(lambda command: surroundings.run(*command, "--json"), commands))


def test_objects_that_both_gateways_take_at_once_are_sealed_and_read_back(
    surroundings: Surroundings, cluster: Cluster, tmp_path: Path
) -> None:
    up = surroundings.run("up", "--detach", "--address", cluster.address, "--json")
    gateways = up.document["gateways"]
    by_uploader = {
        name: [g["endpoint"] for g in gateways if g["uploader"] == name]
        for name in ("uploader-0", "uploader-1")
    }
    assert [len(endpoints) for endpoints in by_uploader.values()] == [7, 7]
    assert len({g["endpoint"] for g in gateways}) == 14

    actors = named_actors()
    raylets = {name: raylet_of(name, namespace) for name, namespace in actors.items()}
    home, other = raylets["uploader-0"], raylets["uploader-1"]
    assert home != other
    assert (raylets["receiver-0"], raylets["receiver-1"]) == (home, other)
    assert {n for n, raylet in raylets.items() if raylet == other} == {"uploader-1", "receiver-1"}

    payloads = [random.Random(seed).randbytes(700_000) for seed in range(2)]
    entrances = [endpoints[0] for endpoints in by_uploader.values()]
    puts, gets = [], []
    for index, (payload, entrance) in enumerate(zip(payloads, entrances, strict=True)):
        (tmp_path / f"payload-{index}").write_bytes(payload)
        name = f"album-{index}/photo.jpg"
        puts.append(("put", "--gateway", entrance, tmp_path / f"payload-{index}", name))
        # Read where the other one was taken: both see the same pieces.
        gets.append(("get", "--gateway", entrances[1 - index], name, tmp_path / f"copy-{index}"))
    for put in at_once(surroundings, puts):
        assert put.document["state"] == "SEAL_OBJECT_DONE"
        assert put.document["seal_tx_hash"]
    assert [get.exit_code for get in at_once(surroundings, gets)] == [0, 0]
    for index, payload in enumerate(payloads):
        assert (tmp_path / f"copy-{index}").read_bytes() == payload

    error = surroundings.run(
        "get", "--json", "--gateway", "http://127.0.0.1:1", "album-0/photo.jpg", tmp_path / "none"
    ).error
    assert error["reason"] == "invalid-input"

    assert surroundings.run("down", "--json").exit_code == 0
    assert named_actors() == {}
    assert [node["Alive"] for node in ray_nodes()] == [True, True]
    assert surroundings.processes() == []


def test_up_refuses_files_that_one_node_sees_and_takes_shared_ones_and_may_be_killed(
    surroundings: Surroundings, cluster: Cluster
) -> None:
    nowhere = surroundings.run("up", "--address", "127.0.0.1:1", "--json")
    assert nowhere.error["reason"] == "component-unavailable"
    assert "no Ray cluster answers" in nowhere.error["message"]
    assert "Started a local Ray instance" not in nowhere.stderr
    assert surroundings.processes() == []

    surroundings.write_settings(SMALL_NETWORK)
    error = surroundings.run("up", "--address", cluster.address, "--json").error
    assert error["reason"] == "invalid-setting"
    assert "2 nodes do not see each other's files" in error["message"]
    assert "pieces.shared" in error["message"]
    assert surroundings.processes() == []
    assert named_actors() == {}

    shared = {"pieces": {"shared": True}, "replication": {"receivers": 1}}
    surroundings.write_settings({**SMALL_NETWORK, **shared})
    network = start_network(surroundings, "--address", cluster.address)
    assert {"uploader-0", "uploader-1"} < set(named_actors())
    network.stop(signal.SIGKILL)
    while named_actors():
        time.sleep(0.1)
    assert [node["Alive"] for node in ray_nodes()] == [True, True]


class Holder:
    """An Uploader's part of an upload."""

    def put(self) -> tuple[Any, ...]:
        self.columns = tuple(ray.put(np.full(4 << 20, j, dtype=np.uint8)) for j in range(4))
        return self.columns


async def test_parity_columns_are_made_on_the_node_of_their_data(cluster: Cluster) -> None:
    untyped: Any = ray.cloudpickle
    untyped.register_pickle_by_value(sys.modules[__name__])
    home = ray.get_runtime_context().get_node_id()
    [other] = [node["NodeID"] for node in ray_nodes() if node["NodeID"] != home]
    there = NodeAffinitySchedulingStrategy(other, soft=False)
    holder: Any = ray.remote(Holder).options(num_cpus=0.001, scheduling_strategy=there).remote()
    data = ray.get(holder.put.remote())
    parity = await RayEncoder("numpy", Placing()).encode(
        data, 2, lambda work: None, column_size_bytes=4 << 20
    )
    ray.wait(list(parity), num_returns=2, fetch_local=False)
    where = get_object_locations(list(parity))
    assert [where[column]["node_ids"] for column in parity] == [[other]] * 2
    ray.kill(holder)
