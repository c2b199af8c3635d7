"""What a TaskNode is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Gt, Le

from greenray.actors.replication.settings import ReplicationSettings
from greenray.actors.settings import AtLeastOne, LeaseSettings, PositiveSeconds
from greenray.protocol.job_claims import LONGEST_PAUSE_S

_PauseSeconds = Annotated[float, Gt(0), Le(LONGEST_PAUSE_S)]


@dataclass(frozen=True, slots=True)
class DriverSettings:
    approval_timeout_s: PositiveSeconds = 10.0
    """How long to wait for the approvals of the other SPs."""
    seal_timeout_s: PositiveSeconds = 120.0
    """How long one try waits for the chain to show an object sealed; then its job is retried."""
    retry_base_s: _PauseSeconds = 1.0
    """Pause before the first retry of a failed job; doubled for each further one."""
    retry_cap_s: _PauseSeconds = 300.0
    """The longest pause between two retries."""
    parked_look_s: _PauseSeconds = 10.0
    """How often one of the parked jobs of an SP looks whether what they wait for has come: coins,
    or a chain's node."""
    hot_from_bytes: int = 0
    """Smaller columns are not asked for: the Uploaders do not keep them."""
    replication: ReplicationSettings = field(default_factory=ReplicationSettings)


@dataclass(frozen=True, slots=True)
class TaskNodeSettings(LeaseSettings):
    parallel_jobs: AtLeastOne = 256
    """Jobs driven at a time. Most of them wait for a block; what their columns take is bounded by
    the budgets."""
    poll_s: PositiveSeconds = 2.0
    """How long the journal is left alone when nothing wakes the TaskNode."""
    driver: DriverSettings = field(default_factory=DriverSettings)
