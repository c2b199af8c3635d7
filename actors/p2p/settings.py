"""What P2P is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge


@dataclass(frozen=True, slots=True)
class P2PSettings:
    spare_grace_s: Annotated[float, Ge(0)] = 0.5
    """How long to wait for spare approvals once enough have arrived."""
