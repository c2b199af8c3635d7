"""Which node runs what, and what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenray.cluster.config.topology import ClusterNode, Topology
from greenray.protocol.errors import InvalidSetting
from greenray.storage.file_location import FileLocation, FileOptions
from greenray.storage.s3_location import S3Location

FILES = FileLocation(Path("/srv/pieces"))
SHARED_FILES = FileLocation(Path("/srv/pieces"), FileOptions(shared=True))
MIB = 1024 * 1024


def node(name: str, *marks: str, object_store_bytes: int = 300 * MIB) -> ClusterNode:
    return ClusterNode(f"id-{name}", name, object_store_bytes, frozenset(marks))


A, B, C = node("a"), node("b"), node("c")


def test_every_node_takes_uploads_and_home_comes_first() -> None:
    topology = Topology.of([C, A, B], "id-b")
    assert topology.home == B
    assert topology.ingesting == (B, A, C)
    assert [topology.receiver_node(i) for i in range(4)] == [B, A, C, B]


def test_only_marked_nodes_take_uploads_when_there_are_any() -> None:
    marked = [A, node("b", "gateway"), node("c", "gateway")]
    topology = Topology.of(marked, "id-a")
    assert topology.home == A
    assert [n.address for n in topology.ingesting] == ["b", "c"]


def test_the_journal_stays_on_the_node_that_is_marked_for_it() -> None:
    marked = [A, node("b", "job_store")]
    assert Topology.of(marked, "id-b").home.address == "b"
    with pytest.raises(InvalidSetting, match="Run greenray up on b"):
        Topology.of(marked, "id-a")


def test_files_on_several_nodes_are_refused_unless_they_are_shared() -> None:
    topology = Topology.of([A, B], "id-a")
    with pytest.raises(InvalidSetting) as caught:
        topology.check(FILES, MIB)
    assert caught.value.what == "2 nodes do not see each other's files"
    assert caught.value.where == "pieces.url file:///srv/pieces"
    assert "pieces.url" in caught.value.next_step
    assert "pieces.shared" in caught.value.next_step
    topology.check(SHARED_FILES, MIB)
    topology.check(S3Location("bucket"), MIB)
    Topology.of([A], "id-a").check(FILES, MIB)


def test_an_object_store_that_is_smaller_than_the_budget_is_named() -> None:
    topology = Topology.of([A, node("small", object_store_bytes=100 * MIB)], "id-a")
    with pytest.raises(InvalidSetting) as caught:
        topology.check(SHARED_FILES, 276 * MIB)
    assert str(caught.value).startswith(
        "small: the node's object store has 100 MiB, the budget needs 276 MiB"
    )
    assert "--object-store-memory" in caught.value.next_step
