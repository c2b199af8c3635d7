"""What an index of a bundle may say, what is refused, and how bundles are cut."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from greenray.protocol import bundle
from greenray.protocol.bundle import (
    BundleEntry,
    BundleIndex,
    BundleWriter,
    encode_entry,
    locate_index,
    parse_index,
)
from greenray.protocol.bundle_plan import (
    BundleLimits,
    file_paths,
    is_prefix,
    plan_runs,
    plan_volumes,
    split_entry,
    volume_name,
    volume_of,
    volume_order,
    volume_tags,
)
from greenray.protocol.errors import (
    BundleDamaged,
    BundleIndexTooLarge,
    DuplicateEntry,
    InvalidInput,
    InvalidName,
    NoSuchEntry,
    NotABundle,
)

SHA256 = bytes(32)


def index_of(*entries: BundleEntry, size_bytes: int = 100) -> BundleIndex:
    return parse_index(b"".join(map(encode_entry, entries)), size_bytes, "b/bundle")


def trailer(index_bytes: int, version: int = 0) -> bytes:
    return struct.pack(">QQ", index_bytes, version)


# --- the index -----------------------------------------------------------------------------------


def test_what_was_added_is_found_at_its_place() -> None:
    writer = BundleWriter()
    writer.add("a/b", 3, SHA256, "text/plain", {"owner": "me"})
    writer.add("empty", 0, SHA256)
    writer.add("c", 5, SHA256)
    end = writer.end()
    place = locate_index(end, 8 + len(end), "b/bundle")
    found = parse_index(end[: place.size_bytes], place.offset, "b/bundle")
    assert place.offset == writer.size_bytes == 8
    assert list(found.values()) == [
        BundleEntry("a/b", 0, 3, SHA256, "text/plain", (("owner", "me"),)),
        BundleEntry("empty", 3, 0, SHA256),
        BundleEntry("c", 3, 5, SHA256),
    ]
    assert [entry.name for entry in found.under("a/")] == ["a/b"]


def test_a_bundle_without_entries_is_not_written() -> None:
    with pytest.raises(InvalidInput, match="needs an entry"):
        BundleWriter().end()


@pytest.mark.parametrize("name", ["", "caf\udce9"])
def test_a_name_that_the_index_cannot_carry_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        BundleWriter().add(name, 1, SHA256)


def test_a_name_is_not_added_twice() -> None:
    writer = BundleWriter()
    writer.add("a", 1, SHA256)
    with pytest.raises(DuplicateEntry, match="'a'"):
        writer.add("a", 1, SHA256)


def test_a_missing_entry_says_what_to_do() -> None:
    found = index_of(BundleEntry("a/b", 0, 1))
    with pytest.raises(NoSuchEntry, match="only some below it"):
        found.entry("a")
    with pytest.raises(NoSuchEntry, match="bundle ls"):
        found.entry("b")


@pytest.mark.parametrize(
    ("tail", "size_bytes", "why"),
    [
        (b"", 0, "it has 0 bytes"),
        (bytes(15), 15, "it has 15 bytes"),
        (trailer(1, version=1), 100, "version 1"),
        (trailer(0), 100, "no room for an index of 0"),
        (trailer(85), 100, "no room for an index of 85"),
        (trailer(2**64 - 1), 100, "no room"),
    ],
)
def test_what_ends_otherwise_is_no_bundle(tail: bytes, size_bytes: int, why: str) -> None:
    with pytest.raises(NotABundle, match=why):
        locate_index(tail, size_bytes, "b/bundle")


def test_an_index_that_is_too_large_is_not_asked_for() -> None:
    with pytest.raises(BundleIndexTooLarge):
        locate_index(trailer(bundle.MAX_INDEX_BYTES + 1), 1 << 40, "b/bundle")


def test_more_entries_than_are_kept_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MAX_ENTRIES", 3)
    entries = [BundleEntry(str(i), i, 1) for i in range(4)]
    assert len(index_of(*entries[:3])) == 3
    with pytest.raises(BundleIndexTooLarge, match="more than 3"):
        index_of(*entries)


def test_more_tags_than_are_kept_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def tagged(name: str, count: int) -> BundleEntry:
        return BundleEntry(name, 0, 0, tags=tuple((str(i), "") for i in range(count)))

    with pytest.raises(NotABundle, match="more than 1000 tags"):
        index_of(tagged("a", 1001))
    monkeypatch.setattr(bundle, "MAX_TAGS", 5)
    assert len(index_of(tagged("a", 3), tagged("b", 2))) == 2
    with pytest.raises(BundleIndexTooLarge, match="or 5 tags"):
        index_of(tagged("a", 3), tagged("b", 3))


@pytest.mark.parametrize(
    ("index", "why"),
    [
        (b"", "no entry"),
        (b"\x12\x01a", "no entry"),  # field 2
        (b"\x0a\x05\x0a\x03a", "ends behind its message"),
        (b"\x0a\x80", "cut off"),
        (b"\x0a" + b"\xff" * 10 + b"\x01", "longer than 64 bits"),
        (b"\x0b", "kind 3"),
        (b"\x0a\x03\x0a\x01\xff", "not UTF-8"),
        (b"\x0a\x02\x10\x01", "no name"),
        (b"\x0a\x08\x0a\x01a\x20\x01\x2a\x01x", "1 bytes"),
    ],
)
def test_what_cannot_be_read_is_no_index(index: bytes, why: str) -> None:
    with pytest.raises(NotABundle, match=why):
        parse_index(index, 100, "b/bundle")


def test_fields_that_are_not_known_are_passed_over() -> None:
    unknown = b"\x99\x01" + bytes(8) + b"\x95\x01" + bytes(4) + b"\x90\x01\x07" + b"\x92\x01\x01x"
    entry = b"\x0a\x01a\x18\x02" + unknown
    [found] = parse_index(b"\x0a" + bytes([len(entry)]) + entry, 100, "b/bundle").values()
    assert found == BundleEntry("a", 0, 2)


def test_a_hash_of_another_kind_verifies_nothing() -> None:
    entry = b"\x0a\x01a\x18\x02\x20\x07\x2a\x01x"
    [found] = parse_index(b"\x0a" + bytes([len(entry)]) + entry, 100, "b/bundle").values()
    assert found.sha256 is None


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([BundleEntry("a", 0, 10), BundleEntry("b", 9, 10)], "'a' and 'b' overlap"),
        ([BundleEntry("a", 0, 10), BundleEntry("b", 0, 10)], "overlap"),
        ([BundleEntry("a", 0, 10), BundleEntry("b", 5, 0)], "overlap"),
        ([BundleEntry("a", 91, 10)], "payloads end at 100"),
        ([BundleEntry("a", 2**64 - 1, 2)], "payloads end at 100"),
        ([BundleEntry("a", 0, 2**64 - 1)], "payloads end at 100"),
        ([BundleEntry("a", 0, 1), BundleEntry("a", 1, 1)], "two entries 'a'"),
    ],
)
def test_an_index_that_contradicts_itself_is_refused(
    entries: Sequence[BundleEntry], why: str
) -> None:
    with pytest.raises(BundleDamaged, match=why):
        index_of(*entries)


# --- volumes -------------------------------------------------------------------------------------


def sizes(volumes: Sequence[Sequence[BundleEntry]]) -> list[list[int]]:
    return [[entry.size_bytes for entry in volume] for volume in volumes]


def test_volumes_end_at_the_limits_and_a_larger_file_has_one_of_its_own() -> None:
    files = [BundleEntry(str(i), 0, size) for i, size in enumerate([4, 4, 4, 99, 1, 1, 1, 1])]
    volumes = list(plan_volumes(files, BundleLimits(entries=3, payload_bytes=10)))
    assert sizes(volumes) == [[4, 4], [4], [99], [1, 1, 1], [1]]


def test_volumes_are_named_after_the_first_which_is_stored_last() -> None:
    assert [volume_name("photos", i) for i in volume_order(3)] == ["photos.2", "photos.3", "photos"]
    assert list(volume_order(1)) == [1]


def test_volumes_tell_which_they_are() -> None:
    assert volume_tags(1, 1) == {}
    tagged = BundleEntry("a", 0, 1, tags=tuple(volume_tags(2, 3).items()))
    assert volume_of(tagged, "b/x.2") == (2, 3)
    assert volume_of(BundleEntry("a", 0, 1), "b/x") == (1, 1)


@pytest.mark.parametrize(
    ("volume", "volumes"), [("4", "3"), ("0", "2"), ("x", "2"), ("1", "9" * 7)]
)
def test_a_volume_that_cannot_be_is_refused(volume: str, volumes: str) -> None:
    tags = (("greenray.volume", volume), ("greenray.volumes", volumes))
    with pytest.raises(BundleDamaged, match="is said to be volume"):
        volume_of(BundleEntry("a", 0, 1, tags=tags), "b/x")


# --- reading, names ------------------------------------------------------------------------------


def test_neighbours_are_read_together() -> None:
    entries = [BundleEntry("c", 8, 4), BundleEntry("a", 0, 4), BundleEntry("b", 4, 4)]
    entries += [BundleEntry("far", 20, 1), BundleEntry("large", 21, 50), BundleEntry("z", 71, 0)]
    runs = [(run.offset, run.size_bytes, len(run.entries)) for run in plan_runs(entries, 8)]
    assert runs == [(0, 8, 2), (8, 4, 1), (20, 1, 1), (21, 50, 1), (71, 0, 1)]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("bundle", None),
        ("a/bundle//entry", ("a/bundle", "entry")),
        ("bundle//", ("bundle", "")),
        ("bundle//a//b", ("bundle", "a//b")),
    ],
)
def test_an_entry_is_named_behind_two_slashes(name: str, found: tuple[str, str] | None) -> None:
    assert split_entry(name) == found


def test_all_entries_of_a_folder_are_named_by_its_slash() -> None:
    assert [is_prefix(name) for name in ("", "a/", "a")] == [True, True, False]


def test_names_become_paths_below_what_was_asked_for() -> None:
    entries = [BundleEntry("a/b/c", 0, 1), BundleEntry("a/d", 1, 1)]
    assert file_paths(entries, "a/") == {"a/b/c": ("b", "c"), "a/d": ("d",)}


@pytest.mark.parametrize(
    "name",
    [
        *("../a", "/a", "a//b", "a/../b", "./a", "a/", "..", "a\0b"),
        pytest.param("a" * 4096, id="too long"),
        pytest.param("a/" * 255 + "a", id="too deep"),
    ],
)
def test_a_name_that_leads_elsewhere_becomes_no_file(name: str) -> None:
    with pytest.raises(InvalidName, match="cannot be the path of a file"):
        file_paths([BundleEntry(name, 0, 1)])


def test_an_entry_that_is_the_folder_of_another_becomes_no_file() -> None:
    entries = [BundleEntry("p/a", 0, 1), BundleEntry("p/a/b/c", 1, 1)]
    for folder in ("", "p/"):
        with pytest.raises(InvalidName, match=r"'p/a'.*the folder of others"):
            file_paths(entries, folder)
    assert file_paths(entries[1:]) == {"p/a/b/c": ("p", "a", "b", "c")}
