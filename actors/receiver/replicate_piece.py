"""The receiving end of replicate-piece: one HTTP body in, one receipt out (protocol 03 §7).

No HTTP library here: the Gateway hands over the headers and the body's chunks, and turns the
result, or the error with ``wire_code``, into an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Mapping

import numpy as np

from greenray.actors.ports import Column, ObjectSpace, ReceiverPort
from greenray.protocol.errors import (
    ApprovalError,
    ComponentUnavailable,
    EmptyPayload,
    GreenrayError,
    InvalidHeader,
    NoSuchObject,
    PayloadSizeMismatch,
    SignatureError,
    WrongObjectStatus,
    WrongRedundancyIndex,
)
from greenray.protocol.integrity import UnverifiedReceipt
from greenray.protocol.layout import ColumnLayout, PayloadLayout
from greenray.protocol.receiving import ReplicatePieceHeaders, parse_replicate_headers
from greenray.storage.ports import GroupKey

OBJECT_ID_HEADER = "X-Gnfd-Object-Id"
REDUNDANCY_INDEX_HEADER = "X-Gnfd-Redundancy-Index"
PIECE_SIZE_HEADER = "X-Gnfd-Piece-Size"
APPROVAL_HEADER = "X-Gnfd-Replicate-Approval"
INTEGRITY_HASH_HEADER = "X-Gnfd-Integrity-Hash"
SIGNATURE_HEADER = "X-Gnfd-Integrity-Hash-Signature"

_HEADER_ERRORS = (
    ApprovalError,
    InvalidHeader,
    NoSuchObject,
    SignatureError,
    WrongObjectStatus,
    WrongRedundancyIndex,
)


def wire_code(error: GreenrayError) -> str:
    """The error code of protocol 03 §7.1 (its HTTP status is in protocol 06 §5.1)."""
    if isinstance(error, _HEADER_ERRORS):
        return "InvalidHeader"
    if isinstance(error, EmptyPayload):
        return "InvalidPayload"
    if isinstance(error, ComponentUnavailable):
        return "NotExistComponentError"
    return "InternalError"


async def receive_group(
    receiver: ReceiverPort,
    sp_address: str,
    headers: Mapping[str, str],
    body: AsyncIterable[bytes],
    *,
    space: ObjectSpace | None = None,
) -> dict[str, str]:
    """Store one replicate group for the SP ``sp_address`` and return the headers of the answer.

    ``headers``: names in any case, values decoded as UTF-8. ``space``: where the columns go when
    the receiver is in another process; without one it is handed the arrays themselves.
    The body is read only after the headers were accepted, never further than two batches ahead.

    Raises:
        InvalidHeader, ApprovalError, SignatureError, NoSuchObject, WrongObjectStatus,
        WrongRedundancyIndex: the headers are not acceptable; nothing is stored.
        EmptyPayload, PayloadSizeMismatch, IntegrityHashMismatch, StoreError: the body is not, or
            cannot be stored; nothing is left behind.
    """
    claims = _parse_headers(headers)
    order = await receiver.order_for(sp_address, claims.approval, claims.redundancy_index)
    layout = PayloadLayout.of(order.object_info, order.params, order.batch_segments).pieces
    if claims.piece_size_bytes != layout.piece_size_bytes:
        raise InvalidHeader(
            f"{PIECE_SIZE_HEADER} is {claims.piece_size_bytes}, pieces of this object have "
            f"{layout.piece_size_bytes} bytes",
            order.object_info.name,
        )
    batches_held = await receiver.open(sp_address, order)
    key = GroupKey(sp_address, claims.object_id, claims.redundancy_index, order.fence)
    body_writer = _BodyWriter(receiver, key, layout, batches_held, space)
    finished = False
    try:
        async for chunk in body:
            await body_writer.feed(chunk)
        await body_writer.end()
        receipt = await receiver.finish(sp_address, key)
        finished = True
    finally:
        if not finished:
            await body_writer.cancel()
            await receiver.abort(sp_address, key)
    return receipt_headers(receipt)


def receipt_headers(receipt: UnverifiedReceipt) -> dict[str, str]:
    return {
        INTEGRITY_HASH_HEADER: receipt.integrity_hash.hex(),
        SIGNATURE_HEADER: receipt.signature.hex(),
    }


def _parse_headers(headers: Mapping[str, str]) -> ReplicatePieceHeaders:
    values = {name.lower(): value for name, value in headers.items()}
    claims = parse_replicate_headers(
        values.get(OBJECT_ID_HEADER.lower(), ""),
        values.get(REDUNDANCY_INDEX_HEADER.lower(), ""),
        values.get(PIECE_SIZE_HEADER.lower(), ""),
        values.get(APPROVAL_HEADER.lower(), ""),
    )
    if claims.approval.object_info.id != claims.object_id:
        raise ApprovalError(
            f"the approval is for object {claims.approval.object_info.id}",
            f"object {claims.object_id}",
            "Ask the secondary for an approval of this object",
        )
    return claims


class _BodyWriter:
    """Cuts a body into the batches of a column and writes them one after the other.

    Batches that are held already (a finished group is sent again) are read and dropped.
    Two buffers take turns: one fills from the socket while the other is hashed and stored.
    """

    def __init__(
        self,
        receiver: ReceiverPort,
        key: GroupKey,
        layout: ColumnLayout,
        batches_held: int,
        space: ObjectSpace | None,
    ) -> None:
        self._receiver = receiver
        self._key = key
        self._layout = layout
        self._batches_held = batches_held
        self._space = space
        largest = layout.batch_size_bytes(0)
        self._filling: Column = np.empty(largest, dtype=np.uint8)
        self._spare: Column = np.empty(largest if layout.batch_count > 1 else 0, dtype=np.uint8)
        self._filled = 0
        self._received_bytes = 0
        self._batch_index = 0
        self._writing: asyncio.Task[None] | None = None

    async def feed(self, chunk: bytes) -> None:
        rest = np.frombuffer(chunk, dtype=np.uint8)
        self._received_bytes += len(rest)
        if self._received_bytes > self._layout.size_bytes:
            raise self._wrong_size("more")
        while len(rest):
            wanted = self._layout.batch_size_bytes(self._batch_index)
            taken = min(len(rest), wanted - self._filled)
            self._filling[self._filled : self._filled + taken] = rest[:taken]
            self._filled += taken
            rest = rest[taken:]
            if self._filled == wanted:
                await self._flush()

    async def end(self) -> None:
        """The body is complete; return when its last batch is stored."""
        if self._received_bytes == 0:
            raise EmptyPayload("the body is empty", f"object {self._key.object_id}")
        if self._received_bytes < self._layout.size_bytes:
            raise self._wrong_size("fewer")
        await self._written()

    async def cancel(self) -> None:
        """Wait for a batch that is on its way; its outcome does not matter any more."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _flush(self) -> None:
        await self._written()
        if self._batch_index >= self._batches_held:
            column = self._filling[: self._filled]
            self._writing = asyncio.create_task(self._write(self._batch_index, column))
            self._filling, self._spare = self._spare, self._filling
        self._filled = 0
        self._batch_index += 1

    async def _written(self) -> None:
        if self._writing is not None:
            await self._writing

    async def _write(self, batch_index: int, column: Column) -> None:
        reference = column if self._space is None else await self._space.put(column)
        await self._receiver.write_batch(self._key.sp_address, self._key, batch_index, reference)

    def _wrong_size(self, how: str) -> PayloadSizeMismatch:
        return PayloadSizeMismatch(
            f"the group has {self._layout.size_bytes} bytes, {how} arrived",
            f"object {self._key.object_id}, redundancy index {self._key.redundancy_index}",
        )
