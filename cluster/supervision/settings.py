"""What the supervision of a network is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt

PositiveSeconds = Annotated[float, Gt(0)]


@dataclass(frozen=True, slots=True)
class SupervisionSettings:
    interval_s: PositiveSeconds = 1.0
    """Pause between two rounds, in each of which every process is asked for an answer."""
    answer_s: PositiveSeconds = 2.0
    """For the answer. Later the network is degraded, which greenray status and the log say."""
    silence_s: PositiveSeconds = 15.0
    """How long a process that runs may be silent before it is replaced. One that is stopped, or has
    died, is replaced at once."""
    start_s: PositiveSeconds = 120.0
    """How long an actor, or all of them, may take to be there again before Ray is started anew."""
    failures_per_minute: Annotated[int, Ge(1)] = 5
    """Of one component. With more the network gives up and ends, as it does after so many starts of
    Ray in a row that failed."""
