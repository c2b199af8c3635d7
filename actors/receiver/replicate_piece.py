"""The receiving end of replicate-piece: one HTTP body in, one receipt out (protocol 03 §7).

No HTTP library here: the Gateway hands over the headers and the body's chunks, and turns the
result, or the error with ``wire_code``, into an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Mapping

import numpy as np

from greenray.actors.credit.ending import Ending
from greenray.actors.credit.lending import OURSELVES, Borrower
from greenray.actors.credit.lending_pool import LendingPool, LentBuffer
from greenray.actors.ports import Column, GroupOrder, ObjectSpace, ReceiverPort
from greenray.actors.receiver.group_intake import GroupIntake
from greenray.protocol.errors import (
    ApprovalError,
    ComponentUnavailable,
    EmptyPayload,
    GreenrayError,
    InvalidHeader,
    NoSuchObject,
    Overloaded,
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


_BATCH_S = 60.0
"""How long a primary may take for a batch while others wait for its memory."""


def wire_code(error: GreenrayError) -> str:
    """The error code of protocol 03 §7.1 (its HTTP status is in protocol 06 §5.1)."""
    if isinstance(error, _HEADER_ERRORS):
        return "InvalidHeader"
    if isinstance(error, EmptyPayload):
        return "InvalidPayload"
    if isinstance(error, Overloaded):
        return "SlowDown"
    if isinstance(error, ComponentUnavailable):
        return "NotExistComponentError"
    return "InternalError"


async def receive_group(
    receiver: ReceiverPort,
    sp_address: str,
    headers: Mapping[str, str],
    body: AsyncIterable[bytes],
    *,
    intake: GroupIntake,
    borrower: Borrower = OURSELVES,
    space: ObjectSpace | None = None,
) -> dict[str, str]:
    """Store one replicate group for the SP ``sp_address`` and return the headers of the answer.

    ``headers``: names in any case, values decoded as UTF-8. ``intake``: of all groups that come so,
    ``borrower``: who sends this one. ``space``: where the columns go when the receiver is in
    another process; without one it is handed the arrays themselves.
    The body is read only after the headers were accepted, never further than two batches ahead.

    Raises:
        InvalidHeader, ApprovalError, SignatureError, NoSuchObject, WrongObjectStatus,
        WrongRedundancyIndex: the headers are not acceptable; nothing is stored.
        EmptyPayload, PayloadSizeMismatch, IntegrityHashMismatch, StoreError: the body is not, or
            cannot be stored; nothing is left behind.
        Overloaded: there is no memory for it, or others wait for what it has.
        GroupNotOpen: a later request with this approval took its place.
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
    key = GroupKey(sp_address, claims.object_id, claims.redundancy_index, order.fence)
    async with intake.only_attempt((sp_address, key.object_id, key.redundancy_index)) as ending:
        memory = GroupMemory(intake.buffers, borrower, ending)
        return await _receive_body(receiver, order, key, layout, body, memory, space)


async def _receive_body(
    receiver: ReceiverPort,
    order: GroupOrder,
    key: GroupKey,
    layout: ColumnLayout,
    body: AsyncIterable[bytes],
    memory: GroupMemory,
    space: ObjectSpace | None,
) -> dict[str, str]:
    await memory.begin(layout.batch_size_bytes(0))
    try:
        batches_held = await _opened(receiver, order, key)
        memory.watch()
        body_writer = _BodyWriter(receiver, key, layout, batches_held, memory, space)
        finished = False
        try:
            async for chunk in body:
                await body_writer.feed(chunk)
            await body_writer.end()
            receipt = await receiver.finish(key.sp_address, key)
            finished = True
        finally:
            if not finished:
                await body_writer.cancel()
                await receiver.abort(key.sp_address, key)
    finally:
        memory.close()
    return receipt_headers(receipt)


async def _opened(receiver: ReceiverPort, order: GroupOrder, key: GroupKey) -> int:
    """``open``, after which nothing is left when this request is ended meanwhile."""
    opening = asyncio.create_task(receiver.open(key.sp_address, order))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait([opening])
        if opening.exception() is None:
            await receiver.abort(key.sp_address, key)
        raise


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


class GroupMemory:
    """What a group is received in: little at first, then a batch at a time."""

    def __init__(self, buffers: LendingPool, borrower: Borrower, ending: Ending) -> None:
        self._buffers = buffers
        self._borrower = borrower
        self._ending = ending
        self._lent: LentBuffer | None = None
        self._filled_bytes = 0
        self._moved_bytes = 0

    async def begin(self, batch_bytes: int) -> None:
        """Before anything is read. Raises Overloaded."""
        self._lent = await self._buffers.lend_first(batch_bytes, self._borrower)

    async def add(self, data: Column, batch_bytes: int) -> None:
        """The next bytes of a batch of that size. Raises Overloaded."""
        lent, end = self._lent, self._filled_bytes + len(data)
        if lent is None or end > len(lent.buffer):
            lent = await self._whole(batch_bytes)
        lent.buffer[self._filled_bytes : end] = data
        self._filled_bytes = end
        self._moved_bytes += len(data)

    async def _whole(self, batch_bytes: int) -> LentBuffer:
        """Memory for all of a batch, with what has come of it."""
        small = self._lent
        if small is not None:
            small.hold()
        lent = await self._buffers.lend(batch_bytes, self._borrower, wait_s=self._buffers.wait_s)
        self._lent = lent
        if small is not None:
            lent.buffer[: self._filled_bytes] = small.buffer[: self._filled_bytes]
            small.give_back()
        self.watch()
        return lent

    def take(self) -> LentBuffer:
        """The full batch, which is whoever stores it to give back."""
        lent, self._lent = self._lent, None
        assert lent is not None
        lent.hold()
        self._filled_bytes = 0
        return lent

    def close(self) -> None:
        if self._lent is not None:
            self._lent.give_back()
            self._lent = None

    def watch(self) -> None:
        """From now on it is the primary's turn."""
        assert self._lent is not None
        self._lent.may_be_taken_back(lambda: self._moved_bytes, self._put_off, _BATCH_S)

    def _put_off(self) -> None:
        self._ending.end(
            Overloaded(
                "others wait for the memory that this slow group holds",
                "",
                "Send the group again, faster or later",
            )
        )


class _BodyWriter:
    """Cuts a body into the batches of a column and writes them one after the other.

    Batches that are held already (a finished group is sent again) are read and dropped.
    While one batch is hashed and stored the next is received.
    """

    def __init__(
        self,
        receiver: ReceiverPort,
        key: GroupKey,
        layout: ColumnLayout,
        batches_held: int,
        memory: GroupMemory,
        space: ObjectSpace | None,
    ) -> None:
        self._receiver = receiver
        self._key = key
        self._layout = layout
        self._batches_held = batches_held
        self._memory = memory
        self._space = space
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
            if self._batch_index >= self._batches_held:
                await self._memory.add(rest[:taken], wanted)
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
            lent = self._memory.take()
            self._writing = asyncio.create_task(self._write(self._batch_index, lent, self._filled))
        self._filled = 0
        self._batch_index += 1

    async def _written(self) -> None:
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def _write(self, batch_index: int, lent: LentBuffer, size_bytes: int) -> None:
        try:
            column = lent.buffer[:size_bytes]
            reference = column if self._space is None else await self._space.put(column)
            await self._receiver.write_batch(
                self._key.sp_address, self._key, batch_index, reference
            )
        finally:
            lent.give_back()

    def _wrong_size(self, how: str) -> PayloadSizeMismatch:
        return PayloadSizeMismatch(
            f"the group has {self._layout.size_bytes} bytes, {how} arrived",
            f"object {self._key.object_id}, redundancy index {self._key.redundancy_index}",
        )
