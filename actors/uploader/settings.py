"""What an Uploader is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Ge

from greenray.actors.credit.settings import LendingSettings
from greenray.actors.settings import MIB, AtLeastOne, LeaseSettings, NotNegative, PositiveSeconds
from greenray.protocol.layout import DEFAULT_BATCH_SEGMENTS


@dataclass(frozen=True, slots=True)
class UploaderSettings(LeaseSettings):
    batch_segments: AtLeastOne = DEFAULT_BATCH_SEGMENTS
    """At most; small objects and many uploads at a time make smaller batches."""
    buffer_budget_bytes: int = 256 * MIB
    """Memory that payloads are received in; without credit from it no socket is read."""
    hot_budget_bytes: int = 256 * MIB
    """Columns kept in the object space for replication."""
    spliced_budget_bytes: int = 0
    """The same for columns that are slices of a payload's own blocks: how much of such payloads may
    be kept from being freed."""
    hot_from_bytes: int = 0
    """Smaller columns are not kept: to read them again costs less than to ask for them."""
    hot_idle_s: PositiveSeconds = 60.0
    """Hot columns of objects that nobody asked for this long make room for new ones."""
    ahead_after_bytes: NotNegative = 256 * MIB
    """When so much of a payload is stored, what is stored goes to the secondaries while the rest
    still arrives. A shorter upload has the cores to itself and is answered a third sooner."""
    least_bytes_per_s: NotNegative = 64 * 1024
    """An upload that is slower (bytes per second) is put off with HTTP 503 while others wait for
    the memory that it holds."""
    lending: LendingSettings = field(default_factory=LendingSettings)
    """Who has how much of the buffers."""
    hash_threads: Annotated[int | None, Ge(1)] = None
    """Threads that hash what arrives; None: one per core."""
    io_threads: AtLeastOne = 16
    """Threads that write what arrived."""
    deadline_s: PositiveSeconds = 24 * 3600.0
    """After this time since its upload a job is given up, and its object rejected."""
