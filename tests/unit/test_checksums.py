"""hash_payload at its edges: what readers may do, and what memory and progress look like."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO, RawIOBase
from typing import TYPE_CHECKING

import numpy as np
import pytest

from greenray.coding.checksums import Reader, hash_payload, report
from greenray.coding.codec import get_codec
from greenray.coding.hashing import hash_pieces, hash_slices
from greenray.protocol.errors import InvalidInput, InvalidShape
from tests.support.payloads import ShortReader

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CODEC = get_codec("auto")
EMPTY = sha256(b"").digest()


def test_an_empty_payload_has_n_plus_one_hashes_of_nothing() -> None:
    result = hash_payload(BytesIO(b""), 16, 4, 2, CODEC)
    assert result.integrity_hashes == (EMPTY,) * 7
    assert result.segment_checksums == ()
    assert result.piece_checksums == ((),) * 6


def test_all_groups_of_a_replica_object_have_the_primarys_hash() -> None:
    payload = bytes(range(40))
    result = hash_payload(BytesIO(payload), 16, 4, 2, CODEC, replica=True)
    coded = hash_payload(BytesIO(payload), 16, 4, 2, CODEC)
    assert set(result.integrity_hashes) == {coded.integrity_hashes[0]}
    assert len(result.integrity_hashes) == 7
    assert result.piece_checksums == (coded.segment_checksums,) * 6


class TrickleReader(RawIOBase):
    """Has ``readinto`` and fills one byte at a time."""

    def __init__(self, payload: bytes) -> None:
        self._source = BytesIO(payload)

    def readable(self) -> bool:
        return True

    def readinto(self, target: WriteableBuffer, /) -> int:
        return self._source.readinto(memoryview(target)[:1])


@pytest.mark.parametrize("reader", [ShortReader, lambda payload, _: TrickleReader(payload)])
def test_short_reads_do_not_move_segment_limits(reader: type[ShortReader]) -> None:
    payload = bytes(range(200)) * 5
    expected = hash_payload(BytesIO(payload), 64, 4, 2, CODEC)
    assert hash_payload(reader(payload, 7), 64, 4, 2, CODEC) == expected


class NonBlockingReader:
    def read(self, size: int, /) -> bytes:
        return None  # type: ignore[return-value]  # no data yet: not what a payload may answer


class FailingReader:
    """Gives some bytes, then fails as a disk would."""

    def __init__(self) -> None:
        self._left = 3

    def read(self, size: int, /) -> bytes:
        self._left -= 1
        if self._left == 0:
            raise OSError(5, "Input/output error")
        return bytes(min(size, 5 << 20))


def test_a_non_blocking_reader_is_refused() -> None:
    with pytest.raises(InvalidInput, match="does not block"):
        hash_payload(NonBlockingReader(), 64, 4, 2, CODEC)


def test_an_error_of_the_reader_comes_out_while_work_is_running() -> None:
    reader: Reader = FailingReader()
    with pytest.raises(OSError, match="Input/output error"):
        hash_payload(reader, 16 << 20, 4, 2, CODEC)


def test_bad_shapes_and_segment_sizes_are_refused_before_anything_is_read() -> None:
    with pytest.raises(InvalidShape):
        hash_payload(FailingReader(), 64, 0, 2, CODEC)
    with pytest.raises(InvalidInput):
        hash_payload(FailingReader(), 0, 4, 2, CODEC)


def test_the_report_is_in_hex_and_complete() -> None:
    document = report(hash_payload(BytesIO(b"hello"), 16, 4, 2, CODEC))
    assert document == {
        "payload_size_bytes": 5,
        "segment_size_bytes": 16,
        "k": 4,
        "m": 2,
        "codec": CODEC.name,
        "integrity_hashes": [
            "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50",
            "6b749c27fecfc7208b2f08cf4b8ed9e2e71209db700148d77c86a181235e9f78",
            "4769ef9fa63646c2c4901cc0b52a2ad11fad7d44b90ac87bd19bdd070ef0bd8d",
            "5bc853eb4c315005c0be04a99565b9cead5c90aa1b0ff9b05a6222fceebdf26f",
            "407feb4a4b8303baf4f84e29a209e0dcfd62e81f88c8edb7675c5a95d90e5c90",
            "87bb93f99065ef9d57aae3cb4bf589d261ce429fb05115907bf9216bfdcb1b9c",
            "a9bd961d2ade6f7fc84ce695b7997a3629811ffba2c980cbbf0718fdeb8a4134",
        ],
        "segment_checksums": [sha256(b"hello").hexdigest()],
        "piece_checksums": [
            [sha256(bytes.fromhex(shard)).hexdigest()]
            for shard in ("6865", "6c6c", "6f00", "0000", "15da", "76e5")
        ],
    }


def test_slices_of_columns_hash_like_the_joined_bytes() -> None:
    columns = np.arange(60, dtype=np.uint8).reshape(3, 20)
    array, copied = columns[0, 5:10], bytes(columns[1, 5:10])
    view = memoryview(bytes(columns[2, 5:8]))
    joined = array.tobytes() + copied + view.tobytes()
    assert hash_slices([array, copied, view]) == sha256(joined).digest()
    assert hash_slices([]) == EMPTY


@pytest.mark.parametrize("piece_size", [1, 7, 1024, 5000])
def test_pieces_of_a_column_are_cut_by_their_size(piece_size: int) -> None:
    column = np.random.default_rng(1).integers(0, 256, 4100, dtype=np.uint8)
    parts = [column[i : i + piece_size] for i in range(0, 4100, piece_size)]
    expected = [sha256(bytes(part)).digest() for part in parts]
    assert hash_pieces([column], piece_size) == expected
    assert hash_pieces([column[:3], column[3:3], column[3:2050], column[2050:]], piece_size) == (
        expected
    )
