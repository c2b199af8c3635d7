"""The codec interface: what is refused, which codec is chosen, and what a broken one does."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from greenray.coding import isal
from greenray.coding.buffers import Shard
from greenray.coding.codec import Codec, get_codec, self_test
from greenray.coding.library_files import bundled_library, system_library
from greenray.coding.matrix import EXP, LOG, check_shape
from greenray.coding.numpy_codec import NumpyCodec
from greenray.coding.segments import decode_segment, encode_segment, split_segment
from greenray.protocol.errors import (
    CodecUnavailable,
    CodingError,
    InvalidInput,
    InvalidSetting,
    InvalidShape,
    SelfTestFailed,
    ShardSizeMismatch,
    TooFewShards,
)

BAD_SHAPES = [(0, 2), (-1, 2), (4, -1), (255, 2), (257, 0), (0, 0)]


@pytest.fixture(params=["isal", "zfec", "numpy"])
def codec(request: pytest.FixtureRequest) -> Codec:
    return get_codec(request.param)


@pytest.fixture
def fresh_choice() -> Iterator[None]:
    get_codec.cache_clear()
    yield
    get_codec.cache_clear()


def shard(text: str) -> Shard:
    return np.frombuffer(bytes.fromhex(text), np.uint8)


HELLO = [shard(text) for text in ("6865", "6c6c", "6f00", "0000", "15da", "76e5")]


def test_the_field_is_generated_by_two_over_0x11d() -> None:
    start = [1, 2, 4, 8, 16, 32, 64, 128, 29, 58, 116, 232, 205, 135, 19, 38, 76, 152, 45, 90]
    assert list(EXP[:20]) == start
    assert sorted(EXP) == list(range(1, 256))
    assert all(EXP[LOG[value]] == value for value in range(1, 256))


# --- encoding ----------------------------------------------------------------------------------


def test_hello_has_the_shards_of_the_worked_example(codec: Codec) -> None:
    assert list(map(bytes, encode_segment(b"hello", 4, 2, codec))) == list(map(bytes, HELLO))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: shard(data.hex())])
def test_any_buffer_can_be_a_segment(kind: type[bytes], codec: Codec) -> None:
    shards = encode_segment(kind(b"hello"), 4, 2, codec)
    assert bytes(decode_segment([None, None, *shards[2:]], 5, 4, 2, codec)) == b"hello"


def test_padding_can_fill_more_than_the_last_shard() -> None:
    assert [bytes(part) for part in split_segment(b"abcde", 4)] == [b"ab", b"cd", b"e\0", b"\0\0"]


def test_splitting_copies_nothing_that_needs_no_padding() -> None:
    segment = np.arange(16, dtype=np.uint8)
    assert all(np.shares_memory(part, segment) for part in split_segment(segment, 4))


@pytest.mark.parametrize(("k", "m"), BAD_SHAPES)
def test_a_shape_outside_the_field_is_refused_even_for_no_bytes(k: int, m: int) -> None:
    codec = get_codec("numpy")
    with pytest.raises(InvalidShape):
        check_shape(k, m)
    with pytest.raises(InvalidShape):
        encode_segment(b"", k, m, codec)
    with pytest.raises(InvalidShape):
        decode_segment([b""] * max(k + m, 0), 0, k, m, codec)


@pytest.mark.parametrize(("k", "m"), [(254, 2), (1, 255), (256, 0), (4, 0)])
def test_the_widest_shapes_are_accepted(k: int, m: int, codec: Codec) -> None:
    shards = encode_segment(b"hello", k, m, codec)
    assert len(shards) == k + m
    assert bytes(decode_segment(shards, 5, k, m, codec)) == b"hello"


def test_an_empty_segment_has_empty_shards(codec: Codec) -> None:
    shards = encode_segment(b"", 4, 2, codec)
    assert [part.size for part in shards] == [0] * 6
    assert decode_segment(shards, 0, 4, 2, codec).size == 0


def test_parity_of_another_size_is_refused_before_native_code_runs(codec: Codec) -> None:
    data = [np.zeros(8, np.uint8)] * 4
    for sizes in ((8, 7), (8, 9), (0, 8)):
        with pytest.raises(ShardSizeMismatch):
            codec.encode_into(data, [np.zeros(size, np.uint8) for size in sizes])


@pytest.mark.parametrize(
    "wrong",
    [np.zeros(16, np.uint8)[::2], np.zeros(8, np.uint16), np.zeros((2, 4), np.uint8)],
    ids=["strided", "uint16", "two-dimensional"],
)
def test_an_array_that_is_no_shard_is_refused(wrong: Shard, codec: Codec) -> None:
    with pytest.raises(CodingError, match="contiguous"):
        codec.encode([np.zeros(8, np.uint8), wrong], 1)


# --- recovering --------------------------------------------------------------------------------


def test_fewer_than_k_shards_are_too_few(codec: Codec) -> None:
    with pytest.raises(TooFewShards, match="3 of 6 shards are present, 4 are needed"):
        decode_segment([None, b"", *HELLO[2:5], None], 5, 4, 2, codec)


@pytest.mark.parametrize("count", [0, 4, 5, 7])
def test_a_list_of_another_length_than_n_is_too_few_shards(count: int, codec: Codec) -> None:
    with pytest.raises(TooFewShards):
        decode_segment((HELLO + HELLO)[:count], 5, 4, 2, codec)


def test_nothing_present_is_an_empty_segment_or_too_few_shards(codec: Codec) -> None:
    assert decode_segment([None] * 6, 0, 4, 2, codec).size == 0
    with pytest.raises(TooFewShards):
        decode_segment([b""] * 6, 5, 4, 2, codec)


def test_unequal_sizes_are_refused_even_when_nothing_is_missing(codec: Codec) -> None:
    with pytest.raises(ShardSizeMismatch):
        decode_segment([*HELLO[:5], HELLO[5][:1]], 5, 4, 2, codec)


def test_unequal_sizes_are_named_before_a_lack_of_shards(codec: Codec) -> None:
    with pytest.raises(ShardSizeMismatch):
        decode_segment([None, None, None, *HELLO[3:5], HELLO[5][:1]], 5, 4, 2, codec)


@pytest.mark.parametrize("length", [-1, 9, 1 << 40])
def test_a_length_that_the_shards_cannot_hold_is_refused(length: int, codec: Codec) -> None:
    with pytest.raises(InvalidInput, match="does not fit 4 shards of 2 bytes"):
        decode_segment(HELLO, length, 4, 2, codec)


@pytest.mark.parametrize("index", [-1, 6])
def test_a_wanted_shard_outside_the_shape_is_refused(index: int, codec: Codec) -> None:
    with pytest.raises(InvalidInput):
        codec.reconstruct(HELLO, 4, 2, [index])


def test_shards_that_are_present_are_returned_as_they_are(codec: Codec) -> None:
    rebuilt = codec.reconstruct([None, *HELLO[1:]], 4, 2, [5, 0, 1])
    assert [bytes(part) for part in rebuilt] == [bytes(HELLO[i]) for i in (5, 0, 1)]
    assert rebuilt[0] is HELLO[5]


def test_memory_of_another_size_is_refused_for_what_is_rebuilt(codec: Codec) -> None:
    for size_bytes in (1, 3):
        with pytest.raises(ShardSizeMismatch):
            codec.reconstruct_into([None, *HELLO[1:]], 4, 2, {0: np.empty(size_bytes, np.uint8)})


# --- choosing and testing ----------------------------------------------------------------------


def test_an_unknown_codec_names_the_known_ones() -> None:
    with pytest.raises(InvalidSetting, match=r"'jerasure'.*auto, isal, zfec, numpy"):
        get_codec("jerasure")


@pytest.mark.usefixtures("fresh_choice")
def test_the_automatic_choice_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="greenray.coding.codec"):
        first, second = get_codec("auto"), get_codec("auto")
    assert first is second is get_codec(first.name)
    assert [record.getMessage() for record in caplog.records] == ["redundancy codec: isal"]


@pytest.mark.usefixtures("fresh_choice")
def test_without_isal_the_next_codec_is_chosen_and_the_reason_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(isal, "bundled_library", lambda: tmp_path / "libisal.so")
    monkeypatch.setattr(isal, "system_library", lambda: system_library([tmp_path]))
    assert get_codec("auto").name == "zfec"
    assert "redundancy codec: zfec (isal: " in caplog.text
    assert "ISA-L is not installed" in caplog.text
    with pytest.raises(CodecUnavailable, match="Install the isal extra"):
        get_codec("isal")


@pytest.mark.usefixtures("fresh_choice")
def test_without_isal_and_zfec_numpy_is_chosen(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(isal, "bundled_library", lambda: tmp_path / "libisal.so")
    monkeypatch.setattr(isal, "system_library", lambda: system_library([tmp_path]))
    monkeypatch.setitem(sys.modules, "zfec", None)  # as where it is not installed
    assert get_codec("auto").name == "numpy"
    assert "zfec cannot be loaded" in caplog.text
    with pytest.raises(CodecUnavailable, match="pip install zfec"):
        get_codec("zfec")


def test_the_bundled_library_is_the_file_that_was_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = bundled_library()
    assert path.is_absolute()
    changed = tmp_path / path.name
    changed.write_bytes(path.read_bytes() + b"\0")
    monkeypatch.setattr(Path, "resolve", lambda self: changed)
    with pytest.raises(OSError, match="not the file that PyEClib was installed with"):
        bundled_library()


def test_a_library_of_the_system_that_others_can_write_is_refused(tmp_path: Path) -> None:
    library = tmp_path / "libisal.so.2"
    library.write_bytes(b"")
    tmp_path.chmod(0o777)
    with pytest.raises(OSError, match="written by others than root"):
        system_library([tmp_path])


@pytest.mark.usefixtures("fresh_choice")
def test_a_library_without_the_erasure_functions_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(isal, "bundled_library", lambda: "libc.so.6")
    monkeypatch.setattr(isal, "system_library", lambda: "libc.so.6")
    with pytest.raises(CodecUnavailable, match="ec_init_tables"):
        get_codec("isal")


class WrongParity(NumpyCodec):
    """One wrong bit in the last parity byte, as a bad tail loop would leave it."""

    name: ClassVar[str] = "wrong-parity"

    def _combine(
        self,
        sources: tuple[int, ...],
        inputs: Sequence[Shard],
        wanted: tuple[int, ...],
        outputs: Sequence[Shard],
    ) -> None:
        super()._combine(sources, inputs, wanted, outputs)
        outputs[-1][-1] ^= 1


class WrongRecovery(NumpyCodec):
    """Right parity, but recovers as if the sources were 0..k-1."""

    name: ClassVar[str] = "wrong-recovery"

    def _combine(
        self,
        sources: tuple[int, ...],
        inputs: Sequence[Shard],
        wanted: tuple[int, ...],
        outputs: Sequence[Shard],
    ) -> None:
        if sources == tuple(range(len(sources))):
            super()._combine(sources, inputs, wanted, outputs)
        else:
            for output in outputs:
                output.fill(0)


@pytest.mark.parametrize(
    ("broken", "where"), [(WrongParity(), "encoding"), (WrongRecovery(), "recovering")]
)
def test_the_self_test_finds_a_broken_codec(broken: Codec, where: str) -> None:
    with pytest.raises(SelfTestFailed, match=f"{where} a segment of .*{broken.name}"):
        self_test(broken)


@pytest.mark.usefixtures("fresh_choice")
def test_a_broken_isal_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(isal, "combination", lambda sources, wanted: (b"\1" * 16,) * 4)
    assert get_codec("auto").name == "zfec"
    assert "does not give the reference's bytes" in caplog.text
