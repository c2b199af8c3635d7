"""What a Collector is told."""

from __future__ import annotations

from dataclasses import dataclass

from greenray.actors.settings import PositiveSeconds


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    enabled: bool = True
    """Whether what the chain has no more is removed by itself; else it waits for greenray
    collect."""
    delay_s: PositiveSeconds = 3600.0
    """How long something waits, once it is not needed, before the chain is asked again and it is
    removed."""
    poll_s: PositiveSeconds = 5.0
    """How often new blocks are read for what they removed."""
    follow_s: PositiveSeconds = 1.0
    """How often new blocks are looked for, to be listed."""
    compare_interval_s: PositiveSeconds = 3600.0
    """How often all that is stored is compared with the chain; at a start, too."""
