from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from greenray.protocol.layout import PayloadLayout
from greenray.protocol.placement import place_batch


@st.composite
def layouts(draw: st.DrawFn) -> PayloadLayout:
    """Any chopping, small enough to look at every byte."""
    k = draw(st.integers(1, 12))
    return PayloadLayout(
        payload_size_bytes=draw(st.integers(0, 400)),
        segment_size_bytes=draw(st.integers(1, 64)),
        k=k,
        m=draw(st.integers(0, 12)),
        replica=draw(st.booleans()),
        batch_segments=draw(st.integers(1, 7)),
    )


@given(layouts())
def test_segments_cover_every_byte_exactly_once(layout: PayloadLayout) -> None:
    covered = [
        layout.segments.piece_offset(i) + byte
        for i in range(layout.segment_count)
        for byte in range(layout.segment_length(i))
    ]
    assert covered == list(range(layout.payload_size_bytes))


@given(layouts())
def test_batches_cover_every_segment_exactly_once(layout: PayloadLayout) -> None:
    segments = [i for b in range(layout.batch_count) for i in layout.segments.batch_range(b)]
    assert segments == list(range(layout.segment_count))


@given(layouts())
def test_shards_are_the_shortest_equal_parts_that_hold_the_segment(layout: PayloadLayout) -> None:
    parts = 1 if layout.replica else layout.k
    for i in range(layout.segment_count):
        size = layout.shard_size(i)
        assert parts * (size - 1) < layout.segment_length(i) <= parts * size


@given(layouts())
def test_pieces_of_a_column_follow_each_other(layout: PayloadLayout) -> None:
    for column in (layout.segments, layout.pieces):
        end = 0
        for i in range(column.piece_count):
            assert column.piece_offset(i) == end
            end += column.piece_length(i)
        assert column.size_bytes == end


@given(layouts())
def test_batch_sizes_add_up_to_every_prefix(layout: PayloadLayout) -> None:
    for column in (layout.segments, layout.pieces):
        total = 0
        for batch in range(column.batch_count):
            assert column.prefix_size_bytes(batch) == total
            total += column.batch_size_bytes(batch)
        assert column.prefix_size_bytes(column.batch_count) == total == column.size_bytes


@given(layouts())
def test_a_receiver_that_cuts_by_piece_size_finds_the_pieces(layout: PayloadLayout) -> None:
    # protocol 01 §4.1: only the last piece of the stream may be shorter.
    pieces = layout.pieces
    cuts = range(0, pieces.size_bytes, pieces.piece_size_bytes or 1)
    lengths = [min(pieces.piece_size_bytes, pieces.size_bytes - cut) for cut in cuts]
    assert lengths == [pieces.piece_length(i) for i in range(pieces.piece_count)]


@given(layouts(), st.binary(min_size=400, max_size=400))
def test_columns_hold_every_payload_byte_exactly_once(layout: PayloadLayout, data: bytes) -> None:
    payload = data[: layout.payload_size_bytes]
    read_bytes = 0
    for batch in range(layout.batch_count):
        placement = place_batch(layout, batch)
        assert placement.column_size_bytes == layout.pieces.batch_size_bytes(batch)
        seen = [[0] * placement.column_size_bytes for _ in range(placement.column_count)]
        for slot in (*placement.slots, *placement.padding):
            for position in range(slot.offset, slot.offset + slot.length):
                seen[slot.column][position] += 1
        assert all(count == 1 for column in seen for count in column)
        read_bytes += placement.payload_size_bytes
    assert read_bytes == len(payload)


@given(layouts(), st.binary(min_size=400, max_size=400))
def test_column_j_holds_shard_j_of_every_segment(layout: PayloadLayout, data: bytes) -> None:
    payload = memoryview(data)[: layout.payload_size_bytes]
    for batch in range(layout.batch_count):
        placement = place_batch(layout, batch)
        columns = [bytearray(placement.column_size_bytes) for _ in range(placement.column_count)]
        start = layout.segments.prefix_size_bytes(batch)
        for slot in placement.slots:
            end = start + slot.length
            columns[slot.column][slot.offset : slot.offset + slot.length] = payload[start:end]
            start = end
        assert [bytes(c) for c in columns] == _expected_columns(layout, batch, bytes(payload))


def _expected_columns(layout: PayloadLayout, batch: int, payload: bytes) -> list[bytes]:
    """The rule of protocol 01 §3, word by word."""
    columns = [b""] * layout.data_columns
    for i in layout.segments.batch_range(batch):
        start = i * layout.segment_size_bytes
        segment = payload[start : start + layout.segment_size_bytes]
        size = -(-len(segment) // layout.data_columns)
        padded = segment.ljust(layout.data_columns * size, b"\0")
        for j in range(layout.data_columns):
            columns[j] += padded[j * size : (j + 1) * size]
    return columns
