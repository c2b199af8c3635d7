"""What the client of the chain is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt

DEFAULT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class RpcSettings:
    timeout_s: Annotated[float, Gt(0)] = DEFAULT_TIMEOUT_S
    """For one request to the chain's node."""
