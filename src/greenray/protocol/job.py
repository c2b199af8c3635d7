"""What is known of a job: its state, its row and the values in it.

State numbers are those of protocol 02 §2, names are the specification's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from greenray.protocol.approvals import Approval
from greenray.protocol.errors import GreenrayError
from greenray.protocol.objects import ObjectInfo, StorageParams


class JobState(IntEnum):
    INIT_UNSPECIFIED = 0
    UPLOAD_OBJECT_DOING = 1
    UPLOAD_OBJECT_DONE = 2
    UPLOAD_OBJECT_ERROR = 3
    REPLICATE_OBJECT_DOING = 7
    REPLICATE_OBJECT_DONE = 8
    REPLICATE_OBJECT_ERROR = 9
    SIGN_OBJECT_DOING = 10
    SIGN_OBJECT_DONE = 11
    SIGN_OBJECT_ERROR = 12
    SEAL_OBJECT_TX_DOING = 13
    SEAL_OBJECT_DONE = 14
    SEAL_OBJECT_ERROR = 15


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job is in an _ERROR state. ``waits_for``: see ``GreenrayError.waits_for``."""

    reason: str
    message: str
    retryable: bool
    waits_for: str = ""

    @classmethod
    def of(cls, error: GreenrayError) -> JobError:
        return cls(error.reason, str(error), error.retryable, error.waits_for)

    @property
    def parks(self) -> bool:
        """Whether the job waits for something outside of it: no retry, and no end by its deadline,
        is counted against it."""
        return bool(self.waits_for)


@dataclass(frozen=True, slots=True)
class SecondaryReceipt:
    """One finished secondary: its integrity hash and the signature of its approval key, verified.
    Only ``greenray.protocol.integrity.verify_receipt`` and the journal make it."""

    redundancy_index: int
    operator_address: str
    integrity_hash: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Replacement:
    """A secondary that failed at its index, and why.

    ``approval_round`` is stamped by ``apply``: the round whose approval the secondary failed.
    """

    redundancy_index: int
    operator_address: str
    reason: str
    message: str = ""
    approval_round: int = 0


@dataclass(frozen=True, slots=True)
class StateChange:
    """``at``: seconds since the epoch."""

    state: JobState
    at: float


@dataclass(frozen=True, slots=True)
class JobContext:
    """Everything that is known about one upload; the row of the job store.

    ``epoch`` counts claims: a write by an earlier owner carries an old epoch and is refused.
    ``approval_round`` counts the approval rounds whose approvals were kept; ``approvals`` are
    those of the latest, empty when the next step is to ask for new ones.
    ``final`` means that nobody will touch the job again (sealed, or given up).
    """

    job_id: int
    sp_address: str
    object_info: ObjectInfo
    params: StorageParams
    batch_segments: int
    created_at: float
    deadline_at: float
    state: JobState = JobState.INIT_UNSPECIFIED
    epoch: int = 0
    owner: str = ""
    lease_expires_at: float = 0.0
    retries: int = 0
    retry_at: float = 0.0
    final: bool = False
    error: JobError | None = None
    approval_round: int = 0
    approvals: tuple[Approval, ...] = ()
    secondaries: tuple[SecondaryReceipt, ...] = ()
    replaced: tuple[Replacement, ...] = ()
    seal_tx_hash: str | None = None
    seal_height: int | None = None
    history: tuple[StateChange, ...] = field(default=())

    @property
    def object_id(self) -> int:
        return self.object_info.id

    @property
    def replaced_in_round(self) -> tuple[Replacement, ...]:
        """Those that failed under the present approvals, in the order of their failures."""
        return tuple(r for r in self.replaced if r.approval_round == self.approval_round)

    @property
    def where(self) -> str:
        """The job in an error message."""
        return f"job {self.job_id} of {self.object_info.name}"

    def receipt(self, redundancy_index: int) -> SecondaryReceipt | None:
        return next((r for r in self.secondaries if r.redundancy_index == redundancy_index), None)
