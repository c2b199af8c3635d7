"""Several Receivers as one: every call goes to the one that serves the SP it names."""

from __future__ import annotations

from collections.abc import Mapping

from greenray.actors.ports import ColumnRef, GroupOrder, HeldPiece, ReceiverPort
from greenray.protocol.approvals import Approval
from greenray.protocol.errors import ComponentUnavailable
from greenray.protocol.integrity import UnverifiedReceipt
from greenray.protocol.layout import ColumnLayout
from greenray.protocol.objects import StorageParams
from greenray.storage.ports import ColumnKey, GroupKey


class ReceiverDirectory:
    """Implements ``greenray.actors.ports.ReceiverPort``."""

    def __init__(self, receivers: Mapping[str, ReceiverPort]) -> None:
        """``receivers`` by the operator address of the SP they serve."""
        self._receivers = receivers

    def _of(self, sp_address: str) -> ReceiverPort:
        try:
            return self._receivers[sp_address]
        except KeyError:
            raise ComponentUnavailable("no Receiver serves this SP here", sp_address) from None

    async def order_for(
        self, sp_address: str, approval: Approval, redundancy_index: int
    ) -> GroupOrder:
        return await self._of(sp_address).order_for(sp_address, approval, redundancy_index)

    async def open(self, sp_address: str, order: GroupOrder) -> int:
        return await self._of(sp_address).open(sp_address, order)

    async def write_batch(
        self, sp_address: str, key: GroupKey, batch_index: int, column: ColumnRef
    ) -> None:
        await self._of(sp_address).write_batch(sp_address, key, batch_index, column)

    async def finish(self, sp_address: str, key: GroupKey) -> UnverifiedReceipt:
        return await self._of(sp_address).finish(sp_address, key)

    async def hold_group(
        self, sp_address: str, order: GroupOrder, column: ColumnRef
    ) -> UnverifiedReceipt:
        return await self._of(sp_address).hold_group(sp_address, order, column)

    async def begin_repair(
        self,
        sp_address: str,
        object_id: int,
        redundancy_index: int,
        params: StorageParams,
        batch_segments: int,
    ) -> GroupKey:
        return await self._of(sp_address).begin_repair(
            sp_address, object_id, redundancy_index, params, batch_segments
        )

    async def abort(self, sp_address: str, key: GroupKey) -> None:
        await self._of(sp_address).abort(sp_address, key)

    async def read_piece(
        self, sp_address: str, key: ColumnKey, layout: ColumnLayout, piece_index: int
    ) -> HeldPiece:
        return await self._of(sp_address).read_piece(sp_address, key, layout, piece_index)
