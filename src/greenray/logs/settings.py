"""What logs are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge


@dataclass(frozen=True, slots=True)
class LogSettings:
    file_bytes: Annotated[int, Ge(4096)] = 8 * 1024 * 1024
    """How large a log may become before it is set aside and a new one begun."""
    files: Annotated[int, Ge(1)] = 4
    """How many of each that were set aside are kept: NAME.log.1 is the newest."""
