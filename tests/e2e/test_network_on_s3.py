"""``greenray up`` with all pieces in a bucket of a real S3 server."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import SMALL_NETWORK, Surroundings, start_network
from tests.support.s3_server import S3Server, s3_server


@pytest.fixture
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def surroundings(tmp_path: Path, server: S3Server) -> Iterator[Surroundings]:
    pieces = {"kind": "s3", "bucket": server.bucket_name, "endpoint_url": server.endpoint_url}
    surroundings = Surroundings(tmp_path / "network", {**SMALL_NETWORK, "pieces": pieces})
    yield surroundings
    surroundings.kill_everything()


def test_an_object_is_stored_sealed_and_read_back(
    surroundings: Surroundings, server: S3Server, tmp_path: Path
) -> None:
    payload = random.Random(4).randbytes(300_000)
    (tmp_path / "payload").write_bytes(payload)
    network = start_network(surroundings)
    status = network.answer("put", tmp_path / "payload", "album/photo.jpg")
    assert status["state"] == "SEAL_OBJECT_DONE"
    network.answer("get", "album/photo.jpg", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == payload
    assert not (surroundings.state_dir / "pieces").exists()
    columns = [name for name, _ in server.bucket("greenray").list("") if "/columns/" in name]
    assert len(columns) == 7


def test_a_wrong_bucket_is_refused_before_any_upload(surroundings: Surroundings) -> None:
    error = surroundings.run("up", "--json", GREENRAY_PIECES__BUCKET="wrong-bucket").error
    assert error["reason"] == "store-error"
    assert "s3://wrong-bucket/greenray" in error["message"]
    assert "there is no such bucket" in error["message"]
    assert "pieces.bucket" in error["message"]
    assert surroundings.processes() == []
