"""Entries of a bundle, by name and by range, with few requests; and bundles that lie."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from greenray.client.bundle_reading import Bundle
from greenray.protocol.bundle import TAIL_BYTES, BundleWriter
from greenray.protocol.bundle_plan import volume_tags
from greenray.protocol.errors import (
    BundleIncomplete,
    EntryMismatch,
    InvalidInput,
    NoSuchEntry,
    NoSuchObject,
    NotABundle,
)

FILES = {"a/one": b"first", "a/two": b"second one", "empty": b"", "z": bytes(range(256))}


def bundled(files: Mapping[str, bytes], tags: Mapping[str, str] | None = None) -> bytes:
    writer = BundleWriter()
    for name, payload in files.items():
        sha256 = hashlib.sha256(payload).digest()
        writer.add(name, len(payload), sha256, tags={} if len(writer) else tags or {})
    return b"".join(files.values()) + writer.end()


@dataclass
class Objects:
    """Objects in memory, and what was read of them: (name, offset, size)."""

    payloads: dict[str, bytes]
    reads: list[tuple[str, int, int]] = field(default_factory=list)

    async def open(self, name: str) -> OneObject:
        if name not in self.payloads:
            raise NoSuchObject("No such object", name)
        return OneObject(self, name)


@dataclass
class OneObject:
    objects: Objects
    name: str

    @property
    def size_bytes(self) -> int:
        return len(self.objects.payloads[self.name])

    async def read(self, offset: int, size_bytes: int) -> bytes:
        self.objects.reads.append((self.name, offset, size_bytes))
        return self.objects.payloads[self.name][offset : offset + size_bytes]


async def opened(objects: Objects, name: str = "b/bundle") -> Bundle:
    bundle = Bundle(name, objects.open, verified=False)
    await bundle.open()
    return bundle


async def test_entries_are_read_by_name_and_by_range() -> None:
    bundle = await opened(Objects({"b/bundle": bundled(FILES)}))
    assert list(await bundle.entries()) == list(FILES)
    assert {name: await bundle.read(name) for name in FILES} == FILES
    assert await bundle.read("a/two", 1, 3) == b"eco"
    assert await bundle.read("a/two", 7) == b"one"
    assert await bundle.read("a/two", 8, 100) == b"ne"
    assert await bundle.read("a/two", 50, 1) == b""
    assert (await bundle.entry("z")).size_bytes == 256


@pytest.mark.parametrize(("start", "size_bytes"), [(-1, 1), (0, -1)])
async def test_a_range_before_the_entry_is_refused(start: int, size_bytes: int) -> None:
    bundle = await opened(Objects({"b/bundle": bundled(FILES)}))
    with pytest.raises(InvalidInput, match="a range begins"):
        await bundle.read("z", start, size_bytes)


async def test_only_the_end_and_the_entry_are_read() -> None:
    large = {"large": bytes(3 * TAIL_BYTES), **FILES}
    payload = bundled(large)
    objects = Objects({"b/bundle": payload})
    bundle = await opened(objects)
    assert await bundle.read("a/one") == b"first"
    assert objects.reads == [
        ("b/bundle", len(payload) - TAIL_BYTES, TAIL_BYTES),
        ("b/bundle", 3 * TAIL_BYTES, 5),
    ]


async def test_a_large_index_takes_one_request_more() -> None:
    many = {f"{number:06}": b"x" for number in range(8000)}
    payload = bundled(many)
    objects = Objects({"b/bundle": payload})
    bundle = await opened(objects)
    assert list(await bundle.entries()) == list(many)
    index_bytes = len(payload) - 8000 - 16
    assert index_bytes > TAIL_BYTES
    assert objects.reads[1:] == [("b/bundle", 8000, index_bytes)]


async def test_what_is_no_bundle_says_so() -> None:
    with pytest.raises(NotABundle, match="Get it as an object"):
        await opened(Objects({"b/bundle": b"any payload at all"}))


async def test_an_entry_that_was_changed_on_its_way_is_refused() -> None:
    payload = bytearray(bundled(FILES))
    payload[6] ^= 1
    bundle = await opened(Objects({"b/bundle": bytes(payload)}))
    assert await bundle.read("a/one") == b"first"
    with pytest.raises(EntryMismatch, match="b/bundle//a/two"):
        await bundle.read("a/two")


# --- volumes -------------------------------------------------------------------------------------


def volumes(parts: Sequence[Mapping[str, bytes]]) -> Objects:
    names = ["b/bundle", *(f"b/bundle.{number}" for number in range(2, len(parts) + 1))]
    return Objects(
        {
            name: bundled(files, volume_tags(number, len(parts)))
            for number, (name, files) in enumerate(zip(names, parts, strict=True), 1)
        }
    )


THREE = ({"a": b"1", "b": b"2"}, {"c": b"3"}, {"d": b"4"})


async def test_volumes_are_one_bundle_and_opened_when_they_are_needed() -> None:
    objects = volumes(THREE)
    bundle = await opened(objects)
    assert await bundle.read("c") == b"3"
    assert {name for name, _, _ in objects.reads} == {"b/bundle", "b/bundle.2"}
    assert list(await bundle.entries()) == ["a", "b", "c", "d"]
    with pytest.raises(NoSuchEntry):
        await bundle.read("e")


async def test_a_volume_by_its_own_name_is_a_bundle_of_its_own() -> None:
    bundle = await opened(volumes(THREE), "b/bundle.2")
    assert list(await bundle.entries()) == ["c"]


async def test_a_volume_that_is_not_there_is_named() -> None:
    objects = volumes(THREE)
    del objects.payloads["b/bundle.3"]
    bundle = await opened(objects)
    assert await bundle.read("c") == b"3"
    with pytest.raises(BundleIncomplete, match=r"b/bundle\.3: volume 3 of 3 is not there"):
        await bundle.entries()


async def test_another_bundle_in_the_place_of_a_volume_is_named() -> None:
    objects = volumes(THREE)
    objects.payloads["b/bundle.2"] = bundled({"c": b"false"})
    bundle = await opened(objects)
    with pytest.raises(BundleIncomplete, match="this is not volume 2 of 3"):
        await bundle.read("c")
