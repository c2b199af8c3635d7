"""All codecs are one function, and it is the reference's."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenray.coding.buffers import Shard
from greenray.coding.codec import Codec, get_codec
from greenray.coding.matrix import EXP, LOG, combination
from greenray.coding.segments import decode_segment, encode_segment
from tests.support.matrices import parity_rows

CODECS = [get_codec("isal"), get_codec("zfec"), get_codec("numpy")]


@st.composite
def shapes(draw: st.DrawFn, max_shards: int = 24) -> tuple[int, int]:
    k = draw(st.integers(1, max_shards))
    return k, draw(st.integers(0, max_shards - k))


def random_bytes(size_bytes: int, seed: int) -> Shard:
    return np.random.default_rng(seed).integers(0, 256, size_bytes, dtype=np.uint8)


# --- the definition of protocol 01 §3.1, as it is written there ----------------------------------


def multiply(a: int, b: int) -> int:
    return EXP[(LOG[a] + LOG[b]) % 255] if a and b else 0


def power(base: int, exponent: int) -> int:
    product = 1
    for _ in range(exponent):
        product = multiply(product, base)
    return product


def invert(matrix: list[list[int]]) -> list[list[int]]:
    size = len(matrix)
    rows = [row + [int(i == j) for j in range(size)] for i, row in enumerate(matrix)]
    for pivot in range(size):
        found = next(i for i in range(pivot, size) if rows[i][pivot])
        rows[pivot], rows[found] = rows[found], rows[pivot]
        scale = EXP[-LOG[rows[pivot][pivot]] % 255]
        rows[pivot] = [multiply(scale, value) for value in rows[pivot]]
        for i in range(size):
            if i != pivot and rows[i][pivot]:
                factor = rows[i][pivot]
                rows[i] = [
                    value ^ multiply(factor, own)
                    for value, own in zip(rows[i], rows[pivot], strict=True)
                ]
    return [row[size:] for row in rows]


def product(left: list[list[int]], right: list[list[int]]) -> list[list[int]]:
    def cell(row: list[int], column: int) -> int:
        total = 0
        for value, other in zip(row, right, strict=True):
            total ^= multiply(value, other[column])
        return total

    return [[cell(row, column) for column in range(len(right[0]))] for row in left]


def coding_matrix(k: int, n: int) -> list[list[int]]:
    vandermonde = [[power(row, column) for column in range(k)] for row in range(n)]
    return product(vandermonde, invert(vandermonde[:k]))


@pytest.mark.parametrize("shape", [(1, 255), (2, 5), (7, 3), (16, 16), (29, 3), (40, 2)])
def test_parity_rows_are_vandermonde_times_its_inverted_top(shape: tuple[int, int]) -> None:
    k, m = shape
    assert [list(row) for row in parity_rows(k, m)] == coding_matrix(k, k + m)[k:]


@given(shapes(12), st.data())
def test_recovery_rows_are_those_of_the_inverted_submatrix(
    shape: tuple[int, int], data: st.DataObject
) -> None:
    k, m = shape
    n = k + m
    sources = tuple(sorted(data.draw(st.permutations(range(n)))[:k]))
    matrix = coding_matrix(k, n)
    expected = product(matrix, invert([matrix[i] for i in sources]))
    assert [list(row) for row in combination(sources, tuple(range(n)))] == expected


# --- codecs ---------------------------------------------------------------------------------


@given(shapes(), st.integers(1, 700), st.integers(0, 2**32))
def test_all_codecs_make_the_same_parity(shape: tuple[int, int], size: int, seed: int) -> None:
    k, m = shape
    data = list(random_bytes(k * size, seed).reshape(k, size))
    first, *others = [[p.tobytes() for p in codec.encode(data, m)] for codec in CODECS]
    assert all(parity == first for parity in others)


@pytest.mark.parametrize("shape", [(200, 56), (254, 2), (255, 1), (256, 0), (1, 255), (128, 128)])
def test_all_codecs_agree_on_the_widest_shapes(shape: tuple[int, int]) -> None:
    k, m = shape
    data = list(random_bytes(k * 130, 7).reshape(k, 130))
    shards = [data + codec.encode(data, m) for codec in CODECS]
    joined = [np.concatenate(each).tobytes() for each in shards]
    assert joined[0] == joined[1] == joined[2]
    lost = range(0, k + m, 2)[:m]
    given_shards = [None if i in lost else shard for i, shard in enumerate(shards[0])]
    for codec in CODECS:
        rebuilt = codec.reconstruct(given_shards, k, m, lost)
        assert all(map(np.array_equal, rebuilt, [shards[0][i] for i in lost]))


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_every_loss_pattern_of_4_plus_2_is_recovered(codec: Codec) -> None:
    for length in (1, 5, 63, 64, 65, 1000, 4097):
        segment = random_bytes(length, length)
        shards = encode_segment(segment, 4, 2, codec)
        for count in range(3):
            for lost in combinations(range(6), count):
                left = [None if i in lost else shard for i, shard in enumerate(shards)]
                assert np.array_equal(decode_segment(left, length, 4, 2, codec), segment)
                rebuilt = codec.reconstruct(left, 4, 2, range(6))
                assert all(map(np.array_equal, rebuilt, shards))


@given(shapes(), st.integers(1, 2000), st.integers(0, 2**32), st.data())
def test_any_k_shards_recover_the_segment_and_every_shard(
    shape: tuple[int, int], length: int, seed: int, data: st.DataObject
) -> None:
    k, m = shape
    codec = data.draw(st.sampled_from(CODECS))
    segment = random_bytes(length, seed)
    shards = encode_segment(segment, k, m, codec)
    lost = data.draw(st.permutations(range(k + m)))[: data.draw(st.integers(0, m))]
    left = [np.empty(0, np.uint8) if i in lost else shard for i, shard in enumerate(shards)]
    assert np.array_equal(decode_segment(left, length, k, m, codec), segment)
    wanted = data.draw(st.permutations(range(k + m)))
    rebuilt = codec.reconstruct(left, k, m, wanted)
    assert all(map(np.array_equal, rebuilt, [shards[i] for i in wanted]))
    memory = {i: np.full(shards[0].size, 7, np.uint8) for i in wanted[: k + m // 2]}
    codec.reconstruct_into(left, k, m, memory)
    assert all(np.array_equal(made, shards[i]) for i, made in memory.items())


@given(shapes(), st.lists(st.integers(1, 50), min_size=1, max_size=5), st.integers(0, 2**32))
def test_a_column_of_shards_is_coded_like_its_shards(
    shape: tuple[int, int], sizes: list[int], seed: int
) -> None:
    k, m = shape
    codec = CODECS[seed % len(CODECS)]
    parts = [list(random_bytes(k * size, seed + size).reshape(k, size)) for size in sizes]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    parity_parts = [codec.encode(part, m) for part in parts]
    expected = [np.concatenate(column) for column in zip(*parity_parts, strict=True)]
    assert all(map(np.array_equal, codec.encode(columns, m), expected))


@settings(max_examples=30)
@given(shapes(), st.integers(1, 200), st.data())
def test_a_changed_byte_fails_verification(
    shape: tuple[int, int], size: int, data: st.DataObject
) -> None:
    k, m = shape
    codec = data.draw(st.sampled_from(CODECS))
    shards = encode_segment(random_bytes(k * size, size), k, m, codec)
    assert codec.verify(shards, k)
    if m:
        victim = data.draw(st.integers(0, k + m - 1))
        shards[victim] = shards[victim].copy()
        shards[victim][data.draw(st.integers(0, size - 1))] ^= data.draw(st.integers(1, 255))
        assert not codec.verify(shards, k)


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_every_length_up_to_a_few_vector_widths_is_exact(codec: Codec) -> None:
    """Native kernels have their own code for the tail; nothing beyond the output may change."""
    for size in range(1, 300):
        data = list(random_bytes(4 * size, size).reshape(4, size))
        frame = np.full(2 * size + 256, 0xA5, np.uint8)
        outputs = [frame[64 : 64 + size], frame[128 + size : 128 + 2 * size]]
        codec.encode_into(data, outputs)
        expected = CODECS[2].encode(data, 2)
        assert all(map(np.array_equal, outputs, expected))
        untouched = np.concatenate([frame[:64], frame[64 + size : 128 + size], frame[-128:]])
        assert (untouched == 0xA5).all()
