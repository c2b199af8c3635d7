"""What is found to be put, and what cannot be, on a file system."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from greenray.client.put_entries import Destination, PutEntry, entries_of, entries_of_list
from greenray.protocol.errors import InvalidName

TO = Destination.parse("photos/2026")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.txt", "in/c.jpg", "in/deep/d.jpg"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "tree"


def names(entries: list[PutEntry]) -> set[str]:
    return {entry.name for entry in entries if entry.error is None}


def refusals(entries: list[PutEntry]) -> dict[str, str]:
    return {entry.name: entry.error.what for entry in entries if entry.error is not None}


def found(*sources: Path | str, recursive: bool = False, to: Destination = TO) -> list[PutEntry]:
    return list(entries_of(map(str, sources), to, recursive=recursive))


def test_files_go_by_the_last_part_of_their_path(tree: Path) -> None:
    assert names(found(tree / "a.jpg", tree / "in" / "c.jpg")) == {
        "photos/2026/a.jpg",
        "photos/2026/c.jpg",
    }


def test_what_is_in_a_directory_goes_by_its_path_below_it(tree: Path) -> None:
    assert names(found(tree, recursive=True)) == {
        "photos/2026/a.jpg",
        "photos/2026/b.txt",
        "photos/2026/in/c.jpg",
        "photos/2026/in/deep/d.jpg",
    }


def test_a_bucket_alone_is_a_destination(tree: Path) -> None:
    assert names(found(tree / "a.jpg", to=Destination.parse("photos"))) == {"photos/a.jpg"}
    assert Destination.parse("photos/") == Destination("photos", "")
    with pytest.raises(InvalidName):
        Destination.parse("No Bucket/x")


def test_a_directory_is_put_only_when_asked_for(tree: Path) -> None:
    (why,) = refusals(found(tree)).values()
    assert why == "it is a directory"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", {"a.jpg"}),
        ("**/*.jpg", {"a.jpg", "in/c.jpg", "in/deep/d.jpg"}),
        ("in/*.jpg", {"c.jpg"}),
        ("*/c.jpg", {"in/c.jpg"}),
    ],
)
def test_what_a_pattern_finds_goes_by_its_path_below_what_it_names(
    tree: Path, pattern: str, expected: set[str]
) -> None:
    assert names(found(tree / pattern)) == {f"photos/2026/{name}" for name in expected}


def test_a_directory_that_a_pattern_finds_keeps_its_name(tree: Path) -> None:
    assert names(found(tree / "*", recursive=True)) == names(found(tree, recursive=True))


def test_a_pattern_that_finds_nothing_is_told(tree: Path) -> None:
    assert list(refusals(found(tree / "*.png")).values()) == ["the pattern finds no file"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tree: Path) -> None:
    (tree / "x[1].jpg").write_bytes(b"x")
    assert names(found(tree / "x[1].jpg")) == {"photos/2026/x[1].jpg"}


def test_a_link_is_followed_and_a_loop_is_told(tree: Path) -> None:
    (tree / "in" / "up").symlink_to(tree)
    (tree / "link.jpg").symlink_to(tree / "a.jpg")
    entries = found(tree, recursive=True)
    assert len(names(entries)) == 5
    assert refusals(entries) == {"photos/2026/in/up": "the link leads to a directory that it is in"}


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(tree: Path) -> None:
    (tree / "dangling").symlink_to(tree / "nowhere")
    (tree / "itself").symlink_to(tree / "itself")
    os.mkfifo(tree / "pipe")
    entries = found(tree, tree / "no-such-file", recursive=True)
    assert len(names(entries)) == 4
    told = refusals(entries)
    assert told["photos/2026/pipe"] == "it is neither a file nor a directory"
    for name in ("dangling", "itself", "no-such-file"):
        assert told[f"photos/2026/{name}"].startswith("it cannot be read (")


def test_names_that_the_chain_refuses_are_told(tree: Path) -> None:
    (tree / os.fsdecode(b"not-\xff-utf8")).write_bytes(b"x")
    (tree / " .. ").write_bytes(b"x")
    entries = found(tree, recursive=True)
    assert len(names(entries)) == 4
    assert sorted(refusals(entries).values()) == [
        "Object name with a bad path component is not supported",
        "Object name with non UTF-8 strings is not supported",
    ]


def test_a_list_names_files_which_go_by_their_paths(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    lines = f"a.jpg\n./in/c.jpg\r\n\n{tree}/b.txt\nin\nnowhere".encode()
    entries = list(entries_of_list(io.BytesIO(lines), TO))
    assert names(entries) == {
        "photos/2026/a.jpg",
        "photos/2026/in/c.jpg",
        f"photos/2026{tree}/b.txt",
    }
    assert set(refusals(entries)) == {"photos/2026/in", "photos/2026/nowhere"}


def test_a_tree_is_found_entry_by_entry(tree: Path) -> None:
    """Nothing is looked at before it is asked for."""
    entries = entries_of([str(tree / "a.jpg"), str(tree / "later")], TO, recursive=False)
    assert next(entries).error is None
    (tree / "later").write_bytes(b"x")
    assert next(entries).error is None
