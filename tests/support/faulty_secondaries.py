"""Receivers that misbehave, as decorators of an honest one.

A Directory can host each of them, and the real client, with its real timeouts, sits on top:
``Directory({address: LyingReceiver(honest), ...})``.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np

from greenray.actors.ports import ColumnRef, GroupOrder, HeldPiece, PieceSource, ReceiverPort
from greenray.protocol.approvals import Approval
from greenray.protocol.errors import ComponentUnavailable
from greenray.protocol.integrity import UnverifiedReceipt
from greenray.protocol.layout import ColumnLayout
from greenray.protocol.objects import StorageParams
from greenray.storage.ports import ColumnKey, GroupKey


class NoPieces(PieceSource):
    """Nobody holds a piece of anything."""

    async def read_piece(
        self,
        sp_address: str,
        holder: str,
        key: ColumnKey,
        layout: ColumnLayout,
        piece_index: int,
    ) -> HeldPiece:
        raise ComponentUnavailable("there is no such secondary", holder)

    async def close(self) -> None:
        """There is nothing to close."""


class PassingReceiver(ReceiverPort):
    """Hands every call on, and remembers which batches came: [(redundancy index, batch), ...]."""

    def __init__(self, honest: ReceiverPort) -> None:
        self.honest = honest
        self.opened: list[GroupOrder] = []
        self.batches: list[tuple[int, int]] = []
        self.aborted: list[GroupKey] = []
        """Groups whose abort has returned."""

    async def order_for(
        self, sp_address: str, approval: Approval, redundancy_index: int
    ) -> GroupOrder:
        return await self.honest.order_for(sp_address, approval, redundancy_index)

    async def open(self, sp_address: str, order: GroupOrder) -> int:
        self.opened.append(order)
        return await self.honest.open(sp_address, order)

    async def write_batch(
        self, sp_address: str, key: GroupKey, batch_index: int, column: ColumnRef
    ) -> None:
        self.batches.append((key.redundancy_index, batch_index))
        await self.honest.write_batch(sp_address, key, batch_index, column)

    async def finish(self, sp_address: str, key: GroupKey) -> UnverifiedReceipt:
        return await self.honest.finish(sp_address, key)

    async def hold_group(
        self, sp_address: str, order: GroupOrder, column: ColumnRef
    ) -> UnverifiedReceipt:
        """Step by step, so that what goes wrong at a step goes wrong here as well."""
        key = order.key_at(sp_address)
        if await self.open(sp_address, order) == 0:
            await self.write_batch(sp_address, key, 0, column)
        return await self.finish(sp_address, key)

    async def begin_repair(
        self,
        sp_address: str,
        object_id: int,
        redundancy_index: int,
        params: StorageParams,
        batch_segments: int,
    ) -> GroupKey:
        return await self.honest.begin_repair(
            sp_address, object_id, redundancy_index, params, batch_segments
        )

    async def abort(self, sp_address: str, key: GroupKey) -> None:
        await self.honest.abort(sp_address, key)
        self.aborted.append(key)

    async def read_piece(
        self, sp_address: str, key: ColumnKey, layout: ColumnLayout, piece_index: int
    ) -> HeldPiece:
        return await self.honest.read_piece(sp_address, key, layout, piece_index)


class _FaultyAt(PassingReceiver):
    """Misbehaves at one step: "open", "write_batch" (of ``batch_index``), "finish" or "abort"."""

    def __init__(
        self, honest: ReceiverPort, step: str = "write_batch", batch_index: int = 0
    ) -> None:
        super().__init__(honest)
        self._faulty_call = (step, batch_index if step == "write_batch" else 0)

    async def before(self, step: str, batch_index: int = 0) -> None:
        raise NotImplementedError

    async def open(self, sp_address: str, order: GroupOrder) -> int:
        await self.before("open")
        return await super().open(sp_address, order)

    async def write_batch(
        self, sp_address: str, key: GroupKey, batch_index: int, column: ColumnRef
    ) -> None:
        await self.before("write_batch", batch_index)
        await super().write_batch(sp_address, key, batch_index, column)

    async def finish(self, sp_address: str, key: GroupKey) -> UnverifiedReceipt:
        await self.before("finish")
        return await super().finish(sp_address, key)

    async def abort(self, sp_address: str, key: GroupKey) -> None:
        await self.before("abort")
        await super().abort(sp_address, key)


class HangingReceiver(_FaultyAt):
    """Never answers that step; ``reached`` is set once somebody waits for it."""

    def __init__(
        self, honest: ReceiverPort, step: str = "write_batch", batch_index: int = 0
    ) -> None:
        super().__init__(honest, step, batch_index)
        self.reached = asyncio.Event()
        self.released = asyncio.Event()

    async def before(self, step: str, batch_index: int = 0) -> None:
        if (step, batch_index) == self._faulty_call:
            self.reached.set()
            await self.released.wait()


class DyingReceiver(_FaultyAt):
    """Is gone from that step on: that call and every later one fail, also for other groups."""

    def __init__(
        self, honest: ReceiverPort, step: str = "write_batch", batch_index: int = 0
    ) -> None:
        super().__init__(honest, step, batch_index)
        self.died = asyncio.Event()

    def revive(self) -> None:
        """Its process is back, and healthy."""
        self.died.clear()
        self._faulty_call = ("", 0)

    async def before(self, step: str, batch_index: int = 0) -> None:
        if (step, batch_index) == self._faulty_call:
            self.died.set()
        if self.died.is_set():
            raise ComponentUnavailable("the receiver's process is gone", "test")


class SlowReceiver(PassingReceiver):
    """Takes a batch only when the test grants one with ``grant``."""

    def __init__(self, honest: ReceiverPort) -> None:
        super().__init__(honest)
        self._granted = asyncio.Semaphore(0)
        self.waiting = asyncio.Event()

    def grant(self, batches: int = 1) -> None:
        for _ in range(batches):
            self._granted.release()

    async def write_batch(
        self, sp_address: str, key: GroupKey, batch_index: int, column: ColumnRef
    ) -> None:
        self.waiting.set()
        await self._granted.acquire()
        await super().write_batch(sp_address, key, batch_index, column)


class CorruptingReceiver(PassingReceiver):
    """Flips one bit of the first byte of every batch on its way in."""

    async def write_batch(
        self, sp_address: str, key: GroupKey, batch_index: int, column: ColumnRef
    ) -> None:
        corrupt = np.array(column, copy=True)
        corrupt[0] ^= 1
        await super().write_batch(sp_address, key, batch_index, corrupt)


class LyingReceiver(PassingReceiver):
    """Stores honestly, and answers with a receipt that is not true.

    ``about``: "hash" (another integrity hash), "signature" (one bit flipped), "length" (64 bytes),
    or "address" (another provider's).
    """

    def __init__(self, honest: ReceiverPort, about: str = "signature") -> None:
        super().__init__(honest)
        self.about = about

    async def finish(self, sp_address: str, key: GroupKey) -> UnverifiedReceipt:
        receipt = await super().finish(sp_address, key)
        match self.about:
            case "hash":
                return replace(receipt, integrity_hash=_flipped(receipt.integrity_hash))
            case "signature":
                return replace(receipt, signature=_flipped(receipt.signature))
            case "length":
                return replace(receipt, signature=receipt.signature[:64])
            case "address":
                return replace(receipt, operator_address="0x" + "11" * 20)
        raise ValueError(f"nothing to lie about: {self.about}")


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]
