"""Networks with all pieces in a bucket of a real S3 server."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import greenray
from tests.support.cli import SMALL_NETWORK, Surroundings
from tests.support.s3_server import S3Server, s3_server


@pytest.fixture
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


def test_an_object_is_sealed_read_back_and_looked_into(server: S3Server, tmp_path: Path) -> None:
    payload = random.Random(4).randbytes(300_000)
    pieces = {"url": f"s3://{server.bucket_name}/greenray", "endpoint_url": server.endpoint_url}
    with greenray.local_network(
        state_dir=tmp_path / "state", **SMALL_NETWORK, pieces=pieces
    ) as net:
        net.put(payload, "album/photo.jpg")
        assert net.get("album/photo.jpg") == payload
        assert not (tmp_path / "state" / "pieces").exists()

        columns = net.pieces("album/photo.jpg").columns
        assert [column.intact for column in columns] == [True] * 7
        records = {f"s3://{server.bucket_name}/greenray/{name}" for name in stored(server)}
        assert {column.path for column in columns} == {r for r in records if "/columns/" in r}
        assert net.rebuild_segment("album/photo.jpg", 0, lost=(0, 1)).same

        for name in stored(server):
            if f"{columns[1].operator_address.lower()}/parts/" in name:
                server.bucket("greenray").delete(name)
        columns = net.pieces("album/photo.jpg").columns
        assert [bool(column.missing) for column in columns] == [False, True] + 5 * [False]


def stored(server: S3Server) -> list[str]:
    return [name for name, _ in server.bucket("greenray").list("")]


def test_a_wrong_bucket_is_refused_before_anything_is_started(
    server: S3Server, tmp_path: Path
) -> None:
    pieces = {"kind": "s3", "bucket": "wrong-bucket", "endpoint_url": server.endpoint_url}
    surroundings = Surroundings(tmp_path / "network", {**SMALL_NETWORK, "pieces": pieces})
    error = surroundings.call("up", "--json").error
    assert error["reason"] == "store-error"
    assert "s3://wrong-bucket/greenray" in error["message"]
    assert "there is no such bucket" in error["message"]
    assert "pieces.bucket" in error["message"]
    assert surroundings.processes() == []
