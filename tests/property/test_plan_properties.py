"""Replication under any order of successes and failures, over several approval rounds."""

from __future__ import annotations

import pickle

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from greenray.protocol.errors import SecondariesExhausted, TooFewApprovals
from greenray.protocol.job import JobContext, JobError
from greenray.protocol.job_events import (
    ApprovalsCollected,
    JobEvent,
    ReplicateFailed,
    ReplicateStarted,
    RetryDue,
    SecondaryFinished,
    SecondaryReplaced,
    UploadFinished,
    UploadStarted,
)
from greenray.protocol.job_table import apply
from greenray.protocol.objects import StorageParams
from greenray.protocol.replication_plan import ReplicationPlan
from tests.support.protocol_values import approval_of, job_after, new_job, receipt_of

_ADDRESSES = [f"sp{number}" for number in range(10)]


class Replication(RuleBasedStateMachine):
    """Keeps its own simple model: who holds what, and which spares are left, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.job = new_job()
        self.holders: dict[int, str] = {}
        self.spares: list[str] = []
        self.exhausted: set[int] = set()
        self.asked_in_round: list[str] = []

    def record(self, event: JobEvent) -> None:
        self.job = apply(self.job, event, 0.0)

    @property
    def finished(self) -> dict[int, str]:
        return {r.redundancy_index: r.operator_address for r in self.job.secondaries}

    @initialize(k=st.integers(1, 4), m=st.integers(0, 3))
    def start(self, k: int, m: int) -> None:
        params = StorageParams(redundant_data_chunk_num=k, redundant_parity_chunk_num=m)
        self.job = job_after(
            UploadStarted(),
            UploadFinished(),
            ReplicateStarted(),
            job=new_job(params),
        )

    @precondition(lambda self: not self.job.approvals)
    @rule(addresses=st.lists(st.sampled_from(_ADDRESSES), max_size=14))
    def approvals_arrive(self, addresses: list[str]) -> None:
        held = set(self.finished.values())
        fresh = [a for a in dict.fromkeys(addresses) if a not in held]
        open_indices = [i for i in range(self.job.params.n) if i not in self.finished]
        approvals = tuple(approval_of(a) for a in addresses)
        if len(fresh) < len(open_indices):
            try:
                ReplicationPlan.make(approvals, self.job.params.n, self.job.secondaries)
            except TooFewApprovals:
                return
            raise AssertionError("too few approvals made a plan")
        if not approvals:
            return
        self.record(ApprovalsCollected(approvals))
        self.holders = dict(zip(open_indices, fresh, strict=False))
        self.spares = fresh[len(open_indices) :]
        self.exhausted = set()
        self.asked_in_round = list(self.holders.values())

    @precondition(lambda self: self.holders)
    @rule(data=st.data())
    def secondary_finishes(self, data: st.DataObject) -> None:
        index = data.draw(st.sampled_from(sorted(self.holders)))
        self.record(SecondaryFinished(receipt_of(index, self.holders.pop(index))))

    @precondition(lambda self: self.holders)
    @rule(data=st.data(), twice=st.booleans())
    def secondary_fails(self, data: st.DataObject, twice: bool) -> None:
        index = data.draw(st.sampled_from(sorted(self.holders)))
        failed = self.holders.pop(index)
        for _ in range(1 + twice):
            self.record(SecondaryReplaced(index, failed, "secondary-timeout"))
        if self.spares:
            self.holders[index] = self.spares.pop(0)
            self.asked_in_round.append(self.holders[index])
        else:
            self.exhausted.add(index)

    @precondition(lambda self: self.job.approvals)
    @rule()
    def replication_is_retried(self) -> None:
        error = JobError("secondaries-exhausted", "", True)
        self.record(ReplicateFailed(error, 1.0))
        self.record(RetryDue())
        self.holders, self.spares, self.exhausted = {}, [], set()

    @precondition(lambda self: self.job.approvals)
    @invariant()
    def plan_made_anew_from_the_record_is_the_same(self) -> None:
        plan = ReplicationPlan.of(_restarted(self.job))
        assert {i: a.sp_operator_address for i, a in plan.assigned.items()} == self.holders
        assert [a.sp_operator_address for a in plan.spares] == self.spares
        assert set(plan.exhausted) == self.exhausted
        try:
            assert plan.assignments() == dict(plan.assigned)
            assert not self.exhausted
        except SecondariesExhausted:
            assert self.exhausted

    @invariant()
    def no_provider_is_used_twice(self) -> None:
        used = [*self.finished.values(), *self.holders.values()]
        assert len(set(used)) == len(used)
        assert len(set(self.asked_in_round)) == len(self.asked_in_round)


def _restarted(job: JobContext) -> JobContext:
    """What another process knows of the job: the row, nothing else."""
    copy: JobContext = pickle.loads(pickle.dumps(job))
    return copy


TestReplication = Replication.TestCase
TestReplication.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
