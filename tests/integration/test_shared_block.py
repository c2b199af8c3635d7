"""Memory that another process finds by its name."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from greenray.cluster.on_ray.shared_block import BlockName, SharedBlock, opened_block
from greenray.protocol.errors import SharedBlockGone

_WRITER = """
import sys
from greenray.cluster.on_ray.shared_block import BlockName, opened_block
opened_block(BlockName(*map(int, sys.argv[1:])), writable=True)[10:13] = [7, 8, 9]
"""

_MAKER = """
import time
from greenray.cluster.on_ray.shared_block import SharedBlock
block = SharedBlock(1 << 20)
block.memory[:] = 1
name = block.name
print(name.process_id, name.descriptor, name.inode, name.size_bytes, flush=True)
time.sleep(600)
"""


def test_another_process_writes_into_it() -> None:
    with closing(SharedBlock(4096)) as block:
        name = block.name
        fields = (name.process_id, name.descriptor, name.inode, name.size_bytes)
        subprocess.run([sys.executable, "-c", _WRITER, *map(str, fields)], check=True)
        assert block.memory[9:14].tolist() == [0, 7, 8, 9, 0]


def test_who_only_reads_it_cannot_write() -> None:
    with closing(SharedBlock(4096)) as block:
        assert not opened_block(block.name).flags.writeable


def test_the_name_of_memory_that_is_gone_finds_no_other() -> None:
    gone = SharedBlock(4096)
    gone.close()
    with closing(SharedBlock(4096)) as block, pytest.raises(SharedBlockGone):
        opened_block(replace(gone.name, descriptor=block.name.descriptor))


def test_a_name_is_not_opened_when_it_is_of_something_else_by_now(tmp_path: Path) -> None:
    with (
        closing(SharedBlock(4096)) as block,
        (tmp_path / "file").open("wb") as file,
        pytest.raises(SharedBlockGone),
    ):
        opened_block(replace(block.name, descriptor=file.fileno()))


def test_the_memory_is_free_when_its_maker_has_closed_it_whoever_still_maps_it() -> None:
    block = SharedBlock(4096)
    mapped = opened_block(block.name)
    block.memory[:] = 5
    block.close()
    assert mapped.tolist() == [0] * 4096


def test_nothing_is_left_of_what_a_killed_process_has_made() -> None:
    with subprocess.Popen([sys.executable, "-c", _MAKER], stdout=subprocess.PIPE) as maker:
        assert maker.stdout is not None
        name = BlockName(*map(int, maker.stdout.readline().split()))
        mapped = opened_block(name)
        maps = Path(f"/proc/{maker.pid}/maps").read_text()
        assert "/memfd:greenray (deleted)" in maps
        assert "/dev/shm" not in maps
        maker.send_signal(signal.SIGKILL)
    with pytest.raises(SharedBlockGone):
        opened_block(replace(name, size_bytes=4096))  # not the one that is mapped already
    assert mapped[-1] == 1  # who maps it may read on
    with closing(SharedBlock(4096)) as block:
        opened_block(block.name)  # of another maker: those of the dead one are let go
        with pytest.raises(SharedBlockGone):
            opened_block(name)
