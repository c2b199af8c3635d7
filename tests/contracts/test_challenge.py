"""Pieces over HTTP: the route challenge, and the way to secondaries of other clusters."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.downloader.actor import Downloader
from greenray.actors.downloader.lost_record import RecordMaker
from greenray.actors.downloader.piece_directory import PieceDirectory
from greenray.actors.downloader.pieces import CHALLENGE_PATH, HttpPieces
from greenray.actors.downloader.segment_reader import ByteRange
from greenray.chain.crypto import keccak256, sign_digest
from greenray.chain.dialects import get_dialect
from greenray.coding.codec import get_codec
from greenray.protocol.errors import GreenrayError, SegmentLost
from greenray.protocol.http_auth import canonical_request, format_authorization, message_to_sign
from greenray.protocol.integrity import integrity_hash
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.protocol.objects import ObjectInfo, StorageProvider
from greenray.protocol.read_quota import ReadBucket
from greenray.storage.ports import ColumnKey
from greenray.storage.read_ledger import month_of
from tests.support.payloads import ctr_payload
from tests.support.whole_network import (
    SEGMENT_SIZE_BYTES,
    USER_KEY,
    WholeNetwork,
    whole_network,
)

PAYLOAD = bytes(ctr_payload("challenge", 2 * SEGMENT_SIZE_BYTES + 777))


class OpenGateways(ProviderBook):
    """The providers with the endpoints that their gateways have just opened; those in ``closed``
    have one where nobody listens."""

    def __init__(
        self,
        network: WholeNetwork,
        closed: set[str],
        endpoints: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(network.live.actors["chain"], lambda: 0.0)
        self._endpoints = endpoints or network.live.endpoints
        self._closed = closed

    async def get(self, operator_address: str) -> StorageProvider:
        provider = await super().get(operator_address)
        closed = operator_address in self._closed
        endpoint = "http://127.0.0.1:1" if closed else self._endpoints[operator_address]
        return replace(provider, endpoint=endpoint)


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[WholeNetwork]:
    async with whole_network(tmp_path) as network:
        await network.start()
        yield network


async def _sealed(network: WholeNetwork, *, replica: bool = False) -> ObjectInfo:
    await network.put(PAYLOAD, replica=replica)
    info: ObjectInfo = await network.live.actors["chain"].head_object("album", "photo.jpg")
    return info


async def _challenge(
    network: WholeNetwork,
    sp_address: str,
    key: bytes,
    object_id: object,
    redundancy_index: object,
    piece_index: object,
) -> tuple[int, Mapping[str, str], bytes]:
    endpoint = network.live.endpoints[sp_address]
    headers = {
        "Host": endpoint.removeprefix("http://"),
        "X-Gnfd-Object-ID": str(object_id),
        "X-Gnfd-Redundancy-Index": str(redundancy_index),
        "X-Gnfd-Piece-Index": str(piece_index),
    }
    canonical = canonical_request("GET", CHALLENGE_PATH, "", headers.items(), headers["Host"])
    message = message_to_sign(canonical, keccak256)
    headers["Authorization"] = format_authorization(message, sign_digest(key, message))
    async with (
        aiohttp.ClientSession() as session,
        session.get(endpoint + CHALLENGE_PATH, headers=headers) as answer,
    ):
        return answer.status, answer.headers.copy(), await answer.read()


@pytest.mark.parametrize("index", [SEGMENTS, 0, 5])
async def test_a_provider_is_given_any_piece_with_all_checksums(
    network: WholeNetwork, index: int
) -> None:
    info = await _sealed(network)
    holder = network.primary if index == SEGMENTS else info.secondary_sp_addresses[index]
    asking = network.sps[3].operator
    status, headers, piece = await _challenge(network, holder, asking, info.id, index, 1)
    assert status == 200
    params = await network.live.actors["chain"].storage_params()
    layout = PayloadLayout.of(info, params).column(index)
    stored = network.piece_store(holder).read_piece(ColumnKey(info.id, index), layout, 1)
    assert piece == stored
    checksums = [bytes.fromhex(text) for text in headers["X-Gnfd-Piece-Hash"].split(",")]
    assert checksums[1] == hashlib.sha256(piece).digest()
    assert headers["X-Gnfd-Integrity-Hash"] == integrity_hash(checksums).hex()
    assert integrity_hash(checksums) == info.checksums[index + 1]
    assert headers["X-Gnfd-Object-ID"] == str(info.id)


async def test_who_may_read_the_object_is_given_its_pieces_and_counted(
    network: WholeNetwork,
) -> None:
    info = await _sealed(network)
    answer = await _challenge(network, network.primary, USER_KEY, info.id, SEGMENTS, 0)
    assert (answer[0], answer[2]) == (200, PAYLOAD[:SEGMENT_SIZE_BYTES])
    bucket = await network.live.actors["chain"].head_bucket("album")
    counted = ReadBucket(network.primary, bucket.id, "album")
    ledger = network.live.job_store
    assert await ledger.consumed_bytes(counted, month_of(time.time())) == SEGMENT_SIZE_BYTES
    secondary = info.secondary_sp_addresses[2]
    answer = await _challenge(network, secondary, USER_KEY, info.id, 2, 1)
    assert hashlib.sha256(answer[2]).hexdigest() in answer[1]["X-Gnfd-Piece-Hash"]


async def test_nobody_else_is_given_a_piece(network: WholeNetwork) -> None:
    info = await _sealed(network)
    stranger = network.sps[3].seal
    answer = await _challenge(network, network.primary, stranger, info.id, SEGMENTS, 0)
    assert (answer[0], b"AccessDenied" in answer[2]) == (403, True)
    async with (
        aiohttp.ClientSession() as session,
        session.get(network.live.endpoints[network.primary] + CHALLENGE_PATH) as unsigned,
    ):
        assert unsigned.status == 403
        assert "SignatureDoesNotMatch" in await unsigned.text()


@pytest.mark.parametrize(
    ("object_id", "redundancy_index", "piece_index", "status", "code"),
    [
        (999, 0, 0, 404, b"NoSuchKey"),
        ("x", 0, 0, 400, b"InvalidHeader"),
        ("9" * 30, 0, 0, 400, b"InvalidHeader"),
        ("", 0, 0, 400, b"InvalidHeader"),
        (None, -2, 0, 400, b"InvalidHeader"),
        (None, 0, -1, 400, b"InvalidHeader"),
        (None, 6, 0, 500, b"InternalError"),
        (None, SEGMENTS, 3, 500, b"InternalError"),
    ],
)
async def test_what_is_not_there_is_refused(
    network: WholeNetwork,
    object_id: object,
    redundancy_index: int,
    piece_index: int,
    status: int,
    code: bytes,
) -> None:
    info = await _sealed(network)
    asked = info.id if object_id is None else object_id
    asking = network.sps[3].operator
    answer = await _challenge(
        network, network.primary, asking, asked, redundancy_index, piece_index
    )
    assert (answer[0], code in answer[2]) == (status, True), answer


@asynccontextmanager
async def _downloader(network: WholeNetwork, closed: set[str]) -> AsyncIterator[Downloader]:
    """Of the primary, as if it were alone in its cluster."""
    live = network.live
    others = HttpPieces(OpenGateways(network, closed), live.actors["signer"], 5.0)
    downloader = Downloader(
        chain=live.actors["chain"],
        job_store=live.job_store,
        piece_stores={network.primary: network.piece_store(network.primary)},
        pieces=PieceDirectory({}, lambda: others),
        codec=get_codec,
        records=RecordMaker(live.job_store, live.actors["signer"], get_dialect()),
    )
    try:
        yield downloader
    finally:
        await downloader.close()


async def _read(downloader: Downloader, network: WholeNetwork, info: ObjectInfo) -> bytes:
    reader = await downloader.open(network.primary, info)
    return b"".join([bytes(v) async for v in reader.read(ByteRange(0, info.payload_size - 1))])


@pytest.mark.parametrize("replica", [False, True], ids=["ec", "replica"])
async def test_segments_are_rebuilt_from_secondaries_of_other_clusters(
    network: WholeNetwork, replica: bool
) -> None:
    info = await _sealed(network, replica=replica)
    network.piece_store(network.primary).delete(ColumnKey(info.id, SEGMENTS))
    closed = {info.secondary_sp_addresses[index] for index in (0, 4)}
    async with _downloader(network, closed) as downloader:
        assert await _read(downloader, network, info) == PAYLOAD
    assert await network.get() == PAYLOAD
    assert network.piece_store(network.primary).exists(ColumnKey(info.id, SEGMENTS))


async def test_with_too_many_of_them_gone_they_are_named(network: WholeNetwork) -> None:
    info = await _sealed(network)
    network.piece_store(network.primary).delete(ColumnKey(info.id, SEGMENTS))
    closed = {info.secondary_sp_addresses[index] for index in (1, 2, 3)}
    async with _downloader(network, closed) as downloader:
        with pytest.raises(SegmentLost, match=r"index 1 at .* index 2 at .* index 3 at"):
            await _read(downloader, network, info)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Gnfd-Piece-Hash: 00\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\nX-Gnfd-Piece-Hash: zz\r\n\r\n" + bytes(9999),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + bytes(10),
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"something else\r\n\r\n",
    ],
)
async def test_what_is_no_piece_is_an_error_of_the_secondary(
    network: WholeNetwork, answer: bytes
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    info = await _sealed(network)
    holder = info.secondary_sp_addresses[0]
    book = OpenGateways(network, set(), {holder: f"http://127.0.0.1:{port}"})
    pieces = HttpPieces(book, network.live.actors["signer"], 5.0)
    layout = PayloadLayout.of(info, await network.live.actors["chain"].storage_params()).pieces
    async with server:
        with pytest.raises(GreenrayError):
            await pieces.read_piece(network.primary, holder, ColumnKey(info.id, 0), layout, 0)
    await pieces.close()
