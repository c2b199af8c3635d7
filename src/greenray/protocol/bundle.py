"""The bundle format of Greenfield (BEP-323): many small payloads and their index in one object.

A bundle is the payloads of its entries one after the other, then the index, then the length of the
index and the version of the format as two big-endian numbers of 64 bits. The index is a protobuf
message: a field 1 for each entry, with name (1), offset (2), size (3), kind of hash (4), hash (5),
content type (6) and tags (7). The end is read first, so that an entry is found without its payload.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from greenray.protocol.errors import (
    BundleDamaged,
    BundleIndexTooLarge,
    DuplicateEntry,
    InvalidInput,
    InvalidName,
    NoSuchEntry,
    NotABundle,
)

TRAILER_BYTES = 16
"""Behind the index: its length and the format's version."""
MAX_INDEX_BYTES = 128 << 20
MAX_ENTRIES = MAX_TAGS = 1_000_000
"""What a reader takes into memory, which is below 1 GB then. A million entries of ours have an
index of 100 MB and take 500 MB."""
MAX_TAGS_OF_ENTRY = 1000
TAIL_BYTES = 256 * 1024
"""What a reader asks for first. An index of some 2 000 entries fits, and is not asked for again."""

_VERSION = 0  # which the format calls V1
_TRAILER = struct.Struct(">QQ")
_SHA256, _SHA256_BYTES = 1, 32
_ENTRY = 1
_NAME, _OFFSET, _SIZE, _HASH_KIND, _HASH, _CONTENT_TYPE, _TAG = range(1, 8)
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = MappingProxyType({_FIXED64: 8, _FIXED32: 4})


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """Where one payload lies in a bundle. ``sha256``: of its bytes; None where who made the bundle
    has not told it. ``tags``: whatever else that said of it, as (key, value)."""

    name: str
    offset: int
    size_bytes: int
    sha256: bytes | None = None
    content_type: str = ""
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def end(self) -> int:
        return self.offset + self.size_bytes


@dataclass(frozen=True, slots=True)
class IndexPlace:
    """Where the index of a bundle lies; the payloads end where it begins."""

    offset: int
    size_bytes: int


class BundleIndex(Mapping[str, BundleEntry]):
    """The entries of a bundle by name, in its order."""

    def __init__(self, entries: Mapping[str, BundleEntry]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> BundleEntry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, name: str, where: str = "") -> BundleEntry:
        """Raises NoSuchEntry; ``where`` names the bundle."""
        found = self._entries.get(name)
        if found is not None:
            return found
        below = name.rstrip("/") + "/"
        is_folder = any(other.startswith(below) for other in self._entries)
        raise NoSuchEntry(
            f"has no entry {name!r}" + (", only some below it" if is_folder else ""),
            where,
            f"Get {below} with its slash for all of them"
            if is_folder
            else "See which there are with 'greenray bundle ls'",
        )

    def under(self, prefix: str) -> Iterator[BundleEntry]:
        """Those whose names begin so."""
        return (entry for name, entry in self._entries.items() if name.startswith(prefix))


class BundleWriter:
    """Gives entries their places, and makes what comes after the last one. A bundle is all payloads
    in the order in which they were added, then ``end``."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._index: list[bytes] = []
        self.size_bytes = 0
        """Of the payloads so far."""

    def __len__(self) -> int:
        return len(self._names)

    def add(
        self,
        name: str,
        size_bytes: int,
        sha256: bytes,
        content_type: str = "",
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> BundleEntry:
        """The entry of the next payload. Raises InvalidName, DuplicateEntry."""
        check_entry_name(name)
        if name in self._names:
            raise DuplicateEntry("is there twice", f"entry {name!r}", "Give one another name")
        entry = BundleEntry(
            name, self.size_bytes, size_bytes, sha256, content_type, tuple(tags.items())
        )
        self._names.add(name)
        self._index.append(encode_entry(entry))
        self.size_bytes += size_bytes
        return entry

    def end(self) -> bytes:
        """Index and trailer. Raises InvalidInput: there is no entry, and no bundle without."""
        if not self._names:
            raise InvalidInput("a bundle needs an entry", "bundle")
        index = b"".join(self._index)
        return index + _TRAILER.pack(len(index), _VERSION)


def check_entry_name(name: str) -> None:
    """Raises InvalidName: a bundle cannot carry it."""
    if not name:
        raise InvalidName("the name of an entry is empty", "entry")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InvalidName(
            "the name is not UTF-8, which entries of bundles are", f"entry {name!r}", "Rename it"
        ) from None


def encode_entry(entry: BundleEntry) -> bytes:
    """As it stands in the index."""
    fields = [_length_field(_NAME, entry.name.encode())]
    fields += [_number_field(_OFFSET, entry.offset), _number_field(_SIZE, entry.size_bytes)]
    if entry.sha256 is not None:
        fields += [_number_field(_HASH_KIND, _SHA256), _length_field(_HASH, entry.sha256)]
    if entry.content_type:
        fields.append(_length_field(_CONTENT_TYPE, entry.content_type.encode()))
    for key, value in entry.tags:
        tag = _length_field(1, key.encode()) + _length_field(2, value.encode())
        fields.append(_length_field(_TAG, tag))
    return _length_field(_ENTRY, b"".join(fields))


def locate_index(tail: bytes, bundle_size_bytes: int, where: str) -> IndexPlace:
    """Where the index is, by the last bytes of a bundle; ``where`` names it.

    Raises NotABundle, BundleIndexTooLarge.
    """
    if len(tail) < TRAILER_BYTES:
        raise _not_a_bundle(f"it has {bundle_size_bytes} bytes", where)
    size_bytes, version = _TRAILER.unpack(tail[-TRAILER_BYTES:])
    if version != _VERSION:
        raise _not_a_bundle(f"its last bytes name the version {version} of the format", where)
    if not 0 < size_bytes <= bundle_size_bytes - TRAILER_BYTES:
        raise _not_a_bundle(f"it has no room for an index of {size_bytes} bytes", where)
    if size_bytes > MAX_INDEX_BYTES:
        raise BundleIndexTooLarge(
            f"the index has {size_bytes} bytes, more than are read ({MAX_INDEX_BYTES})",
            where,
            "Get the whole object, and read it with other means",
        )
    return IndexPlace(bundle_size_bytes - TRAILER_BYTES - size_bytes, size_bytes)


def parse_index(index: bytes, data_size_bytes: int, where: str) -> BundleIndex:
    """The entries of a bundle of which ``data_size_bytes`` are payloads; ``where`` names it.

    Raises:
        NotABundle: it cannot be read as an index.
        BundleDamaged: entries of one name, outside of the payloads, or over each other.
        BundleIndexTooLarge: it has more than ``MAX_ENTRIES`` or ``MAX_TAGS``.
    """
    entries: dict[str, BundleEntry] = {}
    tags = 0
    try:
        for number, value in _fields(index, 0, len(index)):
            if number != _ENTRY or not isinstance(value, tuple):
                continue
            entry = _decoded_entry(index, *value)
            if entry.name in entries:
                raise BundleDamaged(f"has two entries {entry.name!r}", where)
            entries[entry.name] = entry
            tags += len(entry.tags)
            if len(entries) > MAX_ENTRIES or tags > MAX_TAGS:
                raise BundleIndexTooLarge(
                    f"has more than {MAX_ENTRIES} entries, or {MAX_TAGS} tags, which are not read",
                    where,
                    "Get the whole object, and read it with other means",
                )
    except _IndexError as error:
        raise _not_a_bundle(f"its index cannot be read: {error}", where) from None
    if not entries:
        raise _not_a_bundle("its index has no entry", where)
    _check_places(entries.values(), data_size_bytes, where)
    return BundleIndex(entries)


# --- protobuf, as far as the index needs it ------------------------------------------------------


class _IndexError(Exception):
    """What is wrong with the bytes of an index."""


def _decoded_entry(data: bytes, start: int, end: int) -> BundleEntry:
    """Of a field that is there twice the last one counts, as everywhere in protobuf."""
    texts = {_NAME: "", _CONTENT_TYPE: ""}
    numbers = {_OFFSET: 0, _SIZE: 0, _HASH_KIND: 0}
    found_hash = b""
    tags: dict[str, str] = {}
    for number, value in _fields(data, start, end):
        if isinstance(value, int):
            if number in numbers:
                numbers[number] = value
        elif number in texts:
            texts[number] = _text(data, *value)
        elif number == _HASH:
            found_hash = data[slice(*value)]
        elif number == _TAG:
            key, text = _decoded_tag(data, *value)
            tags[key] = text
            if len(tags) > MAX_TAGS_OF_ENTRY:
                raise _IndexError(f"an entry has more than {MAX_TAGS_OF_ENTRY} tags")
    if not texts[_NAME]:
        raise _IndexError("an entry has no name")
    sha256 = found_hash if numbers[_HASH_KIND] == _SHA256 else None
    if sha256 is not None and len(sha256) != _SHA256_BYTES:
        raise _IndexError(f"the SHA-256 of entry {texts[_NAME]!r} has {len(sha256)} bytes")
    return BundleEntry(
        texts[_NAME],
        numbers[_OFFSET],
        numbers[_SIZE],
        sha256,
        texts[_CONTENT_TYPE],
        tuple(tags.items()),
    )


def _decoded_tag(data: bytes, start: int, end: int) -> tuple[str, str]:
    texts = {1: "", 2: ""}
    for number, value in _fields(data, start, end):
        if number in texts and isinstance(value, tuple):
            texts[number] = _text(data, *value)
    return texts[1], texts[2]


def _fields(data: bytes, position: int, end: int) -> Iterator[tuple[int, int | tuple[int, int]]]:
    """(number, value) of each field; the value of one with a length is where it begins and ends."""
    while position < end:
        key, position = _varint(data, position, end)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _varint(data, position, end)
            yield number, value
            continue
        if kind == _LENGTH:
            size_bytes, position = _varint(data, position, end)
        elif kind in _FIXED_BYTES:
            size_bytes = _FIXED_BYTES[kind]
        else:
            raise _IndexError(f"a field of kind {kind}")
        if size_bytes > end - position:
            raise _IndexError("a field ends behind its message")
        if kind == _LENGTH:
            yield number, (position, position + size_bytes)
        position += size_bytes


def _varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, position
        shift += 7
        if shift > 63:
            break
    raise _IndexError("a number is cut off or longer than 64 bits")


def _text(data: bytes, start: int, end: int) -> str:
    try:
        return data[start:end].decode()
    except UnicodeDecodeError:
        raise _IndexError("a text is not UTF-8") from None


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _number_field(number: int, value: int) -> bytes:
    """A zero is not written: what is not there is zero."""
    return _number(number << 3 | _VARINT) + _number(value) if value else b""


def _length_field(number: int, value: bytes) -> bytes:
    return _number(number << 3 | _LENGTH) + _number(len(value)) + value


# --- what an index may say -----------------------------------------------------------------------


def _check_places(entries: Iterable[BundleEntry], data_size_bytes: int, where: str) -> None:
    """No byte belongs to two entries: what is got of a bundle is never more than the bundle."""
    before: BundleEntry | None = None
    for entry in sorted(entries, key=lambda entry: (entry.offset, entry.end)):
        if entry.end > data_size_bytes:
            raise BundleDamaged(
                f"entry {entry.name!r} is said to lie at {entry.offset} to {entry.end}, and the "
                f"payloads end at {data_size_bytes}",
                where,
            )
        if before is not None and before.end > entry.offset:
            raise BundleDamaged(f"entries {before.name!r} and {entry.name!r} overlap", where)
        before = entry


def _not_a_bundle(why: str, where: str) -> NotABundle:
    return NotABundle(f"this object is no bundle: {why}", where, "Get it as an object, without //")
