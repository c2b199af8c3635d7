from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenray.protocol.layout import ColumnLayout
from greenray.storage import file_store
from greenray.storage.direct_io import StagingPool
from greenray.storage.file_store import FilePieceStore
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.ports import ColumnKey, PieceStore
from tests.support.aligned import aligned_copy

KEY = ColumnKey(3, 1)
STAGING_BYTES = 16 * 1024

sizes = st.one_of(
    st.integers(0, 5000),
    st.sampled_from([512, 4095, 4096, 4097, 8192, 12_288, STAGING_BYTES, STAGING_BYTES + 1]),
    st.integers(0, 3 * STAGING_BYTES),
)
shifts = st.sampled_from([0, 0, 512, 1, 4095])
buffers = st.tuples(sizes, shifts)


@dataclass(frozen=True)
class Append:
    buffers: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Sync:
    pass


@dataclass(frozen=True)
class Reopen:
    """Close, and resume after this fraction of what was synced and later."""

    fraction: float


steps = st.lists(
    st.one_of(
        st.lists(buffers, max_size=4).map(lambda b: Append(tuple(b))),
        st.just(Sync()),
        st.floats(0, 1).map(Reopen),
    ),
    max_size=12,
)


@contextmanager
def memory_store() -> Iterator[PieceStore]:
    yield MemoryPieceStore()


@contextmanager
def store_of_files() -> Iterator[PieceStore]:
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_store, "DIRECT_WRITE_MIN_BYTES", 0)
        yield FilePieceStore(Path(root), staging=StagingPool(1, STAGING_BYTES))


@pytest.mark.parametrize("open_store", [memory_store, store_of_files])
@settings(max_examples=60, deadline=None)
@given(steps=steps, seed=st.integers(0, 2**32))
def test_a_column_is_what_was_appended_whatever_sizes_alignments_and_pauses(
    open_store: object, steps: list[Append | Sync | Reopen], seed: int
) -> None:
    assert callable(open_store)
    generator = random.Random(seed)
    largest = ColumnLayout(1, 1 << 30, 1 << 30)
    with open_store() as store:
        model = b""
        writer = store.create(KEY, largest)
        for step in steps:
            match step:
                case Append(shapes):
                    parts = [generator.randbytes(size) for size, _ in shapes]
                    writer.append(
                        [
                            aligned_copy(part, shift)
                            for part, (_, shift) in zip(parts, shapes, strict=True)
                        ]
                    )
                    model += b"".join(parts)
                case Sync():
                    writer.sync()
                case Reopen(fraction):
                    writer.close()
                    model = model[: int(len(model) * fraction)]
                    writer = store.resume(KEY, largest, len(model))
            assert writer.size_bytes == len(model)
        writer.close()
        layout = ColumnLayout(1, len(model), len(model)) if model else ColumnLayout(0, 0, 0)
        store.resume(KEY, layout, len(model)).finish()
        found = bytearray(len(model))
        store.read_into(KEY, layout, 0, [memoryview(found)])
        assert bytes(found) == model
