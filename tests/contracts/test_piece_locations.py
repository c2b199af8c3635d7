"""What every kind of PieceStore promises about a place: opened, found again, named, probed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenray.protocol.errors import NoSuchPiece, StoreError
from greenray.protocol.layout import SEGMENTS
from greenray.storage.piece_kinds import PIECE_KINDS, piece_location
from greenray.storage.piece_location import PieceLocation
from greenray.storage.ports import ColumnKey
from tests.contracts.piece_store_contract import CONTENT, KEY, LAYOUT, put, read
from tests.support.s3_server import S3Server, s3_server

A, B = "0xABCDEF", "0x123456"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def places(server: S3Server, tmp_path: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """URL and options of an empty place, by kind."""
    name = uuid.uuid4().hex
    return {
        "file": ((tmp_path / "pieces").as_uri(), {}),
        "s3": (f"s3://{server.bucket_name}/{name}", {"endpoint_url": server.endpoint_url}),
        "memory": (f"memory://{name}", {}),
    }


@pytest.fixture(params=PIECE_KINDS)
def location(
    request: pytest.FixtureRequest, places: dict[str, tuple[str, dict[str, Any]]]
) -> PieceLocation:
    return piece_location(*places[request.param])


def test_whoever_opens_a_place_finds_what_is_there(location: PieceLocation) -> None:
    stores = location.open((A, B))
    assert list(stores) == [A, B]
    put(stores[A], KEY, LAYOUT, CONTENT)
    assert read(location.open((A,))[A], KEY, LAYOUT) == CONTENT
    assert read(location.open_existing(A), KEY, LAYOUT) == CONTENT
    assert not location.open((B,))[B].exists(KEY)


def test_an_address_is_the_same_in_capitals(location: PieceLocation) -> None:
    store = location.open((A,))[A]
    put(store, KEY, LAYOUT, CONTENT)
    assert location.open_existing(A.lower()).exists(KEY)


@pytest.mark.parametrize("location", ["file", "memory"], indirect=True)
def test_a_provider_that_never_stored_anything_is_not_made_by_looking(
    location: PieceLocation,
) -> None:
    for _ in range(2):
        with pytest.raises(NoSuchPiece, match="keeps nothing here"):
            location.open_existing(A)


def test_the_place_of_a_column_is_below_the_url_and_tells_columns_apart(
    location: PieceLocation,
) -> None:
    keys = [KEY, ColumnKey(7, SEGMENTS), ColumnKey(8, 2)]
    found = {location.place(sp, key) for sp in (A, B) for key in keys}
    assert len(found) == 6
    assert all(place.startswith(location.url.removeprefix("file://")) for place in found)


def test_a_probe_leaves_nothing(location: PieceLocation) -> None:
    location.probe()
    assert list(location.open(("probe",))["probe"].list_columns()) == []


def test_a_directory_is_empty_after_its_probe(tmp_path: Path) -> None:
    piece_location((tmp_path / "pieces").as_uri()).probe()
    assert list((tmp_path / "pieces").iterdir()) == []


def test_a_probe_says_what_is_wrong(server: S3Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(StoreError, match="make a directory"):
        piece_location((tmp_path / "file" / "pieces").as_uri()).probe()
    with pytest.raises(StoreError, match="there is no such bucket"):
        piece_location("s3://no-such-bucket", {"endpoint_url": server.endpoint_url}).probe()
