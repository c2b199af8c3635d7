"""How one of many puts has ended, and how far all of them are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from greenray.protocol.errors import GreenrayError


class PutStatus(Enum):
    SEALED = "sealed"
    UPLOADED = "uploaded"
    """It goes on to its seal without us, as was asked for."""
    WAS_SEALED = "was-sealed"
    """Before, with the same payload: nothing was done."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PutOutcome:
    """``name``: bucket/object. ``source``: the path, or what else the payload is.

    ``size_bytes`` and ``object_id`` are None while they are not known; ``error`` says why it
    failed.
    """

    name: str
    source: str
    status: PutStatus
    size_bytes: int | None = None
    object_id: int | None = None
    error: GreenrayError | None = None

    @property
    def ok(self) -> bool:
        return self.status is not PutStatus.FAILED

    @property
    def reason(self) -> str | None:
        """The name of the error, such as ``unreadable-file``."""
        return None if self.error is None else self.error.reason

    def to_json(self) -> dict[str, Any]:
        """A line of ``greenray put --json``."""
        error = self.error
        return {
            "name": self.name,
            "source": self.source,
            "status": self.status.value,
            "size_bytes": self.size_bytes,
            "object_id": self.object_id,
            "error": None
            if error is None
            else {"reason": error.reason, "message": str(error), "retryable": error.retryable},
        }


@dataclass(frozen=True, slots=True)
class ManyProgress:
    """How far many puts are; no number ever becomes smaller. ``objects``: of which ``failed`` have
    failed. ``bytes_done``: of payloads that are sent, or need not be."""

    objects: int = 0
    failed: int = 0
    bytes_done: int = 0
