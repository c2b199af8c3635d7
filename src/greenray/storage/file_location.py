"""Pieces in files: ``file:///srv/pieces``."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import SplitResult, unquote

from greenray.protocol.errors import InvalidSetting, NoSuchPiece
from greenray.storage.piece_location import Reach

if TYPE_CHECKING:
    from greenray.storage.ports import ColumnKey, PieceStore


@dataclass(frozen=True, slots=True)
class FileOptions:
    shared: bool = False
    """Whether the directory is the same disk on all nodes. Files on several nodes need that."""


@dataclass(frozen=True, slots=True)
class FileLocation:
    """Implements ``greenray.storage.piece_location.PieceLocation``: a directory below ``directory``
    for each SP."""

    scheme: ClassVar[str] = "file"
    example: ClassVar[str] = "file:///srv/pieces"
    options_type: ClassVar[type[FileOptions]] = FileOptions

    directory: Path
    """Absolute."""
    options: FileOptions = field(default_factory=FileOptions)
    durable: bool = True

    @classmethod
    def at(cls, url: SplitResult, options: FileOptions, durable: bool) -> FileLocation:
        if url.netloc:
            raise InvalidSetting(
                f"a path has no host, and this URL names {url.netloc!r}",
                "pieces.url",
                "Write three slashes before an absolute path: file:///srv/pieces",
            )
        directory = Path(unquote(url.path))
        if wrong := _wrong_with(directory):
            raise InvalidSetting(wrong, "pieces.url", f"Write {cls.example}")
        return cls(directory, options, durable)

    @property
    def url(self) -> str:
        return self.directory.as_uri()

    @property
    def reach(self) -> Reach:
        return Reach.CLUSTER if self.options.shared else Reach.NODE

    def open(self, served: Collection[str]) -> dict[str, PieceStore]:
        from greenray.storage.file_store import FilePieceStore

        return {sp: FilePieceStore(self._root_of(sp), durable=self.durable) for sp in served}

    def open_existing(self, sp_address: str) -> PieceStore:
        root = self._root_of(sp_address)
        if not root.is_dir():
            raise NoSuchPiece("this storage provider keeps nothing here", str(root))
        return self.open((sp_address,))[sp_address]

    def place(self, sp_address: str, key: ColumnKey) -> str:
        from greenray.storage.column_paths import ColumnPaths

        return str(ColumnPaths(self._root_of(sp_address)).finished(key))

    def probe(self) -> None:
        from greenray.storage.file_store import FilePieceStore

        root = self.directory / f"probe-{uuid.uuid4().hex}"
        try:
            FilePieceStore(root, durable=self.durable).probe()
        finally:
            if root.is_dir():
                shutil.rmtree(root)

    def _root_of(self, sp_address: str) -> Path:
        return self.directory / sp_address.lower()


def _wrong_with(directory: Path) -> str:
    if not directory.is_absolute():
        return "the path is not absolute"
    if directory == directory.parent:
        return "the path is the root of all files"
    if "\0" in str(directory):
        return "no character NUL can be in a path"
    return ""
