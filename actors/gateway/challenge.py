"""The route challenge (protocol 06 §3.5): one stored piece, with the checksums of its column.

The Go provider gives pieces to any account. Here storage providers of the chain have them, and who
may read the object: its segments are its payload, and so are data pieces. What a reader is given
counts as read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import numpy as np
from aiohttp import web

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.downloader.pieces import (
    INTEGRITY_HASH_HEADER,
    OBJECT_ID_HEADER,
    PIECE_HASH_HEADER,
    PIECE_INDEX_HEADER,
    REDUNDANCY_INDEX_HEADER,
)
from greenray.actors.gateway.auth import PermissionChecks
from greenray.actors.gateway.reads import ReadMeter
from greenray.actors.ports import HeldPiece, ReceiverPort
from greenray.chain.ports import ChainClient
from greenray.protocol.errors import InvalidHeader, NoSuchPiece
from greenray.protocol.gateway_request import GatewayRequest
from greenray.protocol.integrity import expected_integrity_hash, integrity_hash
from greenray.protocol.layout import SEGMENTS, ColumnLayout, PayloadLayout
from greenray.storage.ports import ColumnKey, JobStore, PieceStore


class ChallengeAnswers:
    """For all SPs of a Gateway."""

    def __init__(
        self,
        *,
        chain: ChainClient,
        providers: ProviderBook,
        job_store: JobStore,
        piece_stores: Mapping[str, PieceStore],
        receiver: ReceiverPort,
    ) -> None:
        """``piece_stores``: where segments are read, by operator address; ``receiver`` reads what
        the SPs hold as secondaries."""
        self._chain = chain
        self._providers = providers
        self._jobs = job_store
        self._stores = piece_stores
        self._receiver = receiver

    async def answer(
        self, request: GatewayRequest, signer: str, checks: PermissionChecks, meter: ReadMeter
    ) -> web.Response:
        """200 with what is stored, which nobody has verified.

        Raises: AccessDenied, InvalidHeader, NoSuchObject, NoSuchPiece, InvalidInput
        (outside the object), QuotaExceeded, ChainError, StoreError.
        """
        object_id = _number(request, OBJECT_ID_HEADER)
        index = _number(request, REDUNDANCY_INDEX_HEADER, least=SEGMENTS)
        piece_index = _number(request, PIECE_INDEX_HEADER)
        info = await self._chain.head_object_by_id(object_id)
        is_provider = await self._providers.find(signer) is not None
        granted = None if is_provider else await checks.may_challenge(signer, info)
        job = await self._jobs.job_of(request.sp_address, info.identity)
        params = job.params if job else await self._chain.storage_params()
        layout = PayloadLayout.of(info, params).column(index)
        held = await self._read(
            request.sp_address, ColumnKey(object_id, index), layout, piece_index
        )
        if integrity_hash(held.checksums) != expected_integrity_hash(info, index):
            raise NoSuchPiece("what is held under this id is of another object", info.name)
        if granted is not None:
            await meter.count(request.sp_address, granted, len(held.piece))
        return web.Response(
            body=held.piece.data,
            content_type="application/octet-stream",
            headers={
                "X-Gnfd-Request-ID": request.request_id,
                OBJECT_ID_HEADER: str(object_id),
                INTEGRITY_HASH_HEADER: integrity_hash(held.checksums).hex(),
                PIECE_HASH_HEADER: ",".join(checksum.hex() for checksum in held.checksums),
            },
        )

    async def _read(
        self, sp_address: str, key: ColumnKey, layout: ColumnLayout, piece_index: int
    ) -> HeldPiece:
        if key.redundancy_index != SEGMENTS:
            return await self._receiver.read_piece(sp_address, key, layout, piece_index)
        record = await self._jobs.get_integrity(sp_address, key.object_id, SEGMENTS)
        if record is None:
            raise NoSuchPiece("this provider is not the primary of the object", str(key.object_id))
        read = self._stores[sp_address].read_piece
        segment = await asyncio.to_thread(read, key, layout, piece_index)
        return HeldPiece(np.frombuffer(segment, np.uint8), record.piece_checksums)


def _number(request: GatewayRequest, name: str, least: int = 0) -> int:
    text = request.header(name)
    if len(text) > 20 or not text.removeprefix("-").isdecimal() or int(text) < least:
        raise InvalidHeader(f"is not a whole number from {least} on: {text[:40]!r}", name)
    return int(text)
