"""What every PieceStore promises. Subclasses give the fixture ``store``."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from greenray.protocol.errors import InvalidInput, NoSuchPiece, StoreError
from greenray.protocol.layout import ColumnLayout
from greenray.storage.ports import ColumnKey, Fence, PieceStore, StoredColumn
from tests.support.aligned import aligned_copy

KEY = ColumnKey(7, 2)
PIECE_BYTES = 10_000
LAYOUT = ColumnLayout(5, PIECE_BYTES, 1234, batch_pieces=2)
CONTENT = random.Random(7).randbytes(LAYOUT.size_bytes)


def view(data: bytes | bytearray) -> memoryview:
    return memoryview(data)


def put(store: PieceStore, key: ColumnKey, layout: ColumnLayout, content: bytes) -> None:
    writer = store.create(key, layout)
    writer.append([view(content)])
    writer.finish()


def read(store: PieceStore, key: ColumnKey, layout: ColumnLayout) -> bytes:
    data = bytearray(layout.size_bytes)
    store.read_into(key, layout, 0, [view(data)])
    return bytes(data)


class PieceStoreContract:
    def test_a_finished_column_is_read_back(self, store: PieceStore) -> None:
        put(store, KEY, LAYOUT, CONTENT)
        assert store.exists(KEY)
        assert read(store, KEY, LAYOUT) == CONTENT

    def test_an_append_of_several_buffers_stores_their_concatenation(
        self, store: PieceStore
    ) -> None:
        writer = store.create(KEY, LAYOUT)
        writer.append([view(CONTENT[:1]), view(b""), view(CONTENT[1:5000])])
        assert writer.size_bytes == 5000
        writer.append([view(CONTENT[5000:5001])])
        writer.append([])
        writer.append([view(CONTENT[5001:])])
        writer.finish()
        assert read(store, KEY, LAYOUT) == CONTENT

    def test_a_read_only_and_a_two_dimensional_buffer_are_stored(self, store: PieceStore) -> None:
        layout = ColumnLayout(1, 8192, 8192)
        content = random.Random(8).randbytes(8192)
        writer = store.create(KEY, layout)
        square = memoryview(content[:4096]).cast("B", shape=[64, 64])
        writer.append([square, memoryview(content[4096:]).toreadonly()])
        writer.finish()
        assert read(store, KEY, layout) == content

    def test_more_buffers_than_one_system_call_takes_are_stored(self, store: PieceStore) -> None:
        layout = ColumnLayout(1, 3000, 3000)
        content = random.Random(9).randbytes(3000)
        writer = store.create(KEY, layout)
        writer.append([view(content)[i : i + 1] for i in range(3000)])
        writer.finish()
        assert read(store, KEY, layout) == content

    def test_large_aligned_blocks_and_an_odd_tail_are_stored(self, store: PieceStore) -> None:
        blocks = aligned_copy(random.Random(10).randbytes(3 * 1024 * 1024))
        tail = b"the tail of the column"
        layout = ColumnLayout(2, len(blocks), len(tail))
        writer = store.create(KEY, layout)
        writer.append([blocks[: 1 << 20], blocks[1 << 20 :]])
        writer.sync()
        writer.append([view(tail)])
        writer.finish()
        assert read(store, KEY, layout) == bytes(blocks) + tail
        into = aligned_copy(bytes(len(blocks) - 4096))
        store.read_into(KEY, layout, 4096, [into])
        assert into == blocks[4096:]

    def test_the_callers_buffer_may_be_reused_after_an_append(self, store: PieceStore) -> None:
        buffer = aligned_copy(CONTENT)
        writer = store.create(KEY, LAYOUT)
        writer.append([buffer[:20_000]])
        buffer[:20_000] = bytes(20_000)
        writer.append([buffer[20_000:]])
        buffer[20_000:] = bytes(len(CONTENT) - 20_000)
        writer.finish()
        assert read(store, KEY, LAYOUT) == CONTENT

    def test_an_empty_column_is_a_column(self, store: PieceStore) -> None:
        put(store, KEY, ColumnLayout(0, 0, 0), b"")
        assert store.exists(KEY)
        assert read(store, KEY, ColumnLayout(0, 0, 0)) == b""

    # --- reading ---------------------------------------------------------------------------------

    def test_a_range_is_read_into_several_buffers(self, store: PieceStore) -> None:
        put(store, KEY, LAYOUT, CONTENT)
        first, second = bytearray(100), bytearray(9_000)
        store.read_into(KEY, LAYOUT, 4_321, [view(first), view(bytearray()), view(second)])
        assert bytes(first + second) == CONTENT[4_321:13_421]

    def test_pieces_and_ranges_of_pieces_are_read(self, store: PieceStore) -> None:
        put(store, KEY, LAYOUT, CONTENT)
        assert store.read_piece(KEY, LAYOUT, 1) == CONTENT[PIECE_BYTES : 2 * PIECE_BYTES]
        assert store.read_piece(KEY, LAYOUT, 4) == CONTENT[4 * PIECE_BYTES :]
        assert store.read_piece(KEY, LAYOUT, 2, 10, 5) == CONTENT[20_010:20_015]
        assert store.read_piece(KEY, LAYOUT, 0, PIECE_BYTES) == b""

    def test_a_range_outside_its_piece_is_refused(self, store: PieceStore) -> None:
        put(store, KEY, LAYOUT, CONTENT)
        for index, offset, length in ((5, 0, None), (4, 0, 1235), (0, -1, 2), (0, 10_001, None)):
            with pytest.raises(InvalidInput):
                store.read_piece(KEY, LAYOUT, index, offset, length)

    def test_reading_a_column_that_is_not_there_says_so(self, store: PieceStore) -> None:
        with pytest.raises(NoSuchPiece):
            store.read_into(KEY, LAYOUT, 0, [view(bytearray(1))])

    def test_reading_past_the_end_says_so(self, store: PieceStore) -> None:
        put(store, KEY, LAYOUT, CONTENT)
        with pytest.raises(NoSuchPiece):
            store.read_into(KEY, LAYOUT, LAYOUT.size_bytes - 1, [view(bytearray(2))])

    def test_reading_from_a_negative_offset_is_refused(self, store: PieceStore) -> None:
        put(store, KEY, LAYOUT, CONTENT)
        with pytest.raises(InvalidInput):
            store.read_into(KEY, LAYOUT, -1, [view(bytearray(2))])

    # --- what is not finished --------------------------------------------------------------------

    def test_an_unfinished_column_is_not_there(self, store: PieceStore) -> None:
        writer = store.create(KEY, LAYOUT, fence=Fence(3))
        writer.append([view(CONTENT)])
        writer.sync()
        assert not store.exists(KEY)
        assert list(store.list_columns()) == []
        assert list(store.list_unfinished()) == [(KEY, 3)]
        with pytest.raises(NoSuchPiece):
            store.read_into(KEY, LAYOUT, 0, [view(bytearray(1))])
        writer.close()
        assert list(store.list_unfinished()) == [(KEY, 3)]

    def test_what_was_appended_can_be_read_before_the_column_is_finished(
        self, store: PieceStore
    ) -> None:
        layout = ColumnLayout(4, 4096, 100, batch_pieces=2)
        content = random.Random(9).randbytes(layout.size_bytes)
        writer = store.create(KEY, layout, Fence(3))
        writer.append([view(content[:8192])])
        first, second = bytearray(1000), bytearray(7000)
        store.read_unfinished_into(KEY, layout, Fence(3), 100, [view(first), view(second)])
        assert first + second == content[100:8100]
        for fence, offset in ((3, 8192), (4, 0)):
            with pytest.raises(NoSuchPiece):
                store.read_unfinished_into(KEY, layout, Fence(fence), offset, [view(bytearray(1))])
        writer.append([view(content[8192:])])
        writer.finish()
        with pytest.raises(NoSuchPiece):
            store.read_unfinished_into(KEY, layout, Fence(3), 0, [view(bytearray(1))])

    def test_a_column_of_the_wrong_size_cannot_be_finished(self, store: PieceStore) -> None:
        writer = store.create(KEY, LAYOUT)
        writer.append([view(CONTENT[:-1])])
        with pytest.raises(StoreError, match="cannot be finished"):
            writer.finish()
        assert not store.exists(KEY)

    def test_more_bytes_than_the_layout_has_are_refused(self, store: PieceStore) -> None:
        writer = store.create(KEY, LAYOUT)
        with pytest.raises(StoreError, match="do not fit"):
            writer.append([view(CONTENT + b"x")])

    def test_a_finished_column_is_replaced_in_one_step(self, store: PieceStore) -> None:
        put(store, KEY, LAYOUT, CONTENT)
        other = bytes(reversed(CONTENT))
        writer = store.create(KEY, LAYOUT, fence=Fence(1))
        writer.append([view(other)])
        assert read(store, KEY, LAYOUT) == CONTENT
        writer.finish()
        assert read(store, KEY, LAYOUT) == other
        assert list(store.list_unfinished()) == []

    def test_abort_removes_the_unfinished_column_and_nothing_else(self, store: PieceStore) -> None:
        put(store, KEY, LAYOUT, CONTENT)
        writer = store.create(KEY, LAYOUT, fence=Fence(1))
        writer.append([view(CONTENT[:5000])])
        writer.abort()
        writer.abort()
        assert list(store.list_unfinished()) == []
        assert read(store, KEY, LAYOUT) == CONTENT

    def test_abort_after_finish_does_nothing(self, store: PieceStore) -> None:
        writer = store.create(KEY, LAYOUT)
        writer.append([view(CONTENT)])
        writer.finish()
        writer.abort()
        writer.close()
        assert read(store, KEY, LAYOUT) == CONTENT

    def test_a_closed_writer_takes_nothing_more(self, store: PieceStore) -> None:
        writer = store.create(KEY, LAYOUT)
        writer.close()
        writer.close()
        append = partial(writer.append, [view(b"x")])
        for call in (append, writer.sync, writer.finish):
            with pytest.raises(StoreError, match="closed"):
                call()

    def test_create_under_the_same_fence_begins_anew(self, store: PieceStore) -> None:
        first = store.create(KEY, LAYOUT)
        first.append([view(CONTENT[:30_000])])
        first.close()
        put(store, KEY, LAYOUT, CONTENT)
        assert read(store, KEY, LAYOUT) == CONTENT

    def test_a_writer_whose_column_was_begun_anew_can_neither_finish_nor_abort_it(
        self, store: PieceStore
    ) -> None:
        stale = store.create(KEY, LAYOUT)
        stale.append([view(bytes(LAYOUT.size_bytes))])
        fresh = store.create(KEY, LAYOUT)
        fresh.append([view(CONTENT[:100])])
        with pytest.raises(StoreError, match="begun anew"):
            stale.finish()
        stale.abort()
        fresh.append([view(CONTENT[100:])])
        fresh.finish()
        assert read(store, KEY, LAYOUT) == CONTENT

    def test_two_writers_under_fences_of_their_own_both_finish_and_the_last_stays(
        self, store: PieceStore
    ) -> None:
        first, second = (store.create(KEY, LAYOUT, Fence(number)) for number in (9, 4))
        first.append([view(CONTENT)])
        second.append([view(CONTENT[::-1])])
        first.finish()
        assert read(store, KEY, LAYOUT) == CONTENT
        second.finish()
        assert read(store, KEY, LAYOUT) == CONTENT[::-1]
        assert [column.fence for column in store.list_stored()] == [None]

    # --- resuming --------------------------------------------------------------------------------

    @pytest.mark.parametrize("acknowledged", [0, 1, 4095, 4096, 4097, 20_000, LAYOUT.size_bytes])
    def test_a_resumed_column_continues_after_its_acknowledged_bytes(
        self, store: PieceStore, acknowledged: int
    ) -> None:
        writer = store.create(KEY, LAYOUT, fence=Fence(2))
        writer.append([view(CONTENT[:acknowledged])])
        writer.sync()
        writer.append([view(b"\xff" * min(3000, LAYOUT.size_bytes - acknowledged))])
        writer.close()
        resumed = store.resume(KEY, LAYOUT, acknowledged, fence=Fence(2))
        assert resumed.size_bytes == acknowledged
        resumed.append([view(CONTENT[acknowledged:])])
        resumed.finish()
        assert read(store, KEY, LAYOUT) == CONTENT

    def test_what_is_behind_the_acknowledged_bytes_is_dropped(self, store: PieceStore) -> None:
        writer = store.create(KEY, LAYOUT)
        writer.append([view(CONTENT[:9000])])
        writer.close()
        store.resume(KEY, LAYOUT, 5000).close()
        with pytest.raises(NoSuchPiece):
            store.resume(KEY, LAYOUT, 5001)

    def test_closing_keeps_all_that_was_appended(self, store: PieceStore) -> None:
        writer = store.create(KEY, LAYOUT)
        writer.append([view(CONTENT[:4097])])
        writer.close()
        resumed = store.resume(KEY, LAYOUT, 4097)
        resumed.append([view(CONTENT[4097:])])
        resumed.finish()
        assert read(store, KEY, LAYOUT) == CONTENT

    def test_resuming_more_than_is_there_is_refused(self, store: PieceStore) -> None:
        with pytest.raises(NoSuchPiece):
            store.resume(KEY, LAYOUT, 0)
        writer = store.create(KEY, LAYOUT, fence=Fence(1))
        writer.append([view(CONTENT[:4096])])
        writer.close()
        with pytest.raises(NoSuchPiece):
            store.resume(KEY, LAYOUT, 4097, fence=Fence(1))
        with pytest.raises(NoSuchPiece):
            store.resume(KEY, LAYOUT, 0, fence=Fence(2))
        assert list(store.list_unfinished()) == [(KEY, 1)]

    # --- listing and deleting --------------------------------------------------------------------

    def test_columns_are_listed_in_key_order(self, store: PieceStore) -> None:
        keys = [ColumnKey(i, j) for i in (10, 9, 4096, 100_000, 2**63) for j in (-1, 0, 10, 2)]
        layout = ColumnLayout(1, 1, 1)
        for key in keys:
            put(store, key, layout, b"x")
        for fence in (10, 9):
            store.create(ColumnKey(5), layout, Fence(fence)).close()
        store.create(ColumnKey(5, 1), layout).close()
        assert list(store.list_columns()) == sorted(keys)
        assert list(store.list_unfinished()) == [
            (ColumnKey(5), 9),
            (ColumnKey(5), 10),
            (ColumnKey(5, 1), 0),
        ]

    def test_delete_removes_finished_and_unfinished_of_one_key(self, store: PieceStore) -> None:
        other = ColumnKey(KEY.object_id, KEY.redundancy_index + 1)
        for key in (KEY, other):
            put(store, key, LAYOUT, CONTENT)
            store.create(key, LAYOUT, fence=Fence(1)).close()
        store.delete(KEY)
        store.delete(KEY)
        assert list(store.list_columns()) == [other]
        assert list(store.list_unfinished()) == [(other, 1)]

    def test_delete_unfinished_removes_what_one_fence_began(self, store: PieceStore) -> None:
        put(store, KEY, LAYOUT, CONTENT)
        for fence in (1, 2):
            store.create(KEY, LAYOUT, Fence(fence)).close()
        store.delete_unfinished(KEY, Fence(1))
        store.delete_unfinished(KEY, Fence(1))
        assert list(store.list_unfinished()) == [(KEY, 2)]
        assert store.exists(KEY)

    def test_what_is_stored_is_listed_with_its_size(self, store: PieceStore) -> None:
        other = ColumnKey(KEY.object_id + 1)
        put(store, other, LAYOUT, CONTENT)
        put(store, KEY, LAYOUT, CONTENT)
        with_rest = store.create(KEY, LAYOUT, Fence(4))
        with_rest.append([view(CONTENT[:10_000])])
        with_rest.close()
        store.create(KEY, LAYOUT, Fence(3)).close()
        listed = list(store.list_stored())
        assert listed == [
            StoredColumn(KEY, None, LAYOUT.size_bytes),
            StoredColumn(other, None, LAYOUT.size_bytes),
            StoredColumn(KEY, Fence(3), 0),
            StoredColumn(KEY, Fence(4), 10_000),
        ]
        assert list(store.list_stored(other.object_id)) == [listed[1]]
        assert list(store.list_stored(KEY.object_id + 10_000)) == []

    def test_a_replaced_column_counts_once(self, store: PieceStore) -> None:
        put(store, KEY, LAYOUT, CONTENT)
        writer = store.create(KEY, LAYOUT, Fence(2))
        writer.append([view(CONTENT)])
        writer.finish()
        assert list(store.list_stored()) == [StoredColumn(KEY, None, LAYOUT.size_bytes)]

    def test_keys_that_no_piece_has_are_refused(self, store: PieceStore) -> None:
        for key, fence in ((ColumnKey(-1), 0), (ColumnKey(1, -2), 0), (ColumnKey(1), -1)):
            with pytest.raises(InvalidInput):
                store.create(key, LAYOUT, Fence(fence))

    def test_probe_leaves_nothing_behind(self, store: PieceStore) -> None:
        store.probe()
        assert list(store.list_columns()) == []
        assert list(store.list_unfinished()) == []

    def test_columns_are_written_and_read_in_parallel(self, store: PieceStore) -> None:
        layout = ColumnLayout(40, 50_001, 50_001)
        contents = {
            ColumnKey(i, i % 7 - 1): random.Random(i).randbytes(layout.size_bytes)
            for i in range(12)
        }

        def write_and_read(key: ColumnKey) -> bytes:
            writer = store.create(key, layout)
            for start in range(0, layout.size_bytes, 333_333):
                writer.append([view(contents[key][start : start + 333_333])])
            writer.finish()
            return read(store, key, layout)

        with ThreadPoolExecutor(6) as pool:
            found = dict(zip(contents, pool.map(write_and_read, contents), strict=True))
        assert found == contents
