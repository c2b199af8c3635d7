"""How long one waits for the chain to know what others know already."""

from __future__ import annotations

from dataclasses import dataclass

from greenray.actors.settings import NotNegative, PositiveSeconds


@dataclass(frozen=True, slots=True)
class PatienceSettings:
    """For how long an unknown object is asked for again: the earlier of both limits."""

    blocks: NotNegative = 3
    """How many blocks an object may come later than those who ask for it."""
    limit_s: PositiveSeconds = 15.0
    """How long an unknown object is asked for again, however few blocks there are."""
    poll_interval_s: PositiveSeconds = 0.5
    """How often an unknown object is asked for."""
