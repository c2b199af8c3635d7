"""Payloads that can be read once."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from greenray.client.spool import is_stream, spooled
from greenray.protocol.errors import PayloadTooLarge, UnreadableFile


def pipe_with(tmp_path: Path, payload: bytes) -> tuple[str, threading.Thread]:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        try:
            pipe.write_bytes(payload)
        except BrokenPipeError:
            return  # who reads had enough

    writer = threading.Thread(target=write)
    writer.start()
    return str(pipe), writer


@pytest.mark.parametrize("size_bytes", [0, 1, 5_000_000, 40_000_000])
def test_all_of_a_pipe_is_kept_in_memory_or_on_disk(tmp_path: Path, size_bytes: int) -> None:
    payload = random.Random(5).randbytes(size_bytes)
    pipe, writer = pipe_with(tmp_path, payload)
    with spooled(pipe, 1 << 30, threading.Event()) as spool:
        assert spool.read() == payload
    writer.join()


def test_more_than_an_object_may_have_is_refused_as_it_comes(tmp_path: Path) -> None:
    pipe, writer = pipe_with(tmp_path, random.Random(5).randbytes(3_000_000))
    with pytest.raises(PayloadTooLarge, match="1000000 bytes"):
        spooled(pipe, 1_000_000, threading.Event())
    writer.join()


def test_who_waits_for_a_pipe_that_nobody_writes_can_be_stopped(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    stopped = threading.Event()
    waiting = threading.Thread(target=spooled, args=(str(pipe), 1000, stopped))
    waiting.start()
    stopped.set()
    waiting.join()


def test_files_are_no_streams_and_pipes_are(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    found = {name: is_stream(str(tmp_path / name)) for name in ("pipe", "file", "none", ".")}
    assert found == {"pipe": True, "file": False, "none": False, ".": False}
    assert is_stream("-")
    with pytest.raises(UnreadableFile):
        spooled(str(tmp_path / "none"), 1000, threading.Event())
