"""Bundles of any entries come back; an index of any bytes is read or refused, never more."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from greenray.protocol.bundle import (
    BundleEntry,
    BundleWriter,
    encode_entry,
    locate_index,
    parse_index,
)
from greenray.protocol.bundle_plan import BundleLimits, file_path, plan_runs, plan_volumes
from greenray.protocol.errors import BundleDamaged, InvalidName, NotABundle

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
PAYLOADS = st.dictionaries(NAMES, st.binary(max_size=200), min_size=1, max_size=20)
UINT64 = st.integers(0, 2**64 - 1) | st.integers(0, 64)
ENTRIES = st.builds(
    BundleEntry,
    name=NAMES,
    offset=UINT64,
    size_bytes=UINT64,
    sha256=st.none() | st.binary(min_size=32, max_size=32),
    content_type=st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    tags=st.dictionaries(NAMES, NAMES, max_size=3).map(lambda tags: tuple(tags.items())),
)


@given(PAYLOADS)
def test_every_payload_comes_back_from_its_place(payloads: dict[str, bytes]) -> None:
    writer = BundleWriter()
    for name, data in payloads.items():
        writer.add(name, len(data), hashlib.sha256(data).digest())
    bundle = b"".join(payloads.values()) + writer.end()
    place = locate_index(bundle[-16:], len(bundle), "test")
    index = parse_index(
        bundle[place.offset : place.offset + place.size_bytes], place.offset, "test"
    )
    found = {name: bundle[entry.offset : entry.end] for name, entry in index.items()}
    assert found == payloads
    assert all(index[n].sha256 == hashlib.sha256(d).digest() for n, d in payloads.items())


@given(st.lists(ENTRIES, max_size=6), st.integers(0, 128))
def test_an_index_that_is_taken_has_each_byte_once(
    entries: list[BundleEntry], data_size_bytes: int
) -> None:
    try:
        index = parse_index(b"".join(map(encode_entry, entries)), data_size_bytes, "test")
    except (NotABundle, BundleDamaged):
        return
    assert list(index.values()) == entries
    assert all(entry.end <= data_size_bytes for entry in entries)
    assert sum(entry.size_bytes for entry in entries) <= data_size_bytes


@given(st.binary(max_size=300), st.integers(0, 1000))
def test_any_bytes_are_read_or_refused(index: bytes, data_size_bytes: int) -> None:
    try:
        parse_index(index, data_size_bytes, "test")
    except (NotABundle, BundleDamaged):
        return


@given(PAYLOADS, st.data())
def test_a_bundle_that_is_cut_or_flipped_is_never_read_beyond_itself(
    payloads: dict[str, bytes], data: st.DataObject
) -> None:
    writer = BundleWriter()
    for name, payload in payloads.items():
        writer.add(name, len(payload), hashlib.sha256(payload).digest())
    whole = bytearray(b"".join(payloads.values()) + writer.end())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(0, 255))
    bundle = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        place = locate_index(bundle[-16:], len(bundle), "test")
        index = parse_index(
            bundle[place.offset : place.offset + place.size_bytes], place.offset, "test"
        )
    except (NotABundle, BundleDamaged):
        return
    assert all(entry.end <= len(bundle) for entry in index.values())


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 10), st.integers(1, 100))
def test_every_file_is_in_one_volume(sizes: list[int], entries: int, payload_bytes: int) -> None:
    files = [BundleEntry(str(i), 0, size) for i, size in enumerate(sizes)]
    volumes = list(plan_volumes(files, BundleLimits(entries, payload_bytes)))
    assert [file for volume in volumes for file in volume] == files
    for volume in volumes:
        assert len(volume) <= entries
        assert len(volume) == 1 or sum(file.size_bytes for file in volume) <= payload_bytes


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 50)), max_size=30), st.integers(1, 99))
def test_every_entry_is_in_one_run(places: list[tuple[int, int]], run_bytes: int) -> None:
    entries, offset = [], 0
    for number, (gap, size_bytes) in enumerate(places):
        entries.append(BundleEntry(str(number), offset + gap, size_bytes))
        offset = entries[-1].end
    runs = list(plan_runs(reversed(entries), run_bytes))
    assert sorted((e.offset, e.name) for run in runs for e in run.entries) == sorted(
        (e.offset, e.name) for e in entries
    )
    for run in runs:
        assert run.size_bytes == sum(entry.size_bytes for entry in run.entries)
        assert len(run.entries) == 1 or run.size_bytes <= run_bytes


@given(st.text(max_size=30))
def test_a_path_of_a_file_stays_below_its_directory(name: str) -> None:
    try:
        parts = file_path(name)
    except InvalidName:
        return
    assert parts
    assert all(part not in ("", ".", "..") and "/" not in part for part in parts)
