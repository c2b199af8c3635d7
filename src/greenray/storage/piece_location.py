"""Where the pieces of one network are: a directory of files, or a bucket.

Plain values: whatever this module imports is imported by every actor's process.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenray.protocol.errors import NoSuchPiece
from greenray.storage.s3_bucket import S3Bucket, S3Location

if TYPE_CHECKING:
    from greenray.storage.ports import ColumnKey, PieceStore


@dataclass(frozen=True, slots=True)
class PieceLocation:
    """``s3``: the bucket; None: the files below ``directory``, which is the same disk on all nodes
    if ``shared``."""

    directory: str
    durable: bool = True
    shared: bool = False
    s3: S3Location | None = None

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> PieceLocation:
        """From ``dataclasses.asdict``."""
        s3 = document.pop("s3")
        return cls(**document, s3=S3Location(**s3) if s3 else None)

    @property
    def is_seen_by_all_nodes(self) -> bool:
        return self.shared or self.s3 is not None

    def stores(self, served: Collection[str]) -> dict[str, PieceStore]:
        """By operator address. Raises NoSpaceLeft, StoreError."""
        if self.s3 is not None:
            from greenray.storage.s3_store import S3PieceStore

            bucket = S3Bucket(self.s3)
            return {sp: S3PieceStore(bucket, sp.lower()) for sp in served}
        from greenray.storage.file_store import FilePieceStore

        return {sp: FilePieceStore(self._root_of(sp), durable=self.durable) for sp in served}

    def existing_store(self, sp_address: str) -> PieceStore:
        """Of an SP that has stored something; else it is not made. Raises NoSuchPiece."""
        if self.s3 is None and not self._root_of(sp_address).is_dir():
            raise NoSuchPiece(
                "this storage provider keeps nothing here", str(self._root_of(sp_address))
            )
        return self.stores((sp_address,))[sp_address]

    def place_of(self, sp_address: str, key: ColumnKey) -> str:
        """Where a finished column is: a path, or the URL of its record."""
        if self.s3 is not None:
            from greenray.storage.s3_names import finished_key

            prefix = f"{self.s3.prefix}/" if self.s3.prefix else ""
            return f"s3://{self.s3.bucket}/{prefix}{sp_address.lower()}/{finished_key(key)}"
        from greenray.storage.column_paths import ColumnPaths

        return str(ColumnPaths(self._root_of(sp_address)).finished(key))

    def probe(self) -> None:
        """Write, read, list and remove a few bytes in the bucket, if it is one. Raises StoreError,
        NoSpaceLeft with what is wrong; directories are probed by those who open them."""
        if self.s3 is not None:
            from greenray.storage.s3_store import S3PieceStore

            S3PieceStore(S3Bucket(self.s3), "probe").probe()

    def _root_of(self, sp_address: str) -> Path:
        return Path(self.directory) / sp_address.lower()
