from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from greenray.protocol.errors import InvalidInput, InvalidShape
from greenray.protocol.layout import SEGMENTS, ColumnLayout, PayloadLayout
from greenray.protocol.objects import StorageParams
from tests.support.protocol_values import HELLO

_LAYOUT = PayloadLayout(payload_size_bytes=100, segment_size_bytes=16, k=4, m=2, batch_segments=3)


def test_layout_of_an_object_takes_the_chains_parameters() -> None:
    layout = PayloadLayout.of(HELLO, StorageParams(), 2)
    assert layout == PayloadLayout(5, 16 * 1024 * 1024, 4, 2, False, 2)


def test_batches_hold_consecutive_segments_and_the_last_holds_the_rest() -> None:
    batches = [list(_LAYOUT.segments.batch_range(b)) for b in range(_LAYOUT.batch_count)]
    assert batches == [[0, 1, 2], [3, 4, 5], [6]]


def test_size_of_a_prefix_of_batches() -> None:
    sizes = [_LAYOUT.segments.prefix_size_bytes(batches) for batches in range(4)]
    assert sizes == [0, 48, 96, 100]


def test_column_minus_one_is_the_segments() -> None:
    assert _LAYOUT.column(SEGMENTS).size_bytes == 100
    assert _LAYOUT.column(5).size_bytes == 6 * 4 + 1


@pytest.mark.parametrize("shape", [(0, 2), (-1, 2), (4, -1), (255, 2)])
def test_shape_that_the_reference_refuses_has_no_layout(shape: tuple[int, int]) -> None:
    with pytest.raises(InvalidShape):
        PayloadLayout(100, 16, *shape)


@pytest.mark.parametrize("shape", [(1, 0), (254, 2), (256, 0)])
def test_shape_at_the_limit_has_a_layout(shape: tuple[int, int]) -> None:
    assert PayloadLayout(100, 16, *shape).n == sum(shape)


@pytest.mark.parametrize(
    "wrong", [{"payload_size_bytes": -1}, {"segment_size_bytes": 0}, {"batch_segments": 0}]
)
def test_sizes_that_no_object_has_are_refused(wrong: dict[str, int]) -> None:
    right: dict[str, Any] = {
        "payload_size_bytes": 1,
        "segment_size_bytes": 1,
        "k": 1,
        "m": 0,
        "batch_segments": 1,
    }
    with pytest.raises(InvalidInput):
        PayloadLayout(**(right | wrong))


@pytest.mark.parametrize(
    "wrong", [(-1, 4, 4, 1), (0, 4, 0, 1), (1, 4, 0, 1), (1, 4, 5, 1), (1, 4, 4, 0)]
)
def test_sizes_that_no_column_has_are_refused(wrong: tuple[int, int, int, int]) -> None:
    with pytest.raises(InvalidInput):
        ColumnLayout(*wrong)


@pytest.mark.parametrize(
    "question",
    [
        lambda: _LAYOUT.segment_length(7),
        lambda: _LAYOUT.segment_length(-1),
        lambda: _LAYOUT.shard_size(7),
        lambda: _LAYOUT.column(6),
        lambda: _LAYOUT.column(-2),
        lambda: _LAYOUT.pieces.piece_length(7),
        lambda: _LAYOUT.pieces.piece_offset(-1),
        lambda: _LAYOUT.pieces.batch_range(3),
        lambda: _LAYOUT.pieces.batch_size_bytes(-1),
        lambda: _LAYOUT.pieces.prefix_size_bytes(4),
        lambda: _LAYOUT.pieces.prefix_size_bytes(-1),
    ],
)
def test_asking_for_what_does_not_exist_is_refused(question: Callable[[], object]) -> None:
    with pytest.raises(InvalidInput):
        question()
