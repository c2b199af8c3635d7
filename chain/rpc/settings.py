"""What the client of the chain is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Ge, Gt

DEFAULT_TIMEOUT_S = 10.0
DEFAULT_MAX_ANSWER_BYTES = 16 * 1024 * 1024


Seconds = Annotated[float, Gt(0)]


@dataclass(frozen=True, slots=True)
class FollowSettings:
    """How a node is held to what was seen of its chain."""

    confirm_every_s: Seconds = 5.0
    """How often the node is asked whether it still has the blocks that were seen before."""
    lag_patience_s: Annotated[float, Ge(0)] = 5.0
    """How long a node may lag behind what was seen before, until that is an error."""
    lag_poll_s: Seconds = 0.25
    """How often a node that lags is asked again."""


@dataclass(frozen=True, slots=True)
class RpcSettings:
    timeout_s: Seconds = DEFAULT_TIMEOUT_S
    """For one request to the chain's node."""
    max_answer_bytes: Annotated[int, Ge(65536)] = DEFAULT_MAX_ANSWER_BYTES
    """Of one answer of the chain's node, which may be to up to 64 requests."""
    follow: FollowSettings = field(default_factory=FollowSettings)
