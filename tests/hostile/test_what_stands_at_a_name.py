"""Files that a person names: whatever stands there, only a regular file is ever replaced."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from greenray.bench.records import BenchResult, write_result
from greenray.client.payload_io import VerifiedDownload, download_target
from greenray.display.plot import finished, new_axes
from greenray.files.whole_file import WholeFile, write_whole
from greenray.protocol.errors import InvalidName, StoreError, UnreadableFile
from greenray.protocol.integrity import integrity_hash
from tests.support.timelines import timeline_document

PAYLOAD = b"payload" * 100


def get(target: Path) -> None:
    download = VerifiedDownload(target, 1 << 20)
    try:
        download.write(PAYLOAD)
        download.commit(integrity_hash([hashlib.sha256(PAYLOAD).digest()]))
    finally:
        download.abort()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device")
def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    device = tmp_path / "null"
    os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    get(device)
    assert stat.S_ISCHR(device.stat().st_mode)
    assert os.listdir(tmp_path) == ["null"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device")
def test_a_block_device_is_not_written_to(tmp_path: Path) -> None:
    device = tmp_path / "disk"
    os.mknod(device, 0o666 | stat.S_IFBLK, os.makedev(7, 255))
    with pytest.raises(UnreadableFile, match="block device"):
        get(device)
    assert stat.S_ISBLK(device.stat().st_mode)


def test_a_pipe_gets_what_was_verified_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    came: list[bytes] = []
    opened = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(opened, True)

    def read() -> None:
        with os.fdopen(opened, "rb") as file:
            came.append(file.read())

    reader = threading.Thread(target=read)
    download = VerifiedDownload(pipe, 1 << 20)
    reader.start()
    download.write(PAYLOAD)
    download.commit(integrity_hash([hashlib.sha256(PAYLOAD).digest()]))
    reader.join()
    assert came == [PAYLOAD]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_pipe_gets_nothing_that_is_not_verified(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    download = VerifiedDownload(pipe, 1 << 20)
    download.write(PAYLOAD)
    download.abort()
    assert os.read(reading, 100) == b""
    os.close(reading)


def test_a_pipe_that_nobody_reads_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UnreadableFile, match="nobody reads"):
        get(pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        with pytest.raises(UnreadableFile, match="socket"):
            get(tmp_path / "s")


def test_a_directory_is_refused_by_the_client(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="is a directory"):
        get(tmp_path)
    assert os.listdir(tmp_path) == []


def test_the_command_puts_an_object_into_a_directory_by_the_last_part_of_its_name(
    tmp_path: Path,
) -> None:
    assert download_target(tmp_path, "a/b/c.jpg") == tmp_path / "c.jpg"
    assert download_target(tmp_path / "new", "a/b/c.jpg") == tmp_path / "new"


@pytest.mark.parametrize("name", ["a/", "a/..", "..", ".", "a/\0b"])
def test_but_never_outside_of_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidName):
        download_target(tmp_path, name)


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"old")
    (tmp_path / "there").chmod(0o640)
    (tmp_path / "link").symlink_to("there")
    get(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there").read_bytes() == PAYLOAD
    assert stat.S_IMODE((tmp_path / "there").stat().st_mode) == 0o640


def test_what_comes_to_stand_there_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "target"
    whole = WholeFile(target)
    whole.file.write(b"x")
    os.mkfifo(target)
    with pytest.raises(OSError, match="no regular file"):
        whole.commit()
    whole.abort()
    assert os.listdir(tmp_path) == ["target"]
    assert stat.S_ISFIFO(target.stat().st_mode)


def test_neither_do_traces_pictures_and_results(tmp_path: Path) -> None:
    from greenray.timeline.perfetto import write_perfetto
    from greenray.timeline.values import Timeline

    for name in ("trace", "picture", "hash.json", "hash.parquet"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(StoreError, match="nobody reads"):
        write_perfetto(Timeline.from_json(timeline_document()), tmp_path / "trace")
    with pytest.raises(OSError, match="nobody reads"):
        finished(new_axes("title")).save(tmp_path / "picture")
    with pytest.raises(StoreError, match="cannot write the result"):
        write_result(BenchResult("hash", True, {}, (), {}), tmp_path)
    assert all(stat.S_ISFIFO(path.stat().st_mode) for path in tmp_path.iterdir())


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_whole(target, "text")  # type: ignore[arg-type]
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["target"]
