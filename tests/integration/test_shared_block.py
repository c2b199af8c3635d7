"""Memory that another process finds by its name."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from greenray.bench.shared_block import opened_block, shared_block

_WRITER = """
import sys
from greenray.bench.shared_block import BlockName, opened_block
opened_block(BlockName(*map(int, sys.argv[1:])))[10:13] = [7, 8, 9]
"""


def test_another_process_writes_into_it() -> None:
    with shared_block(4096) as (name, memory):
        fields = (name.process_id, name.descriptor, name.inode, name.size_bytes)
        subprocess.run([sys.executable, "-c", _WRITER, *map(str, fields)], check=True)
        assert memory[9:14].tolist() == [0, 7, 8, 9, 0]


def test_the_name_of_memory_that_is_gone_finds_no_other() -> None:
    with shared_block(4096) as (gone, _):
        pass
    with shared_block(4096) as (name, _), pytest.raises(FileNotFoundError):
        opened_block(replace(gone, descriptor=name.descriptor))
