"""Where the bytes of a download came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class DownloadSources:
    """``primary_bytes`` and ``rebuilt_bytes`` are the payload; ``piece_bytes``: of the pieces that
    it was rebuilt from, by the operator address of the secondary that gave them."""

    primary_bytes: int
    rebuilt_bytes: int
    piece_bytes: Mapping[str, int]

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> DownloadSources:
        """Raises KeyError, TypeError, ValueError for anything else."""
        pieces = {str(sp): int(size) for sp, size in document["piece_bytes"].items()}
        return cls(
            int(document["primary_bytes"]),
            int(document["rebuilt_bytes"]),
            MappingProxyType(pieces),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "primary_bytes": self.primary_bytes,
            "rebuilt_bytes": self.rebuilt_bytes,
            "piece_bytes": dict(self.piece_bytes),
        }


OnSources = Callable[[DownloadSources], None]
