"""What a kind of PieceStore is: where the pieces of one network are, as a value.

Plain values: whatever the locations' modules import is imported by every actor's process.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self
from urllib.parse import SplitResult

if TYPE_CHECKING:
    from greenray.storage.ports import ColumnKey, PieceStore


class Reach(IntEnum):
    """Who sees the pieces of one location; each sees what the ones before it see."""

    PROCESS = 0
    NODE = 1
    CLUSTER = 2


class PieceLocation(Protocol):
    """A frozen dataclass that pickles; ``greenray.storage.piece_kinds`` finds the class of a URL.

    The options are a frozen dataclass too, whose fields all have defaults: they are settings of
    section ``pieces``, told there with the bounds and the text that they have here.
    """

    scheme: ClassVar[str]
    """The kind's name, and what its URLs begin with."""
    example: ClassVar[str]
    """A URL, for who wrote a wrong one."""
    options_type: ClassVar[type[Any]]

    @classmethod
    def at(cls, url: SplitResult, options: Any, durable: bool) -> Self:
        """``url`` has the scheme, and neither query nor fragment; ``options``: of
        ``options_type``. ``durable`` False: an acknowledged byte may be lost with the power, if
        that is faster. Raises InvalidSetting."""
        ...

    @property
    def url(self) -> str: ...

    @property
    def options(self) -> Any: ...

    @property
    def durable(self) -> bool: ...

    @property
    def reach(self) -> Reach: ...

    def open(self, served: Collection[str]) -> dict[str, PieceStore]:
        """The stores of these SPs, by operator address; what is not there is made. Raises
        NoSpaceLeft, StoreError."""
        ...

    def open_existing(self, sp_address: str) -> PieceStore:
        """Of an SP that has stored something; nothing is made. Raises NoSuchPiece, StoreError."""
        ...

    def place(self, sp_address: str, key: ColumnKey) -> str:
        """Where a finished column is, for people: a path or a URL."""
        ...

    def probe(self) -> None:
        """Write and read a few bytes, and leave nothing. Raises StoreError, NoSpaceLeft with what
        is wrong."""
        ...
