"""The way to pieces of others, whoever they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from greenray.actors.ports import HeldPiece, PieceSource, ReceiverPort
from greenray.protocol.layout import ColumnLayout
from greenray.storage.ports import ColumnKey


class PieceDirectory:
    """Implements ``greenray.actors.ports.PieceSource``: by their Receiver for SPs that are hosted
    in this cluster."""

    def __init__(
        self, hosted: Mapping[str, ReceiverPort], others: Callable[[], PieceSource]
    ) -> None:
        """``hosted``: Receivers by the operator address they serve; ``others``: called once, when
        another SP's piece is asked for."""
        self._hosted = hosted
        self._make_others = others
        self._others: PieceSource | None = None

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
        if receiver is not None:
            return await receiver.read_piece(holder, key, layout, piece_index)
        if self._others is None:
            self._others = self._make_others()
        return await self._others.read_piece(sp_address, holder, key, layout, piece_index)

    async def close(self) -> None:
        """See ``PieceSource.close``."""
        if self._others is not None:
            await self._others.close()
