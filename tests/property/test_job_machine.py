"""Any sequence of events: the table is the whole truth, and what is written stays consistent."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from greenray.protocol.errors import IllegalTransition, VoidReceipt
from greenray.protocol.job import JobError, JobState, SecondaryReceipt
from greenray.protocol.job_events import (
    EVENTS,
    ApprovalsCollected,
    GivenUp,
    JobEvent,
    ObjectRemoved,
    OwnerLost,
    ReceiptsVoided,
    ReplicateFailed,
    ReplicateFinished,
    ReplicateStarted,
    RetryDue,
    SealFailed,
    SealFinished,
    SealWatchStarted,
    SecondaryFinished,
    SecondaryReplaced,
    SignFailed,
    SignFinished,
    SignStarted,
    UploadFailed,
    UploadFinished,
    UploadResumed,
    UploadStarted,
)
from greenray.protocol.job_table import TRANSITIONS, apply
from tests.support.protocol_values import approval_of, new_job

_ADDRESSES = st.sampled_from([f"sp{number}" for number in range(9)])
_INDICES = st.integers(-1, 6)
_ERROR = JobError("store-error", "disk", True)
_GONE = JobError("object-gone", "deleted", False)
_ERROR_STATES = frozenset(state for state in JobState if state.name.endswith("_ERROR"))
_AFTER_REPLICATION = frozenset(s for s in JobState if s >= JobState.REPLICATE_OBJECT_DONE) - {
    JobState.REPLICATE_OBJECT_ERROR
}


_BARE = (
    UploadStarted,
    UploadFinished,
    UploadResumed,
    OwnerLost,
    ReplicateStarted,
    ReplicateFinished,
    SignStarted,
    SealWatchStarted,
    RetryDue,
    GivenUp,
)
_DUE = st.none() | st.floats(0, 100)
_STRATEGIES: dict[type[JobEvent], st.SearchStrategy[JobEvent]] = {
    **{kind: st.just(kind()) for kind in _BARE},
    UploadFailed: st.just(UploadFailed(_ERROR)),
    ApprovalsCollected: st.lists(_ADDRESSES, min_size=1, max_size=9).map(
        lambda addresses: ApprovalsCollected(tuple(map(approval_of, addresses)))
    ),
    SecondaryFinished: st.builds(
        lambda index, address: SecondaryFinished(SecondaryReceipt(index, address, b"", b"")),
        _INDICES,
        _ADDRESSES,
    ),
    SecondaryReplaced: st.builds(SecondaryReplaced, _INDICES, _ADDRESSES, st.just("reason")),
    ReplicateFailed: st.builds(ReplicateFailed, st.just(_ERROR), _DUE),
    SignFinished: st.builds(SignFinished, st.sampled_from(["AA", "BB"])),
    SignFailed: st.builds(SignFailed, st.just(_ERROR), _DUE),
    SealFinished: st.builds(SealFinished, st.integers(1, 9), st.none()),
    SealFailed: st.builds(SealFailed, st.just(_ERROR), _DUE),
    ObjectRemoved: st.just(ObjectRemoved(_GONE)),
    ReceiptsVoided: st.builds(
        lambda index, address, is_gone: ReceiptsVoided(
            (VoidReceipt(index, address, is_gone=is_gone, why="void"),)
        ),
        _INDICES,
        _ADDRESSES,
        st.booleans(),
    ),
}


def events(kinds: Sequence[type[JobEvent]]) -> st.SearchStrategy[JobEvent]:
    return st.one_of([_STRATEGIES[kind] for kind in kinds])


class Job(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.job = new_job()
        self.before = self.job
        self.voided: set[int] = set()
        self.now = 0.0

    def happen(self, event: JobEvent) -> None:
        self.before, self.now = self.job, self.now + 1.0
        self.voided = set()
        if isinstance(event, ReceiptsVoided):
            self.voided = {receipt.redundancy_index for receipt in event.void}
        target = TRANSITIONS.get((self.job.state, type(event)))
        try:
            self.job = apply(self.job, event, self.now)
        except IllegalTransition:
            # Either the table has no such step, or the event contradicts the receipts.
            assert target is None or self.job.final or self.contradicts(event)
            assert not self.is_removal_of_a_sealed_object(event)
        else:
            assert self.job.state is target
            assert not self.before.final or isinstance(event, ObjectRemoved)

    def is_removal_of_a_sealed_object(self, event: JobEvent) -> bool:
        sealed = self.job.state is JobState.SEAL_OBJECT_DONE
        return sealed and self.job.error is None and isinstance(event, ObjectRemoved)

    def contradicts(self, event: JobEvent) -> bool:
        held = {r.redundancy_index: r.operator_address for r in self.job.secondaries}
        if isinstance(event, SecondaryFinished):
            index, address = event.receipt.redundancy_index, event.receipt.operator_address
            others = [a for i, a in held.items() if i != index]
            return not 0 <= index < self.job.params.n or address in others
        if isinstance(event, SecondaryReplaced):
            index = event.redundancy_index
            return not 0 <= index < self.job.params.n or index in held
        return isinstance(event, ReplicateFinished) and len(held) < self.job.params.n

    @rule(event=events(list(EVENTS.values())))
    def anything_happens(self, event: JobEvent) -> None:
        self.happen(event)

    @precondition(lambda self: not self.job.final)
    @rule(data=st.data())
    def something_legal_happens(self, data: st.DataObject) -> None:
        legal = [kind for state, kind in TRANSITIONS if state is self.job.state]
        self.happen(data.draw(events(legal)))

    @precondition(lambda self: self.job.state is JobState.REPLICATE_OBJECT_DOING)
    @rule()
    def all_secondaries_finish(self) -> None:
        free = [f"free{number}" for number in range(6)]
        for index in range(self.job.params.n):
            if self.job.receipt(index) is None:
                self.happen(SecondaryFinished(SecondaryReceipt(index, free[index], b"", b"")))
        self.happen(ReplicateFinished())

    @invariant()
    def history_ends_in_the_state_and_has_legal_steps_only(self) -> None:
        states = [JobState.INIT_UNSPECIFIED, *(change.state for change in self.job.history)]
        assert states[-1] is self.job.state
        legal = {(source, target) for (source, _), target in TRANSITIONS.items()}
        assert all(step in legal for step in pairwise(states))
        times = [change.at for change in self.job.history]
        assert times == sorted(times)

    @invariant()
    def each_index_and_each_provider_has_at_most_one_receipt(self) -> None:
        indices = [r.redundancy_index for r in self.job.secondaries]
        addresses = [r.operator_address for r in self.job.secondaries]
        assert indices == sorted(set(indices))
        assert len(set(addresses)) == len(addresses)

    @invariant()
    def replicated_objects_have_all_receipts(self) -> None:
        if self.job.state in _AFTER_REPLICATION:
            assert len(self.job.secondaries) == self.job.params.n

    @invariant()
    def an_error_is_known_exactly_in_the_error_states_and_of_what_was_removed(self) -> None:
        was_removed = self.job.error == _GONE
        assert (self.job.error is not None) is (self.job.state in _ERROR_STATES or was_removed)
        assert self.job.final or not was_removed

    @invariant()
    def only_sealed_and_given_up_jobs_are_final(self) -> None:
        if self.job.final:
            assert self.job.state in _ERROR_STATES | {JobState.SEAL_OBJECT_DONE}
        assert self.job.final or self.job.state is not JobState.SEAL_OBJECT_DONE

    @invariant()
    def nothing_on_record_is_lost_or_counted_back(self) -> None:
        assert self.job.retries >= self.before.retries
        assert self.job.approval_round >= self.before.approval_round
        assert self.job.replaced[: len(self.before.replaced)] == self.before.replaced
        assert {r.redundancy_index for r in self.before.secondaries} - self.voided <= {
            r.redundancy_index for r in self.job.secondaries
        }


TestJob = Job.TestCase
TestJob.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
