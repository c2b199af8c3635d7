"""Kinds of PieceStore by their URLs: which are refused, and what is said then."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict
from pathlib import Path

import pytest

from greenray.protocol.errors import InvalidSetting
from greenray.storage.file_location import FileLocation, FileOptions
from greenray.storage.memory_location import MemoryLocation
from greenray.storage.piece_kinds import (
    PIECE_KINDS,
    location_from_json,
    location_to_json,
    piece_location,
)
from greenray.storage.piece_location import PieceLocation, Reach
from greenray.storage.s3_location import S3Location, S3Options

LOCATIONS: list[PieceLocation] = [
    FileLocation(Path("/srv/pieces"), FileOptions(shared=True), durable=False),
    S3Location("bucket", "some/prefix", S3Options(region="eu-central-1", attempts=2)),
    MemoryLocation("notebook"),
    *(piece_location(kind.example) for kind in PIECE_KINDS.values()),
]


@pytest.mark.parametrize("location", LOCATIONS, ids=lambda location: location.url)
def test_a_location_is_told_by_url_and_options_and_travels(location: PieceLocation) -> None:
    options = asdict(location.options)
    assert piece_location(location.url, options, durable=location.durable) == location
    assert location_from_json(json.loads(json.dumps(location_to_json(location)))) == location
    assert pickle.loads(pickle.dumps(location)) == location


@pytest.mark.parametrize("kind", PIECE_KINDS.values(), ids=PIECE_KINDS)
def test_the_example_of_a_kind_is_accepted_and_its_options_have_defaults(
    kind: type[PieceLocation],
) -> None:
    location = piece_location(kind.example)
    assert location.scheme == kind.scheme
    assert location.options == kind.options_type()


def test_who_sees_the_pieces_depends_on_the_kind_and_on_shared_disks() -> None:
    assert piece_location("memory://").reach == Reach.PROCESS
    assert piece_location("file:///srv").reach == Reach.NODE
    assert piece_location("file:///srv", {"shared": True}).reach == Reach.CLUSTER
    assert piece_location("s3://bucket").reach == Reach.CLUSTER


@pytest.mark.parametrize(
    ("url", "what", "next_step"),
    [
        ("gs://bucket", "no PieceStore is of kind 'gs'", "file:///srv/pieces or s3://"),
        ("/srv/pieces", "not a URL", "file:///srv/pieces or s3://"),
        ("", "not a URL", "file:///srv/pieces or s3://"),
        ("s3://[bucket", "not a URL", "s3://BUCKET/PREFIX"),
        ("file:pieces", "not absolute", "file:///srv/pieces"),
        ("file://", "not absolute", "file:///srv/pieces"),
        ("file:///", "the root of all files", "file:///srv/pieces"),
        ("file:////", "the root of all files", "file:///srv/pieces"),
        ("file:///srv/a%00b", "no character NUL", "file:///srv/pieces"),
        ("file://srv/pieces", "names 'srv'", "three slashes"),
        ("file://~/pieces", "names '~'", "three slashes"),
        ("s3://", "the bucket is missing", "s3://BUCKET/PREFIX"),
        ("s3:///prefix", "the bucket is missing", "s3://BUCKET/PREFIX"),
        ("s3://bucket//prefix", "has an empty part", "s3://BUCKET/PREFIX"),
        ("s3://bucket/../other", "a part '..'", "s3://BUCKET/PREFIX"),
        ("s3://bucket/a/./b", "a part '.'", "s3://BUCKET/PREFIX"),
        ("s3://localhost:9000/bucket", "is no name of a bucket", "pieces.endpoint_url"),
        ("s3://bucket/prefix?region=x", "options do not belong", "pieces.NAME"),
        ("s3://bucket/a#b", "options do not belong", "%23"),
        ("memory://one/two", "no paths", "memory://NAME"),
    ],
)
def test_a_wrong_url_is_refused_with_what_and_what_next(
    url: str, what: str, next_step: str
) -> None:
    with pytest.raises(InvalidSetting) as caught:
        piece_location(url)
    assert caught.value.where == "pieces.url"
    assert what in caught.value.what
    assert next_step in caught.value.next_step


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidSetting, match="credentials do not belong") as caught:
        piece_location("s3://key:hush@bucket/prefix")
    assert "hush" not in str(caught.value)
    assert "AWS_SECRET_ACCESS_KEY" in caught.value.next_step


def test_options_of_another_kind_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="of kind memory has no region"):
        piece_location("memory://", {"region": "x"})
