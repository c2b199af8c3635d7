"""Any sequence of events: the table is the whole truth, and what is written stays consistent."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from greenray.protocol.errors import IllegalTransition
from greenray.protocol.job import (
    ERROR_STATES,
    TRANSITIONS,
    EventKind,
    JobError,
    JobEvent,
    JobState,
    SecondaryReceipt,
    apply,
)
from tests.support.protocol_values import approval_of, new_job

_ADDRESSES = st.sampled_from([f"sp{number}" for number in range(9)])
_INDICES = st.integers(-1, 6)
_ERROR = JobError("store-error", "disk", True)
_AFTER_REPLICATION = frozenset(s for s in JobState if s >= JobState.REPLICATE_OBJECT_DONE) - {
    JobState.REPLICATE_OBJECT_ERROR
}


@st.composite
def events(draw: st.DrawFn, kinds: st.SearchStrategy[EventKind]) -> JobEvent:
    kind = draw(kinds)
    match kind:
        case EventKind.APPROVALS_COLLECTED:
            addresses = draw(st.lists(_ADDRESSES, min_size=1, max_size=9))
            return JobEvent.approvals_collected(tuple(approval_of(a) for a in addresses))
        case EventKind.SECONDARY_FINISHED:
            receipt = SecondaryReceipt(draw(_INDICES), draw(_ADDRESSES), b"", b"")
            return JobEvent.secondary_finished(receipt)
        case EventKind.SECONDARY_REPLACED:
            return JobEvent.secondary_replaced(draw(_INDICES), draw(_ADDRESSES), "reason")
        case EventKind.SIGN_FINISHED:
            return JobEvent.sign_finished(draw(st.sampled_from(["AA", "BB"])))
        case EventKind.SEAL_FINISHED:
            return JobEvent.seal_finished(draw(st.integers(1, 9)), None)
        case (
            EventKind.UPLOAD_FAILED
            | EventKind.REPLICATE_FAILED
            | EventKind.SIGN_FAILED
            | EventKind.SEAL_FAILED
        ):
            return JobEvent.failed(kind, _ERROR, draw(st.none() | st.floats(0, 100)))
        case _:
            return JobEvent(kind)


class Job(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.job = new_job()
        self.before = self.job
        self.now = 0.0

    def happen(self, event: JobEvent) -> None:
        self.before, self.now = self.job, self.now + 1.0
        target = TRANSITIONS.get((self.job.state, event.kind))
        try:
            self.job = apply(self.job, event, self.now)
        except IllegalTransition:
            # Either the table has no such step, or the event contradicts the receipts.
            assert target is None or self.job.final or self.contradicts(event)
        else:
            assert self.job.state is target
            assert not self.before.final

    def contradicts(self, event: JobEvent) -> bool:
        held = {r.redundancy_index: r.operator_address for r in self.job.secondaries}
        if event.receipt is not None:
            index, address = event.receipt.redundancy_index, event.receipt.operator_address
            others = [a for i, a in held.items() if i != index]
            return not 0 <= index < self.job.params.n or address in others
        if event.replaced is not None:
            index = event.replaced.redundancy_index
            return not 0 <= index < self.job.params.n or index in held
        return event.kind is EventKind.REPLICATE_FINISHED and len(held) < self.job.params.n

    @rule(event=events(st.sampled_from(EventKind)))
    def anything_happens(self, event: JobEvent) -> None:
        self.happen(event)

    @precondition(lambda self: not self.job.final)
    @rule(data=st.data())
    def something_legal_happens(self, data: st.DataObject) -> None:
        legal = [kind for state, kind in TRANSITIONS if state is self.job.state]
        self.happen(data.draw(events(st.sampled_from(legal))))

    @precondition(lambda self: self.job.state is JobState.REPLICATE_OBJECT_DOING)
    @rule()
    def all_secondaries_finish(self) -> None:
        free = [f"free{number}" for number in range(6)]
        for index in range(self.job.params.n):
            if self.job.receipt(index) is None:
                self.happen(
                    JobEvent.secondary_finished(SecondaryReceipt(index, free[index], b"", b""))
                )
        self.happen(JobEvent(EventKind.REPLICATE_FINISHED))

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
    def an_error_is_known_exactly_in_the_error_states(self) -> None:
        assert (self.job.error is not None) is (self.job.state in ERROR_STATES)

    @invariant()
    def only_sealed_and_given_up_jobs_are_final(self) -> None:
        if self.job.final:
            assert self.job.state in ERROR_STATES | {JobState.SEAL_OBJECT_DONE}
        assert self.job.final or self.job.state is not JobState.SEAL_OBJECT_DONE

    @invariant()
    def nothing_on_record_is_lost_or_counted_back(self) -> None:
        assert self.job.attempt >= self.before.attempt
        assert self.job.approval_round >= self.before.approval_round
        assert self.job.replaced[: len(self.before.replaced)] == self.before.replaced
        assert {r.redundancy_index for r in self.before.secondaries} <= {
            r.redundancy_index for r in self.job.secondaries
        }


TestJob = Job.TestCase
TestJob.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
