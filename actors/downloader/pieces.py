"""The way to pieces of others: by their Receiver when they are hosted in this cluster."""

from __future__ import annotations

from collections.abc import Mapping

from greenray.actors.ports import HeldPiece, ReceiverPort
from greenray.protocol.errors import ComponentUnavailable
from greenray.protocol.layout import ColumnLayout
from greenray.storage.ports import ColumnKey


class PieceDirectory:
    """Implements ``greenray.actors.ports.PieceSource``."""

    def __init__(self, hosted: Mapping[str, ReceiverPort]) -> None:
        """``hosted``: Receivers by the operator address they serve."""
        self._hosted = hosted

    async def read_piece(
        self,
        sp_address: str,
        holder: str,
        key: ColumnKey,
        layout: ColumnLayout,
        piece_index: int,
    ) -> HeldPiece:
        """See ``PieceSource.read_piece``."""
        receiver = self._hosted.get(holder)
        if receiver is None:
            raise ComponentUnavailable("it is not hosted in this cluster", holder)
        return await receiver.read_piece(holder, key, layout, piece_index)
