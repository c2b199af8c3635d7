"""Which secondary holds which redundancy index, and who comes next when one fails.

The plan is a pure function of what the job has on record, so that a restarted task node reaches
the same assignment and finds its acknowledged batches at the same secondaries (design §5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from greenray.protocol.approvals import Approval
from greenray.protocol.errors import SecondariesExhausted, TooFewApprovals
from greenray.protocol.job import JobContext, Replacement, SecondaryReceipt


@dataclass(frozen=True, slots=True)
class ReplicationPlan:
    """Assignments of the redundancy indices that have no receipt yet.

    Index r takes the r-th approval. A failure on record gives its index the next spare, in the
    order of the failures. Each SP is used at most once per object: not where a receipt of it
    exists, not twice, and not again after it failed under the same approvals.
    """

    where: str
    """The object, for messages."""
    assigned: Mapping[int, Approval]
    spares: tuple[Approval, ...]
    exhausted: tuple[int, ...]
    """Indices whose secondary failed when no spare was left."""

    @classmethod
    def of(cls, job: JobContext) -> ReplicationPlan:
        """The plan of a job in its present approval round; raises as ``make``."""
        return cls.make(
            job.approvals,
            job.params.n,
            job.secondaries,
            job.replaced_in_round,
            where=job.object_info.name,
        )

    @classmethod
    def make(
        cls,
        approvals: Sequence[Approval],
        n: int,
        receipts: Iterable[SecondaryReceipt] = (),
        replaced: Iterable[Replacement] = (),
        *,
        not_accepted: Iterable[tuple[str, str]] = (),
        where: str = "",
    ) -> ReplicationPlan:
        """Args:
            approvals: of the present round, in the order that was recorded.
            n: number of redundancy indices, k + m.
            receipts: finished indices, of this round and of earlier ones.
            replaced: failures under these approvals, in the order that was recorded.
            not_accepted: (operator address, reason) of SPs without approval, for the message.

        Raises:
            TooFewApprovals: fewer usable approvals than indices without a receipt.
        """
        finished = {receipt.redundancy_index: receipt.operator_address for receipt in receipts}
        failures = tuple(replaced)
        unfinished = [index for index in range(n) if index not in finished]
        # A finished index leaves the plan with every SP it has consumed. What remains keeps its
        # order, so the other indices keep their secondaries whoever finishes first.
        consumed = set(finished.values())
        consumed.update(f.operator_address for f in failures if f.redundancy_index in finished)
        candidates = [a for a in usable(approvals) if a.sp_operator_address not in consumed]
        if len(candidates) < len(unfinished):
            raise _too_few(len(candidates), len(unfinished), not_accepted, where)

        assigned = dict(zip(unfinished, candidates, strict=False))
        spares = candidates[len(unfinished) :]
        exhausted = []
        for failure in failures:
            current = assigned.get(failure.redundancy_index)
            # The record of a failure may have been written twice; only the holder can fail.
            if current is None or current.sp_operator_address != failure.operator_address:
                continue
            if spares:
                assigned[failure.redundancy_index] = spares.pop(0)
            else:
                del assigned[failure.redundancy_index]
                exhausted.append(failure.redundancy_index)
        return cls(where, MappingProxyType(assigned), tuple(spares), tuple(exhausted))

    def assignments(self) -> dict[int, Approval]:
        """Redundancy index -> approval of its secondary, for all indices without a receipt.

        Raises:
            SecondariesExhausted: an index has nobody left.
        """
        if self.exhausted:
            listed = ", ".join(str(index) for index in sorted(self.exhausted))
            raise SecondariesExhausted(
                f"no approved secondary is left for redundancy index {listed}",
                self.where,
                "It is tried again with new approvals",
            )
        return dict(self.assigned)


def usable(approvals: Iterable[Approval]) -> tuple[Approval, ...]:
    """Approvals that accept, the first of each SP, in their order."""
    first: dict[str, Approval] = {}
    for approval in approvals:
        if not approval.refused_reason:
            first.setdefault(approval.sp_operator_address, approval)
    return tuple(first.values())


def _too_few(
    usable_count: int, needed: int, not_accepted: Iterable[tuple[str, str]], where: str
) -> TooFewApprovals:
    reasons = "; ".join(f"{address}: {reason}" for address, reason in not_accepted)
    return TooFewApprovals(
        f"{usable_count} usable approvals for {needed} redundancy indices"
        + (f" ({reasons})" if reasons else ""),
        where,
        "It is tried again; bring the missing storage providers back",
    )
