from __future__ import annotations

import errno
import fcntl
import logging
import os
import resource
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from greenray.protocol.errors import NoSpaceLeft, StoreError
from greenray.protocol.layout import ColumnLayout
from greenray.storage import append_file, direct_io
from greenray.storage.column_paths import parse_finished, parse_unfinished
from greenray.storage.direct_io import BLOCK_SIZE_BYTES, StagingPool, address_of, probe_direct_io
from greenray.storage.file_store import FilePieceStore
from greenray.storage.ports import ColumnKey, Fence
from tests.support.aligned import aligned_copy

KEY = ColumnKey(7, 2)
MIB = 1024 * 1024
LAYOUT = ColumnLayout(4, MIB, MIB)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "pieces"


@pytest.fixture
def store(root: Path) -> FilePieceStore:
    return FilePieceStore(root)


def files(root: Path) -> dict[str, int]:
    return {str(p.relative_to(root)): p.stat().st_size for p in root.rglob("*") if p.is_file()}


# --- names ---------------------------------------------------------------------------------------


def test_a_column_is_one_file_and_an_unfinished_one_lies_elsewhere(
    root: Path, store: FilePieceStore
) -> None:
    content = bytes(4 * MIB)
    writer = store.create(KEY, LAYOUT, fence=Fence(3))
    writer.append([memoryview(content)])
    assert files(root) == {"unfinished/e7_p2.a3": 4 * MIB}
    writer.finish()
    segments = store.create(ColumnKey(5000), ColumnLayout(1, 5, 5))
    segments.append([memoryview(b"hello")])
    segments.finish()
    assert files(root) == {"columns/0/e7_p2": 4 * MIB, "columns/1/s5000": 5}


@pytest.mark.parametrize(
    "name", ["", "s", "s01", "s1_p2", "e1", "e1_p02", "s1.a", "s-1", "s1\n", "s1.tmp", "s１"]
)
def test_files_of_other_names_are_no_columns(name: str) -> None:
    assert parse_finished(name) is None
    assert parse_unfinished(name) is None


def test_a_name_is_either_finished_or_unfinished() -> None:
    assert (parse_finished("s1"), parse_unfinished("s1")) == (ColumnKey(1), None)
    assert (parse_finished("e1_p0.a2"), parse_unfinished("e1_p0.a2")) == (
        None,
        (ColumnKey(1, 0), 2),
    )


def test_strange_files_in_the_store_are_not_listed(root: Path, store: FilePieceStore) -> None:
    (root / "columns" / "lost+found").mkdir()
    (root / "columns" / "0").mkdir()
    for name in ("columns/0/notes.txt", "columns/0/s1.a0", "unfinished/s1", "unfinished/probe-x"):
        (root / name).touch()
    assert list(store.list_columns()) == []
    assert list(store.list_unfinished()) == []


# --- the path without copies ---------------------------------------------------------------------


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, list[int]]]:
    """For each write: whether it was direct, and the addresses it came from."""
    writes: list[tuple[bool, list[int]]] = []
    real = direct_io.write_all

    def spy(fd: int, views: Sequence[memoryview], offset: int) -> None:
        is_direct = bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT)
        writes.append((is_direct, [address_of(v) for v in views]))
        real(fd, views, offset)

    monkeypatch.setattr(append_file, "write_all", spy)
    return writes


def needs_direct_io(root: Path) -> None:
    if probe_direct_io(root / "unfinished") is None:
        pytest.skip("no O_DIRECT on this file system")


def test_aligned_memory_is_written_in_one_call_without_a_copy(
    root: Path, store: FilePieceStore, written: list[tuple[bool, list[int]]]
) -> None:
    needs_direct_io(root)
    columns = [aligned_copy(bytes([i]) * MIB) for i in range(4)]
    writer = store.create(KEY, LAYOUT)
    writer.append(columns)
    writer.finish()
    assert written == [(True, [address_of(c) for c in columns])]


def test_unaligned_memory_goes_through_the_bounded_staging_memory(
    root: Path, written: list[tuple[bool, list[int]]]
) -> None:
    store = FilePieceStore(root, staging=StagingPool(1, 64 * 1024))
    needs_direct_io(root)
    column = aligned_copy(os.urandom(4 * MIB), shift_bytes=3)
    writer = store.create(KEY, LAYOUT)
    writer.append([column])
    writer.finish()
    assert len({address for _, addresses in written for address in addresses}) == 1
    assert all(is_direct for is_direct, _ in written)
    assert (root / "columns/0/e7_p2").read_bytes() == column


def test_copying_stops_where_memory_is_aligned_again(
    root: Path, store: FilePieceStore, written: list[tuple[bool, list[int]]]
) -> None:
    needs_direct_io(root)
    memory = aligned_copy(os.urandom(2 * MIB))
    head, body = memory[:100], memory[BLOCK_SIZE_BYTES - 100 :]
    layout = ColumnLayout(1, len(head) + len(body), len(head) + len(body))
    writer = store.create(KEY, layout)
    writer.append([head, body])
    writer.finish()
    # 100 bytes and the 100 before the boundary do not make a block: everything is copied.
    assert (root / "columns/0/e7_p2").read_bytes() == bytes(head) + bytes(body)
    written.clear()
    writer = store.create(KEY, LAYOUT)
    writer.append([memory[:512], memory[BLOCK_SIZE_BYTES + 512 :], memory[:BLOCK_SIZE_BYTES]])
    (is_direct, addresses), *_ = written
    assert is_direct
    assert address_of(memory[2 * BLOCK_SIZE_BYTES :]) in addresses


def test_small_columns_are_written_through_the_page_cache(
    store: FilePieceStore, written: list[tuple[bool, list[int]]]
) -> None:
    writer = store.create(KEY, ColumnLayout(1, 10_000, 10_000))
    writer.append([aligned_copy(bytes(10_000))])
    writer.finish()
    assert [is_direct for is_direct, _ in written] == [False]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no tmpfs here")
def test_a_file_system_without_direct_io_is_named_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(direct_io, "_accepts_direct_write", lambda path, block: False)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as root, caplog.at_level(logging.WARNING):
        for _ in range(3):
            FilePieceStore(Path(root))
    assert [r.getMessage() for r in caplog.records if "O_DIRECT" in r.getMessage()] == [
        f"{root}/unfinished: no O_DIRECT on this file system, writing through the page cache"
    ]


# --- durability ----------------------------------------------------------------------------------


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch, root: Path) -> list[str]:
    """The files and directories that were synced, and the renames, in order."""
    steps: list[str] = []

    def name_of(fd: int) -> str:
        return os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), root)

    real_fdatasync, real_fsync, real_replace = os.fdatasync, os.fsync, Path.replace

    def fdatasync(fd: int) -> None:
        steps.append(f"data of {name_of(fd)}")
        real_fdatasync(fd)

    def fsync(fd: int) -> None:
        steps.append(f"names in {name_of(fd)}")
        real_fsync(fd)

    def replace(self: Path, target: Path) -> Path:
        steps.append(f"rename to {os.path.relpath(target, root)}")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    return steps


def test_data_is_synced_before_its_name_and_the_name_before_the_answer(
    store: FilePieceStore, synced: list[str]
) -> None:
    writer = store.create(KEY, LAYOUT)
    writer.append([aligned_copy(bytes(2 * MIB))])
    writer.sync()
    writer.append([aligned_copy(bytes(2 * MIB))])
    writer.sync()
    assert synced == [
        "data of unfinished/e7_p2.a0",
        "names in unfinished",
        "data of unfinished/e7_p2.a0",
    ]
    synced.clear()
    writer.finish()
    assert synced == [
        "names in columns",
        "rename to columns/0/e7_p2",
        "names in columns/0",
    ]


def test_a_store_that_is_not_durable_syncs_nothing(root: Path, synced: list[str]) -> None:
    store = FilePieceStore(root, durable=False)
    writer = store.create(KEY, LAYOUT)
    writer.append([aligned_copy(bytes(4 * MIB))])
    writer.sync()
    writer.finish()
    store.delete(KEY)
    assert synced == ["rename to columns/0/e7_p2"]


def test_every_directory_of_a_new_root_is_durable(root: Path, synced: list[str]) -> None:
    FilePieceStore(root / "a")
    assert synced == ["names in ..", "names in .", "names in a", "names in a"]


# --- a full disk ---------------------------------------------------------------------------------


@contextmanager
def files_no_larger_than(size_bytes: int) -> Iterator[None]:
    """The kernel refuses to let any file of this process grow further."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_write_that_the_system_refuses_names_the_file_and_leaves_nothing_after_abort(
    root: Path, store: FilePieceStore
) -> None:
    writer = store.create(KEY, LAYOUT)
    writer.append([aligned_copy(bytes(MIB))])
    with (
        files_no_larger_than(MIB + MIB // 2),
        pytest.raises(StoreError, match=r"append 1048576 bytes at 1048576.*") as caught,
    ):
        writer.append([aligned_copy(bytes(MIB))])
    assert caught.value.where.endswith("unfinished/e7_p2.a0")
    with pytest.raises(StoreError, match="has failed"):
        writer.append([memoryview(b"x")])
    writer.abort()
    assert files(root) == {}


@pytest.mark.parametrize("call", ["pwritev", "fdatasync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_left_says_where_and_how_much(
    root: Path, store: FilePieceStore, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    def full(*arguments: object) -> int:
        raise OSError(code, os.strerror(code))

    def write() -> None:
        writer.append([aligned_copy(bytes(MIB))])
        writer.sync()

    writer = store.create(KEY, LAYOUT)
    monkeypatch.setattr(os, call, full)
    with pytest.raises(NoSpaceLeft) as caught:
        write()
    assert caught.value.where == str(root / "unfinished/e7_p2.a0")
    if call == "pwritev":
        assert "append 1048576 bytes at 0" in caught.value.what
    with pytest.raises(StoreError, match="has failed"):
        writer.finish()
    writer.abort()
    assert files(root) == {}


def test_a_short_write_is_continued(
    root: Path, store: FilePieceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwritev

    def short(fd: int, views: Sequence[memoryview], offset: int) -> int:
        return real(fd, [views[0][: max(BLOCK_SIZE_BYTES, len(views[0]) // 2)]], offset)

    monkeypatch.setattr(os, "pwritev", short)
    content = os.urandom(4 * MIB)
    writer = store.create(KEY, LAYOUT)
    writer.append([aligned_copy(content[:MIB]), aligned_copy(content[MIB:])])
    writer.finish()
    assert (root / "columns/0/e7_p2").read_bytes() == content


def test_a_short_read_is_continued(store: FilePieceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.preadv

    def short(fd: int, views: Sequence[memoryview], offset: int) -> int:
        return real(fd, [views[0][: max(BLOCK_SIZE_BYTES, len(views[0]) // 2)]], offset)

    content = os.urandom(4 * MIB)
    writer = store.create(KEY, LAYOUT)
    writer.append([memoryview(content)])
    writer.finish()
    monkeypatch.setattr(os, "preadv", short)
    for shift_bytes in (0, 3):
        into = aligned_copy(bytes(4 * MIB), shift_bytes)
        store.read_into(KEY, LAYOUT, 0, [into])
        assert into == content


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="make a directory"):
        FilePieceStore(tmp_path / "file" / "pieces")


def test_a_probe_notices_that_reading_gives_other_bytes(
    store: FilePieceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda self: b"other")
    with pytest.raises(StoreError, match="not what is read"):
        store.probe()


def test_a_dropped_writer_gives_its_file_back(store: FilePieceStore) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for fence in range(20):
        store.create(KEY, LAYOUT, Fence(fence))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("shift_bytes", [0, 3, 512])
@pytest.mark.parametrize("offset", [0, 1, 4096, 2 * MIB + 513])
def test_large_reads_pass_by_the_page_cache_wherever_they_begin_and_go(
    root: Path,
    store: FilePieceStore,
    monkeypatch: pytest.MonkeyPatch,
    shift_bytes: int,
    offset: int,
) -> None:
    needs_direct_io(root)
    direct_bytes = 0
    real = os.preadv

    def spy(fd: int, views: Sequence[memoryview], at: int) -> int:
        nonlocal direct_bytes
        done = real(fd, views, at)
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            direct_bytes += done
        return done

    content = os.urandom(4 * MIB)
    writer = store.create(KEY, LAYOUT)
    writer.append([memoryview(content)])
    writer.finish()
    monkeypatch.setattr(os, "preadv", spy)
    small = bytearray(100)
    large = aligned_copy(bytes(4 * MIB - 100 - offset), shift_bytes)
    store.read_into(KEY, LAYOUT, offset, [large, memoryview(small)])
    assert bytes(large) + small == content[offset:]
    assert direct_bytes >= len(large)


# --- syncing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [5, MIB, MIB + 5], ids=["tail", "blocks", "both"])
def test_what_is_synced_is_not_synced_again_and_what_came_later_is(
    store: FilePieceStore, monkeypatch: pytest.MonkeyPatch, size_bytes: int
) -> None:
    syncs: list[int] = []
    monkeypatch.setattr(os, "fdatasync", syncs.append)
    layout = ColumnLayout(3, size_bytes, size_bytes)
    writer = store.create(KEY, layout)
    content = [aligned_copy(bytes(size_bytes))]
    for appended in (1, 2):
        writer.append(content)
        for _ in range(2):
            writer.sync()
            assert len(syncs) == appended
    writer.append(content)
    writer.finish()
    assert len(syncs) == 3
    reopened = store.create(KEY, layout, fence=Fence(2))
    reopened.append(content)
    reopened.close()
    store.resume(KEY, layout, size_bytes, Fence(2)).sync()
    assert len(syncs) == 4  # nobody knows whether the process before had synced
