"""What a Downloader is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from greenray.actors.credit.settings import LendingSettings
from greenray.actors.settings import MIB, AtLeastOne, NotNegative, PositiveSeconds


@dataclass(frozen=True, slots=True)
class DownloaderSettings:
    download_budget_bytes: int = 128 * MIB
    """Memory that segments are read and verified in."""
    lending: LendingSettings = field(default_factory=LendingSettings)
    """Who has how much of that memory."""
    least_download_bytes_per_s: NotNegative = 16 * 1024
    """A reader that is slower (bytes per second) is cut off while others wait for the memory of a
    segment that was rebuilt for it. Of stored segments slow readers need no memory."""
    download_threads: AtLeastOne = 4
    """Threads that read and verify what is downloaded."""
    hedge_s: PositiveSeconds = 1.0
    """How long all secondaries that were asked for pieces of a broken segment may be silent before
    others are asked as well."""
    piece_timeout_s: PositiveSeconds = 20.0
    """How long a secondary may take for one piece."""
    parallel_rebuilds: AtLeastOne = 4
    """Broken segments that are rebuilt at a time; their pieces lie beside the download budget."""
