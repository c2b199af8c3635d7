"""What a download that broke off leaves for the next one."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest

from greenray.client.payload_io import VerifiedDownload
from greenray.protocol.errors import GreenrayError, IntegrityHashMismatch, UnreadableFile
from greenray.protocol.integrity import integrity_hash

SEGMENT_BYTES = 1 << 20
PAYLOAD = random.Random(3).randbytes(10 * SEGMENT_BYTES + 77)
HASH = integrity_hash(
    [
        hashlib.sha256(PAYLOAD[start : start + SEGMENT_BYTES]).digest()
        for start in range(0, len(PAYLOAD), SEGMENT_BYTES)
    ]
)
CAME = 9 * SEGMENT_BYTES + 5


def broke_off(target: Path, payload: bytes) -> None:
    download = VerifiedDownload(target, SEGMENT_BYTES)
    download.go_on(HASH, len(PAYLOAD))
    download.write(payload)
    download.keep()
    download.abort()


def test_the_next_one_goes_on_and_verifies_all_of_it(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    broke_off(target, PAYLOAD[:CAME])
    assert target.read_bytes() == b"old"
    download = VerifiedDownload(target, SEGMENT_BYTES)
    assert download.go_on(HASH, len(PAYLOAD)) == CAME
    download.write(PAYLOAD[CAME:])
    download.commit(HASH)
    assert target.read_bytes() == PAYLOAD
    assert os.listdir(tmp_path) == ["target"]


def test_what_was_kept_and_is_wrong_is_found_and_not_kept_again(tmp_path: Path) -> None:
    target = tmp_path / "target"
    broke_off(target, b"\0" * CAME)
    download = VerifiedDownload(target, SEGMENT_BYTES)
    download.go_on(HASH, len(PAYLOAD))
    download.write(PAYLOAD[CAME:])
    with pytest.raises(IntegrityHashMismatch):
        download.commit(HASH)
    download.abort()
    assert os.listdir(tmp_path) == []


def test_little_is_not_kept(tmp_path: Path) -> None:
    broke_off(tmp_path / "target", PAYLOAD[: 8 * SEGMENT_BYTES - 1])
    assert os.listdir(tmp_path) == []


def test_more_than_the_object_has_is_forgotten(tmp_path: Path) -> None:
    target = tmp_path / "target"
    broke_off(target, PAYLOAD + b"more")
    download = VerifiedDownload(target, SEGMENT_BYTES)
    assert download.go_on(HASH, len(PAYLOAD)) == 0
    download.write(PAYLOAD)
    download.commit(HASH)
    assert target.read_bytes() == PAYLOAD


def test_another_object_does_not_go_on_from_it(tmp_path: Path) -> None:
    broke_off(tmp_path / "target", PAYLOAD[:CAME])
    download = VerifiedDownload(tmp_path / "target", SEGMENT_BYTES)
    assert download.go_on(b"\1" * 32, len(PAYLOAD)) == 0
    download.abort()


def test_a_link_that_somebody_put_there_is_not_followed(tmp_path: Path) -> None:
    broke_off(tmp_path / "target", PAYLOAD[:CAME])
    [kept] = tmp_path.iterdir()
    precious = tmp_path / "precious"
    kept.rename(precious)
    kept.symlink_to(precious)
    download = VerifiedDownload(tmp_path / "target", SEGMENT_BYTES)
    with pytest.raises(UnreadableFile) as refused:
        download.go_on(HASH, len(PAYLOAD))
    assert isinstance(refused.value, GreenrayError)
    download.abort()
    assert precious.read_bytes() == PAYLOAD[:CAME]


def test_a_pipe_keeps_nothing(tmp_path: Path) -> None:
    download = VerifiedDownload(Path("/dev/null"), SEGMENT_BYTES)
    assert download.go_on(HASH, len(PAYLOAD)) == 0
    download.write(PAYLOAD[:CAME])
    download.keep()
    download.abort()
