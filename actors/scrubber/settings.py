"""What a Scrubber is told."""

from __future__ import annotations

from dataclasses import dataclass

from greenray.actors.settings import MIB, NotNegative, PositiveSeconds, ShareOfOne


@dataclass(frozen=True, slots=True)
class ScrubberSettings:
    bandwidth_bytes_s: NotNegative = 16 * MIB
    """Bytes per second that the background scrub of a node reads and hashes, all hosted SPs
    together; 0: no background scrub."""
    share_beside_uploads: ShareOfOne = 0.25
    """How much of that is left to it while columns of uploads are stored by the same process."""
    interval_s: PositiveSeconds = 7 * 24 * 3600.0
    """How long after the beginning of one background scrub the next one begins; the first one,
    after the network's first start. One that takes longer is followed by the next at once."""
    retry_s: PositiveSeconds = 5.0
    """How long a scrub waits when the chain or the journal does not answer."""
    save_interval_s: PositiveSeconds = 5.0
    """At most so much of a scrub is done again after a crash, or one object."""

    def background_bytes_s(self, *, beside_uploads: bool) -> int:
        """0: no background scrub."""
        if not beside_uploads or not self.bandwidth_bytes_s:
            return self.bandwidth_bytes_s
        return max(1, int(self.bandwidth_bytes_s * self.share_beside_uploads))
