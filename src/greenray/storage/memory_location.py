"""Pieces in the memory of one process: ``memory://``, or ``memory://NAME`` where there are several.
For tests and notebooks; no network of several processes takes it."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import SplitResult, quote, unquote
from weakref import WeakValueDictionary

from greenray.protocol.errors import InvalidSetting, NoSuchPiece
from greenray.storage.piece_location import Reach

if TYPE_CHECKING:
    from greenray.storage.memory_store import MemoryPieceStore
    from greenray.storage.ports import ColumnKey, PieceStore


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    pass


@dataclass(frozen=True, slots=True)
class MemoryLocation:
    """Implements ``greenray.storage.piece_location.PieceLocation``: whoever opens a location of the
    same name in this process gets the same stores, which last as long as somebody holds them."""

    scheme: ClassVar[str] = "memory"
    example: ClassVar[str] = "memory://"
    options_type: ClassVar[type[MemoryOptions]] = MemoryOptions

    name: str = ""
    options: MemoryOptions = field(default_factory=MemoryOptions)

    @classmethod
    def at(cls, url: SplitResult, options: MemoryOptions, durable: bool) -> MemoryLocation:
        if url.path:
            raise InvalidSetting("memory has no paths", "pieces.url", "Write memory://NAME")
        return cls(unquote(url.netloc), options)

    @property
    def url(self) -> str:
        return f"memory://{quote(self.name, safe='')}"

    @property
    def durable(self) -> bool:
        return False

    @property
    def reach(self) -> Reach:
        return Reach.PROCESS

    def open(self, served: Collection[str]) -> dict[str, PieceStore]:
        from greenray.storage.memory_store import MemoryPieceStore

        with _lock:
            return {
                sp: _stores.setdefault((self.name, sp.lower()), MemoryPieceStore()) for sp in served
            }

    def open_existing(self, sp_address: str) -> PieceStore:
        store = _stores.get((self.name, sp_address.lower()))
        if store is None:
            raise NoSuchPiece("this storage provider keeps nothing here", self.url)
        return store

    def place(self, sp_address: str, key: ColumnKey) -> str:
        from greenray.storage.column_paths import column_name

        return f"{self.url}/{sp_address.lower()}/{column_name(key)}"

    def probe(self) -> None:
        """Memory needs no looking after."""


_lock = threading.Lock()
_stores: WeakValueDictionary[tuple[str, str], MemoryPieceStore] = WeakValueDictionary()
