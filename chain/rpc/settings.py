"""What the client of the chain is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt

DEFAULT_TIMEOUT_S = 10.0
DEFAULT_MAX_ANSWER_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RpcSettings:
    timeout_s: Annotated[float, Gt(0)] = DEFAULT_TIMEOUT_S
    """For one request to the chain's node."""
    max_answer_bytes: Annotated[int, Ge(65536)] = DEFAULT_MAX_ANSWER_BYTES
    """Of one answer of the chain's node, which may be to up to 64 requests."""
