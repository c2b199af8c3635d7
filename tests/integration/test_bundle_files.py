"""Files that become a bundle, and entries that become files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from greenray.client.bundle_files import BundleFile, find_files
from greenray.client.bundle_packing import PackedVolume, Packer, PackingStopped
from greenray.files.tree import FileTree
from greenray.protocol.bundle import locate_index, parse_index
from greenray.protocol.errors import (
    DuplicateEntry,
    EmptyPayload,
    FileChanged,
    NoSpaceLeft,
    StoreError,
    UnreadableFile,
)
from tests.support.small_disk import small_disk


def made(top: Path, files: Mapping[str, bytes]) -> Path:
    for name, payload in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(payload)
    return top


def packed(
    files: list[BundleFile],
    spool_dir: Path | None = None,
    on_packed: Callable[[int], None] = lambda size_bytes: None,
) -> PackedVolume:
    return Packer(spool_dir, on_packed).pack(files, {}, "b/bundle")


def unpacked(volume: PackedVolume) -> Mapping[str, bytes]:
    payload = volume.file.read()
    place = locate_index(payload[-16:], len(payload), "test")
    index = parse_index(payload[place.offset : -16], place.offset, "test")
    return {name: payload[entry.offset : entry.end] for name, entry in index.items()}


# --- finding -------------------------------------------------------------------------------------


def test_a_directory_is_all_its_files_by_name(tmp_path: Path) -> None:
    made(tmp_path, {"b/x": b"12", "a": b"1", "b/c/y": b"", ".hidden": b"h"})
    (tmp_path / "without files").mkdir()
    found = find_files(tmp_path)
    assert [(file.name, file.size_bytes) for file in found.files] == [
        (".hidden", 1),
        ("a", 1),
        ("b/c/y", 0),
        ("b/x", 2),
    ]
    assert not found.failures


def test_files_have_their_own_names_and_contents_those_given(tmp_path: Path) -> None:
    made(tmp_path, {"one/x": b"1", "two/y": b"2"})
    found = find_files([tmp_path / "one" / "x", str(tmp_path / "two")])
    assert [file.name for file in found.files] == ["x", "y"]
    found = find_files({"p/q": b"bytes", "r": tmp_path / "one" / "x"})
    assert [(file.name, file.size_bytes) for file in found.files] == [("p/q", 5), ("r", 1)]


def test_links_are_followed_and_loops_of_them_are_told(tmp_path: Path) -> None:
    made(tmp_path, {"files/x": b"1"})
    (tmp_path / "linked").symlink_to("files")
    (tmp_path / "files" / "up").symlink_to("..")
    (tmp_path / "self").symlink_to("self")
    found = find_files(tmp_path)
    assert [file.name for file in found.files] == ["files/x", "linked/x"]
    told = {failure.name: failure.error.what for failure in found.failures}
    assert told["self"] == "is a loop of symbolic links"
    assert told["files/up"] == "is a loop of symbolic links"
    assert set(told.values()) == {"is a loop of symbolic links"}


def test_what_cannot_be_an_entry_is_told_by_name(tmp_path: Path) -> None:
    made(tmp_path, {"good": b"1"})
    (tmp_path / "gone").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")).write_bytes(b"x")
    found = find_files(tmp_path)
    assert [file.name for file in found.files] == ["good"]
    told = {failure.name: failure.error.what for failure in found.failures}
    assert told["gone"] == "No such file or directory"
    assert told["pipe"] == "is no regular file"
    assert "not UTF-8" in told["caf\udce9"]


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    made(tmp_path, {"one/x": b"1", "two/x": b"2"})
    with pytest.raises(DuplicateEntry, match=r"one/x and .*two/x would both be the entry 'x'"):
        find_files([tmp_path / "one", tmp_path / "two"])


def test_a_directory_without_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(EmptyPayload, match="no file to bundle"):
        find_files(tmp_path)


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no such file"):
        find_files([tmp_path / "nothing"])


# --- packing -------------------------------------------------------------------------------------


def test_the_same_files_are_the_same_bundle(tmp_path: Path) -> None:
    files = {f"{number}.txt": bytes([number]) * number for number in range(50)}
    made(tmp_path, files)
    with (
        packed(list(find_files(tmp_path).files)) as one,
        packed(list(find_files(files).files)) as two,
    ):
        assert one.file.read() == two.file.read()
        one.file.seek(0)
        assert unpacked(one) == files


def test_a_file_that_is_written_to_while_it_is_read_is_left_out(tmp_path: Path) -> None:
    made(tmp_path, {"a": b"before", "b": b"still" * 10, "c": b"after"})
    os.utime(tmp_path / "b", (0, 0))  # longer ago than a tick of the file system's clock

    def write_to_b(size_bytes: int) -> None:
        if size_bytes == 50:
            (tmp_path / "b").write_bytes(b"other" * 10)

    with packed(list(find_files(tmp_path).files), on_packed=write_to_b) as volume:
        [failure] = volume.failures
        assert (failure.name, type(failure.error)) == ("b", FileChanged)
        assert unpacked(volume) == {"a": b"before", "c": b"after"}


def test_a_file_that_is_gone_or_replaced_by_a_pipe_is_left_out(tmp_path: Path) -> None:
    made(tmp_path, {"a": b"1", "gone": b"2", "pipe": b"3"})
    files = list(find_files(tmp_path).files)
    (tmp_path / "gone").unlink()
    (tmp_path / "pipe").unlink()
    os.mkfifo(tmp_path / "pipe")
    with packed(files) as volume:
        told = {failure.name: failure.error.what for failure in volume.failures}
        assert told == {"gone": "No such file or directory", "pipe": "is no regular file"}
        assert unpacked(volume) == {"a": b"1"}


def test_packing_ends_soon_when_nobody_waits(tmp_path: Path) -> None:
    made(tmp_path, {"a": bytes(1000), "b": bytes(1000)})
    spool = tmp_path / "spool"
    spool.mkdir()
    packer = Packer(spool, lambda size_bytes: packer.stop())
    with pytest.raises(PackingStopped):
        packer.pack(find_files([tmp_path / "a", tmp_path / "b"]).files, {}, "b/bundle")
    assert list(spool.iterdir()) == []


def test_a_spool_that_is_full_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    made(tmp_path, {"large": bytes(1 << 20)})
    spool = tmp_path / "spool"
    spool.mkdir()
    with small_disk(spool, 128 * 1024) as mounted:
        if not mounted:
            pytest.skip("a file system may not be mounted here")
        with pytest.raises(NoSpaceLeft, match=r"spool .*--spool"):
            packed(list(find_files(tmp_path / "large").files), spool)
        assert list(spool.iterdir()) == []


def test_a_spool_that_is_not_there_is_named(tmp_path: Path) -> None:
    made(tmp_path, {"a": b"1"})
    with pytest.raises(StoreError, match=r"spool .*nowhere"):
        packed(list(find_files(tmp_path / "a").files), tmp_path / "nowhere")


# --- extracting ----------------------------------------------------------------------------------


def written(tree: FileTree, *path: str) -> None:
    whole = tree.file(path)
    whole.file.write(b"new")
    whole.commit()


def test_files_and_folders_are_made_and_regular_files_replaced(tmp_path: Path) -> None:
    made(tmp_path, {"out/a/x": b"old"})
    tree = FileTree(tmp_path / "out")
    written(tree, "a", "x")
    written(tree, "b", "c", "y")
    assert (tmp_path / "out/a/x").read_bytes() == (tmp_path / "out/b/c/y").read_bytes() == b"new"


def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path: Path) -> None:
    written(FileTree(tmp_path), "n" * 255)
    assert (tmp_path / ("n" * 255)).read_bytes() == b"new"


def test_nothing_is_written_through_a_link_or_over_what_is_no_file(tmp_path: Path) -> None:
    made(tmp_path, {"outside/x": b"mine", "out/file": b"mine"})
    out = tmp_path / "out"
    (out / "folder").symlink_to(tmp_path / "outside")
    (out / "link").symlink_to(tmp_path / "outside" / "x")
    (out / "inner").mkdir()
    os.mkfifo(out / "pipe")
    tree = FileTree(out)
    for path in (("folder", "x"), ("link",), ("inner",), ("pipe",), ("file", "x")):
        with pytest.raises(OSError, match=r"is no folder|is no regular file"):
            tree.file(path)
    assert (tmp_path / "outside/x").read_bytes() == b"mine"
    assert sorted(path.name for path in (tmp_path / "outside").iterdir()) == ["x"]
