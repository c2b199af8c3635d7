"""What every JobStore promises. Subclasses give the fixtures ``store`` and ``clock``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from greenray.protocol.errors import (
    AlreadyUploaded,
    GroupNotOpen,
    IllegalTransition,
    InvalidInput,
    NoSuchJob,
    SealAccountWithoutFunds,
    StaleJob,
    TooFewApprovals,
)
from greenray.protocol.job import JobContext, JobError, JobState, SecondaryReceipt
from greenray.protocol.job_claims import is_claimable
from greenray.protocol.job_events import (
    ApprovalsCollected,
    GivenUp,
    JobEvent,
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
)
from greenray.protocol.objects import ObjectInfo, StorageParams
from greenray.storage.ports import (
    LONE_WRITER,
    Fence,
    GroupKey,
    GroupRow,
    IntegrityRecord,
    JobStore,
    JobUpdate,
    TransactionRow,
    TransactionState,
)
from tests.support.protocol_values import HELLO, PRIMARY, SECONDARIES, approval_of

PARAMS = StorageParams()
OTHER_SP = SECONDARIES[0]
SIGNER = "0x6f1C7ECc2E3E3F2C1eBc2c19bd4C4F0F1A4fE6b1"
LEASE_S = 30.0
DEADLINE_S = 86_400.0
FAILURE = JobError.of(TooFewApprovals("5 of 6"))
COINS = JobError.of(SealAccountWithoutFunds("no coins"))
SEGMENT = 16 * 1024 * 1024
LARGE = replace(HELLO, id=2, object_name="large", payload_size=9 * SEGMENT + 1)
"""Ten segments: batches of 4, 4 and 2."""


class Clock:
    def __init__(self, now: float = 1_700_000_000.25) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def sums(start: int, count: int) -> tuple[bytes, ...]:
    return tuple(bytes([start + i]) * 32 for i in range(count))


def record(object_id: int = 1, index: int = -1, sp: str = PRIMARY) -> IntegrityRecord:
    return IntegrityRecord(sp, object_id, index, sums(1, 2), b"\x00hash", b"\xffsignature")


def group(
    fence: Fence = LONE_WRITER, index: int = 3, sp: str = OTHER_SP, info: ObjectInfo = LARGE
) -> GroupRow:
    return GroupRow(GroupKey(sp, info.id, index, fence), info, PARAMS, 4, 0, (), 0.0)


def update(job: JobContext, event: JobEvent) -> JobUpdate:
    return JobUpdate(job.sp_address, job.job_id, job.epoch, job.state, event)


def receipt(index: int) -> SecondaryReceipt:
    return SecondaryReceipt(index, SECONDARIES[index], bytes([index]) * 32, bytes(65))


async def begin(
    store: JobStore, info: ObjectInfo = HELLO, owner: str = "uploader", sp: str = PRIMARY
) -> JobContext:
    return await store.begin_upload(sp, info, PARAMS, 4, owner, LEASE_S, DEADLINE_S)


async def uploaded(store: JobStore, info: ObjectInfo = HELLO, sp: str = PRIMARY) -> JobContext:
    job = await begin(store, info, sp=sp)
    done = update(job, UploadFinished())
    return await store.finish_upload(done, record(info.id, sp=sp))


async def after(store: JobStore, job: JobContext, *events: JobEvent) -> JobContext:
    for event in events:
        job = await store.apply(update(job, event))
    return job


async def parked(
    store: JobStore, info: ObjectInfo, look_at: float, waits_for: str = ""
) -> JobContext:
    error = replace(COINS, waits_for=waits_for or COINS.waits_for)
    job = await after(store, await signing(store, info), SignFailed(error, look_at))
    await store.release_job(job.sp_address, job.job_id, job.epoch)
    return job


async def signing(store: JobStore, info: ObjectInfo = HELLO) -> JobContext:
    job = await uploaded(store, info)
    (job,) = await store.claim_jobs("node", LEASE_S, 1)
    return await after(
        store,
        job,
        ReplicateStarted(),
        *(SecondaryFinished(receipt(i)) for i in range(6)),
        ReplicateFinished(),
        SignStarted(),
    )


def transaction(job: JobContext, nonce: int, tx_hash: str = "") -> TransactionRow:
    return TransactionRow(
        tx_hash or f"HASH{job.job_id}-{nonce}",
        job.sp_address,
        job.job_id,
        SIGNER,
        nonce,
        b"\x00\xffbytes",
        1234,
        TransactionState.RESERVED,
        1_700_000_000.5,
    )


async def reserve(store: JobStore, job: JobContext, row: TransactionRow) -> None:
    await store.reserve_transaction(row, job.epoch, job.state)


def states(job: JobContext) -> Sequence[JobState]:
    return [change.state for change in job.history]


class JobStoreContract:
    # --- uploads ---------------------------------------------------------------------------------

    async def test_events_of_one_update_are_recorded_together(self, store: JobStore) -> None:
        job = await uploaded(store)
        (job,) = await store.claim_jobs("node", LEASE_S, 1)
        job = await after(store, job, ReplicateStarted())
        receipts = tuple(SecondaryFinished(receipt(index)) for index in range(3))
        told = await store.apply(replace(update(job, receipts[0]), then=receipts[1:]))
        assert [r.redundancy_index for r in told.secondaries] == [0, 1, 2]
        assert await store.get_job(PRIMARY, job.object_id) == told

    async def test_an_event_that_is_illegal_undoes_those_before_it(self, store: JobStore) -> None:
        job = await uploaded(store)
        (job,) = await store.claim_jobs("node", LEASE_S, 1)
        wrong = update(job, ReplicateStarted())
        with pytest.raises(IllegalTransition):
            await store.apply(replace(wrong, then=(SignStarted(),)))
        assert await store.get_job(PRIMARY, job.object_id) == job

    async def test_a_new_upload_makes_an_owned_job(self, store: JobStore, clock: Clock) -> None:
        job = await begin(store)
        assert job.state is JobState.UPLOAD_OBJECT_DOING
        assert (job.owner, job.epoch) == ("uploader", 1)
        assert job.lease_expires_at == clock.now + LEASE_S
        assert job.deadline_at == clock.now + DEADLINE_S
        assert (job.object_info, job.params, job.batch_segments) == (HELLO, PARAMS, 4)
        assert await store.get_job(PRIMARY, HELLO.id) == job

    async def test_jobs_of_different_objects_and_providers_are_different(
        self, store: JobStore
    ) -> None:
        jobs = [await begin(store), await begin(store, LARGE), await begin(store, sp=OTHER_SP)]
        assert len({job.job_id for job in jobs}) == 3
        assert await store.get_job(OTHER_SP, HELLO.id) == jobs[2]
        assert await store.get_job(OTHER_SP, LARGE.id) is None

    async def test_an_id_that_the_chain_gave_to_another_object_gets_a_job_of_its_own(
        self, store: JobStore
    ) -> None:
        old = await uploaded(store)
        (old,) = await store.claim_jobs("node", LEASE_S, 1)
        other = replace(HELLO, create_at=HELLO.create_at + 60, checksums=HELLO.checksums[::-1])
        new = await begin(store, other)
        assert new.job_id != old.job_id
        assert new.epoch > old.epoch
        assert await store.job_of(PRIMARY, other.identity) == new
        assert await store.get_job(PRIMARY, HELLO.id) == new

    async def test_a_superseded_job_is_history_and_its_owner_writes_no_more(
        self, store: JobStore
    ) -> None:
        await uploaded(store)
        (old,) = await store.claim_jobs("node", LEASE_S, 1)
        await begin(store, replace(HELLO, create_at=HELLO.create_at + 60))
        ended = await store.job_of(PRIMARY, HELLO.identity)
        assert ended is not None
        assert (ended.job_id, ended.final, ended.owner) == (old.job_id, True, "")
        assert ended.error is not None
        assert ended.error.reason == "another-object"
        with pytest.raises(StaleJob):
            await store.apply(update(old, ReplicateStarted()))
        assert await store.claim_jobs("node", LEASE_S, 10) == ()

    async def test_fences_of_an_id_go_on_from_one_object_to_the_next(self, store: JobStore) -> None:
        old = await begin(store)
        old = await after(store, old, ApprovalsCollected((approval_of("sp"),)))
        new = await begin(store, replace(HELLO, create_at=HELLO.create_at + 60))
        assert (new.epoch, new.approval_round) == (old.epoch + 2, old.approval_round)

    async def test_a_sealed_job_stays_as_it_is_when_its_id_goes_to_another_object(
        self, store: JobStore
    ) -> None:
        sealed = await sealed_job(store)
        await begin(store, replace(HELLO, create_at=HELLO.create_at + 60))
        assert await store.job_of(PRIMARY, HELLO.identity) == sealed

    async def test_a_sealed_job_is_begun_again_as_another_one_for_the_same_object(
        self, store: JobStore, clock: Clock
    ) -> None:
        sealed = await sealed_job(store)
        clock.now += 100
        again = await store.begin_again(PRIMARY, sealed.job_id, DEADLINE_S)
        assert again.job_id != sealed.job_id
        assert (again.state, again.final, again.owner) == (JobState.UPLOAD_OBJECT_DONE, False, "")
        assert (again.object_info, again.params) == (sealed.object_info, sealed.params)
        assert again.epoch == sealed.epoch
        assert again.deadline_at == clock.now + DEADLINE_S
        assert await store.job_of(PRIMARY, HELLO.identity) == again
        assert await store.begin_again(PRIMARY, sealed.job_id, DEADLINE_S) == again
        (claimed,) = await store.claim_jobs("node", LEASE_S, 10)
        assert claimed.job_id == again.job_id

    async def test_a_job_that_was_given_up_is_begun_again_as_one_that_waits_for_its_payload(
        self, store: JobStore
    ) -> None:
        job = await uploaded(store)
        (claimed,) = await store.claim_jobs("node", LEASE_S, 10)
        job = await store.apply(update(claimed, ReplicateFailed(FAILURE)))
        job = await store.apply(update(job, GivenUp()))
        await reserve(store, job, transaction(job, 7))
        with pytest.raises(AlreadyUploaded):
            await begin(store)
        again = await store.begin_again(PRIMARY, job.job_id, DEADLINE_S)
        assert (again.state, again.final, again.owner) == (JobState.UPLOAD_OBJECT_ERROR, False, "")
        assert again.error is not None
        assert again.error.reason == "end-lost"
        (rejection,) = await store.get_transactions(PRIMARY, job.job_id)
        assert rejection.state is TransactionState.DEAD
        assert (await begin(store)).job_id == again.job_id

    async def test_only_a_job_that_has_ended_is_begun_again(self, store: JobStore) -> None:
        job = await uploaded(store)
        with pytest.raises(IllegalTransition):
            await store.begin_again(PRIMARY, job.job_id, DEADLINE_S)
        with pytest.raises(NoSuchJob):
            await store.begin_again(PRIMARY, job.job_id + 1, DEADLINE_S)

    async def test_of_jobs_that_are_parked_for_the_same_one_looks_for_all(
        self, store: JobStore, clock: Clock
    ) -> None:
        ids = range(1, 501)
        jobs = [await parked(store, replace(HELLO, id=one), clock.now + 10) for one in ids]
        other = await parked(store, replace(HELLO, id=1001), clock.now + 10, "a chain")
        healthy = await uploaded(store, replace(HELLO, id=1000))

        assert await store.next_due_in_s() == 0.0
        (claimed,) = await store.claim_jobs("node", LEASE_S, 10)
        assert claimed.job_id == healthy.job_id
        assert await store.next_due_in_s() == 10.0

        clock.now += 10
        looking = await store.claim_jobs("node", LEASE_S, 10)
        assert sorted(job.object_id for job in looking) == [1, other.object_id]
        assert await store.claim_jobs("node", LEASE_S, 10) == ()
        (look,) = (job for job in looking if job.object_id == 1)
        look = await after(store, look, RetryDue(), SignFailed(COINS, clock.now + 10))
        await store.release_job(look.sp_address, look.job_id, look.epoch)
        assert await store.next_due_in_s() == 10.0

        clock.now += 10
        (look,) = await store.claim_jobs("node", LEASE_S, 1)
        assert look.object_id == 2, "not the same one again"
        await after(store, look, RetryDue(), SignFinished("HASH"))
        assert await store.wake_parked(PRIMARY, COINS.waits_for) == len(jobs) - 1
        assert len(await store.claim_jobs("node", LEASE_S, 1000)) == len(jobs) - 1

    async def test_a_parked_job_whose_looker_is_gone_is_looked_at_after_a_lease(
        self, store: JobStore, clock: Clock
    ) -> None:
        first = await parked(store, HELLO, clock.now + 10)
        second = await parked(store, LARGE, clock.now + 11)
        clock.now += 12
        for job in (first, second):
            (looking,) = await store.claim_jobs("node", LEASE_S, 9)
            assert looking.job_id == job.job_id
            await after(store, looking, GivenUp())
            clock.now += LEASE_S
        assert await store.claim_jobs("node", LEASE_S, 9) == ()
        assert await store.next_due_in_s() is None

    @pytest.mark.parametrize("waits_for", ["", COINS.waits_for])
    async def test_a_retry_that_a_clock_ahead_has_put_off_is_due_when_the_clock_is_right_again(
        self, store: JobStore, clock: Clock, waits_for: str
    ) -> None:
        clock.now += 7200
        if waits_for:
            await parked(store, HELLO, clock.now + 1)
        else:
            job = await signing(store)
            await store.apply(update(job, SignFailed(FAILURE, clock.now + 1)))
            await store.release_job(PRIMARY, job.job_id, job.epoch)
        assert await store.claim_jobs("node", LEASE_S, 1) == ()
        assert await store.next_due_in_s() == 1.0
        clock.now -= 7200
        assert await store.next_due_in_s() == 0.0
        assert len(await store.claim_jobs("node", LEASE_S, 1)) == 1

    async def test_nobody_is_answered_for_an_object_that_has_no_job(self, store: JobStore) -> None:
        await begin(store)
        other = replace(HELLO, checksums=HELLO.checksums[::-1])
        assert await store.job_of(PRIMARY, other.identity) is None
        assert await store.job_of(OTHER_SP, HELLO.identity) is None

    async def test_an_object_id_may_have_64_bits(self, store: JobStore) -> None:
        job = await uploaded(store, replace(HELLO, id=2**64 - 1))
        assert await store.get_job(PRIMARY, 2**64 - 1) == job
        assert await store.get_integrity(PRIMARY, 2**64 - 1, -1) == record(2**64 - 1)

    async def test_a_second_upload_of_the_same_object_is_refused_while_one_runs(
        self, store: JobStore
    ) -> None:
        await begin(store)
        with pytest.raises(AlreadyUploaded):
            await begin(store, owner="other")

    async def test_of_two_uploads_at_once_one_wins(self, store: JobStore) -> None:
        outcomes = await asyncio.gather(
            *(begin(store, owner=f"uploader-{i}") for i in range(8)), return_exceptions=True
        )
        assert sorted(type(o).__name__ for o in outcomes) == 7 * ["AlreadyUploaded"] + [
            "JobContext"
        ]

    async def test_a_failed_upload_is_resumed_by_the_next(
        self, store: JobStore, clock: Clock
    ) -> None:
        job = await after(store, await begin(store), UploadFailed(FAILURE))
        clock.now += 100_000
        resumed = await begin(store, owner="second")
        assert (resumed.job_id, resumed.epoch) == (job.job_id, job.epoch + 1)
        assert resumed.error is None
        assert resumed.deadline_at == clock.now + DEADLINE_S
        assert states(resumed)[-1] is JobState.UPLOAD_OBJECT_DOING

    async def test_an_upload_whose_lease_ran_out_is_taken_over(
        self, store: JobStore, clock: Clock
    ) -> None:
        lost = await begin(store)
        clock.now += LEASE_S
        job = await begin(store, owner="second")
        assert (job.job_id, job.owner) == (lost.job_id, "second")
        assert states(job)[-2:] == [JobState.UPLOAD_OBJECT_ERROR, JobState.UPLOAD_OBJECT_DOING]
        with pytest.raises(StaleJob):
            await store.finish_upload(update(lost, UploadFinished()), record())
        assert await store.get_integrity(PRIMARY, HELLO.id, -1) is None

    async def test_finishing_an_upload_records_its_integrity_and_gives_up_the_lease(
        self, store: JobStore
    ) -> None:
        job = await uploaded(store)
        assert (job.state, job.owner) == (JobState.UPLOAD_OBJECT_DONE, "")
        assert await store.get_integrity(PRIMARY, HELLO.id, -1) == record()
        assert [j.job_id for j in await store.claim_jobs("node", LEASE_S, 5)] == [job.job_id]

    async def test_a_stored_payload_is_not_uploaded_again(self, store: JobStore) -> None:
        await uploaded(store)
        with pytest.raises(AlreadyUploaded):
            await begin(store)

    # --- events ----------------------------------------------------------------------------------

    async def test_every_field_of_a_job_comes_back_as_it_was(
        self, store: JobStore, clock: Clock
    ) -> None:
        job = await signing(store)
        other = replace(HELLO, object_name="\u00fcber/\U0001f600'\"", checksums=())
        foreign = approval_of(OTHER_SP, other, 2**62)
        clock.now += 0.1
        job = await after(
            store,
            job,
            SignFinished("AB" * 32),
            SealWatchStarted(),
            SealFailed(FAILURE, clock.now + 0.125),
            RetryDue(),
        )
        assert await store.get_job(PRIMARY, HELLO.id) == job
        second = await uploaded(store, other := replace(other, id=77))
        (second,) = await store.claim_jobs("node", LEASE_S, 1)
        second = await after(
            store,
            second,
            ReplicateStarted(),
            ApprovalsCollected((approval_of(PRIMARY, other), foreign)),
            SecondaryReplaced(1, OTHER_SP, "secondary-failed", "line\nbreak\0"),
            ReplicateFailed(FAILURE, 5.5),
        )
        assert await store.get_job(PRIMARY, 77) == second
        assert second.approvals[1].object_info != second.object_info

    async def test_an_event_of_an_earlier_epoch_is_stale(
        self, store: JobStore, clock: Clock
    ) -> None:
        await uploaded(store)
        (zombie,) = await store.claim_jobs("zombie", LEASE_S, 1)
        clock.now += LEASE_S
        (job,) = await store.claim_jobs("node", LEASE_S, 1)
        with pytest.raises(StaleJob):
            await store.apply(update(zombie, ReplicateStarted()))
        assert await store.get_job(PRIMARY, HELLO.id) == job

    async def test_an_event_expected_in_another_state_is_stale(self, store: JobStore) -> None:
        job = await begin(store)
        await after(store, job, UploadFailed(FAILURE))
        with pytest.raises(StaleJob):
            await store.apply(update(job, UploadFinished()))

    async def test_an_event_outside_the_table_is_refused_and_changes_nothing(
        self, store: JobStore
    ) -> None:
        job = await begin(store)
        with pytest.raises(IllegalTransition):
            await store.apply(update(job, SignStarted()))
        assert await store.get_job(PRIMARY, HELLO.id) == job

    async def test_an_event_for_no_job_or_another_providers_job_says_so(
        self, store: JobStore
    ) -> None:
        job = await begin(store)
        for stranger in (replace(job, job_id=99), replace(job, sp_address=OTHER_SP)):
            with pytest.raises(NoSuchJob):
                await store.apply(update(stranger, UploadFinished()))

    async def test_an_illegal_event_does_not_affect_those_that_arrive_with_it(
        self, store: JobStore
    ) -> None:
        jobs = [await begin(store, replace(HELLO, id=i)) for i in range(1, 31)]
        events: list[JobEvent] = [
            SignStarted() if job.object_id % 3 == 0 else UploadFinished() for job in jobs
        ]
        outcomes = await asyncio.gather(
            *(
                store.finish_upload(update(job, event), record(job.object_id))
                for job, event in zip(jobs, events, strict=True)
            ),
            return_exceptions=True,
        )
        for job, outcome in zip(jobs, outcomes, strict=True):
            found = await store.get_job(PRIMARY, job.object_id)
            integrity = await store.get_integrity(PRIMARY, job.object_id, -1)
            if job.object_id % 3 == 0:
                assert isinstance(outcome, IllegalTransition)
                assert (found, integrity) == (job, None)
            else:
                assert found == outcome
                assert integrity == record(job.object_id)

    async def test_events_of_one_job_that_arrive_together_keep_their_order(
        self, store: JobStore
    ) -> None:
        job = await uploaded(store)
        job = await after(store, job, ReplicateStarted())
        answers = await asyncio.gather(
            *(store.apply(update(job, SecondaryFinished(receipt(i)))) for i in range(6))
        )
        assert [len(a.secondaries) for a in answers] == [1, 2, 3, 4, 5, 6]
        assert await store.get_job(PRIMARY, HELLO.id) == answers[-1]

    # --- looking ---------------------------------------------------------------------------------

    async def test_a_job_is_found_by_the_name_of_its_object(self, store: JobStore) -> None:
        await begin(store)
        newer = await begin(store, replace(HELLO, id=9))
        await begin(store, LARGE)
        assert await store.find_job(HELLO.bucket_name, HELLO.object_name) == newer
        assert await store.find_job(HELLO.bucket_name, "nothing") is None

    async def test_jobs_are_listed_in_the_order_they_were_made(self, store: JobStore) -> None:
        sealed = await sealed_job(store)
        second = await begin(store, LARGE)
        third = await begin(store, sp=OTHER_SP)
        assert await store.list_jobs() == (sealed, second, third)
        assert await store.list_jobs(unfinished_only=True) == (second, third)

    # --- claiming --------------------------------------------------------------------------------

    async def test_claiming_takes_the_oldest_jobs_with_a_new_epoch_and_a_lease(
        self, store: JobStore, clock: Clock
    ) -> None:
        jobs = [await uploaded(store, replace(HELLO, id=i)) for i in (30, 20, 10)]
        claimed = await store.claim_jobs("node", LEASE_S, 2)
        assert [j.object_id for j in claimed] == [30, 20]
        assert [j.epoch for j in claimed] == [jobs[0].epoch + 1, jobs[1].epoch + 1]
        assert all(j.owner == "node" for j in claimed)
        assert all(j.lease_expires_at == clock.now + LEASE_S for j in claimed)
        assert [j.object_id for j in await store.claim_jobs("node", LEASE_S, 5)] == [10]
        assert await store.claim_jobs("node", LEASE_S, 5) == ()

    async def test_no_two_claims_get_the_same_job(self, store: JobStore) -> None:
        for i in range(20):
            await uploaded(store, replace(HELLO, id=i + 1))
        claims = await asyncio.gather(
            *(store.claim_jobs(f"node-{i}", LEASE_S, 3) for i in range(10))
        )
        ids = [job.object_id for claim in claims for job in claim]
        assert sorted(ids) == list(range(1, 21))

    async def test_uploads_and_final_jobs_are_not_claimed(
        self, store: JobStore, clock: Clock
    ) -> None:
        await sealed_job(store)
        await begin(store, LARGE)
        await after(store, await begin(store, sp=OTHER_SP), UploadFailed(FAILURE))
        clock.now += 1_000_000
        assert await store.claim_jobs("node", LEASE_S, 5) == ()
        assert await store.next_due_in_s() is None

    async def test_a_failed_job_is_claimed_when_it_is_due(
        self, store: JobStore, clock: Clock
    ) -> None:
        await uploaded(store)
        (job,) = await store.claim_jobs("node", LEASE_S, 1)
        job = await after(store, job, ReplicateFailed(FAILURE, clock.now + 60))
        await store.release_job(PRIMARY, job.job_id, job.epoch)
        assert await store.next_due_in_s() == 60
        assert await store.claim_jobs("node", LEASE_S, 1) == ()
        clock.now += 60
        assert await store.next_due_in_s() == 0
        (claimed,) = await store.claim_jobs("node", LEASE_S, 1)
        assert is_claimable(replace(claimed, owner=""), clock.now)

    async def test_jobs_that_wait_for_their_seal_are_counted(
        self, store: JobStore, clock: Clock
    ) -> None:
        await sealed_job(store)
        await begin(store, LARGE)
        assert await store.count_waiting() == 0
        await uploaded(store, replace(HELLO, id=7, object_name="another"))
        assert await store.count_waiting() == 1
        (job,) = await store.claim_jobs("node", LEASE_S, 1)
        job = await after(store, job, ReplicateFailed(FAILURE, clock.now + 60))
        assert await store.count_waiting() == 1
        await after(store, job, GivenUp())
        assert await store.count_waiting() == 0

    async def test_one_job_is_claimed_by_its_number_before_it_is_due(
        self, store: JobStore, clock: Clock
    ) -> None:
        await uploaded(store, replace(HELLO, id=7, object_name="another"))
        first = await uploaded(store)
        await store.claim_jobs("node", LEASE_S, 2)
        job = await store.get_job(PRIMARY, first.object_id)
        assert job is not None
        job = await after(store, job, ReplicateFailed(FAILURE, clock.now + 60))
        with pytest.raises(StaleJob, match="node is working on it"):
            await store.claim_job(PRIMARY, job.job_id, "person", LEASE_S)
        await store.release_job(PRIMARY, job.job_id, job.epoch)
        claimed = await store.claim_job(PRIMARY, job.job_id, "person", LEASE_S)
        assert claimed == replace(
            job, owner="person", epoch=job.epoch + 1, lease_expires_at=clock.now + LEASE_S
        )
        assert await store.get_job(PRIMARY, first.object_id) == claimed

    async def test_a_job_that_has_ended_or_is_not_there_is_not_claimed(
        self, store: JobStore, clock: Clock
    ) -> None:
        await uploaded(store)
        (job,) = await store.claim_jobs("node", LEASE_S, 1)
        job = await after(store, job, ReplicateFailed(FAILURE, None), GivenUp())
        with pytest.raises(IllegalTransition, match="has ended"):
            await store.claim_job(PRIMARY, job.job_id, "person", LEASE_S)
        for sp_address, job_id in ((OTHER_SP, job.job_id), (PRIMARY, job.job_id + 1)):
            with pytest.raises(NoSuchJob):
                await store.claim_job(sp_address, job_id, "person", LEASE_S)

    async def test_a_job_whose_lease_ran_out_is_claimed_by_another(
        self, store: JobStore, clock: Clock
    ) -> None:
        await uploaded(store)
        await store.claim_jobs("dead", LEASE_S, 1)
        assert await store.next_due_in_s() == LEASE_S
        clock.now += LEASE_S - 0.5
        assert await store.claim_jobs("node", LEASE_S, 1) == ()
        clock.now += 0.5
        assert len(await store.claim_jobs("node", LEASE_S, 1)) == 1

    async def test_renewed_leases_do_not_run_out(self, store: JobStore, clock: Clock) -> None:
        await uploaded(store)
        await uploaded(store, LARGE)
        await store.claim_jobs("node", LEASE_S, 1)
        await store.claim_jobs("other", LEASE_S, 1)
        clock.now += 20
        assert await store.renew_leases("node", LEASE_S) == 1
        clock.now += 20
        assert [j.object_id for j in await store.claim_jobs("third", LEASE_S, 5)] == [LARGE.id]
        assert await store.renew_leases("nobody", LEASE_S) == 0

    async def test_a_released_job_is_claimable_and_a_stale_release_is_ignored(
        self, store: JobStore, clock: Clock
    ) -> None:
        await uploaded(store)
        (first,) = await store.claim_jobs("first", LEASE_S, 1)
        await store.release_job(PRIMARY, first.job_id, first.epoch)
        (second,) = await store.claim_jobs("second", LEASE_S, 1)
        await store.release_job(PRIMARY, first.job_id, first.epoch)
        await store.release_job(PRIMARY, 99, 1)
        assert await store.get_job(PRIMARY, HELLO.id) == second

    async def test_release_all_frees_claimed_jobs_and_fails_unfinished_uploads(
        self, store: JobStore
    ) -> None:
        await uploaded(store)
        (claimed,) = await store.claim_jobs("dead", 1e6, 1)
        upload = await begin(store, LARGE)
        idle = await uploaded(store, replace(HELLO, id=50))
        assert await store.release_all() == 2
        lost = await store.get_job(PRIMARY, LARGE.id)
        assert lost is not None
        assert lost.state is JobState.UPLOAD_OBJECT_ERROR
        assert lost.error is not None
        assert lost.error.reason == "owner-lost"
        assert await store.get_job(PRIMARY, 50) == idle
        zombies: list[tuple[JobContext, JobEvent]] = [
            (claimed, ReplicateStarted()),
            (upload, UploadFinished()),
        ]
        for zombie, event in zombies:
            with pytest.raises(StaleJob):
                await store.apply(update(zombie, event))
        assert len(await store.claim_jobs("node", LEASE_S, 5)) == 2
        assert (await begin(store, LARGE)).owner == "uploader"

    async def test_release_process_frees_what_one_dead_process_owned_and_nothing_else(
        self, store: JobStore
    ) -> None:
        await uploaded(store)
        (dead,) = await store.claim_jobs("node-1", 1e6, 1)
        await uploaded(store, replace(HELLO, id=50))
        (alive,) = await store.claim_jobs("node-10", 1e6, 1)
        await uploaded(store, replace(HELLO, id=51))
        (part,) = await store.claim_jobs("node-1/upload-7", 1e6, 1)
        assert await store.release_process("node-1") == 2
        with pytest.raises(StaleJob):
            await store.apply(update(dead, ReplicateStarted()))
        with pytest.raises(StaleJob):
            await store.apply(update(part, ReplicateStarted()))
        await store.apply(update(alive, ReplicateStarted()))
        assert len(await store.claim_jobs("node-2", LEASE_S, 5)) == 2

    # --- integrity records -----------------------------------------------------------------------

    async def test_integrity_records_are_kept_by_provider_object_and_index(
        self, store: JobStore
    ) -> None:
        records = [record(1, -1), record(1, 0), record(1, 0, OTHER_SP), record(2, 0)]
        for number, one in enumerate(records):
            await store.put_integrity(replace(one, integrity_hash=bytes([number])))
        for number, one in enumerate(records):
            found = await store.get_integrity(one.sp_address, one.object_id, one.redundancy_index)
            assert found == replace(one, integrity_hash=bytes([number]))
        assert await store.get_integrity(PRIMARY, 2, 1) is None

    async def test_an_integrity_record_is_replaced_by_the_next(self, store: JobStore) -> None:
        await store.put_integrity(record())
        newer = replace(record(), piece_checksums=(), signature=b"")
        await store.put_integrity(newer)
        assert await store.get_integrity(PRIMARY, 1, -1) == newer

    # --- replicate groups ------------------------------------------------------------------------

    async def test_an_opened_group_is_returned_as_it_is(
        self, store: JobStore, clock: Clock
    ) -> None:
        opened = await store.open_group(group())
        assert opened == replace(group(), updated_at=clock.now)
        acknowledged = await store.acknowledge_batch(opened.key, 0, sums(1, 4))
        clock.now += 5
        assert await store.open_group(group()) == acknowledged

    async def test_batches_are_acknowledged_in_order(self, store: JobStore, clock: Clock) -> None:
        key = (await store.open_group(group())).key
        await store.acknowledge_batch(key, 0, sums(1, 4))
        clock.now += 1
        await store.acknowledge_batch(key, 1, sums(5, 4))
        row = await store.acknowledge_batch(key, 2, sums(9, 2))
        assert row.batches_acknowledged == 3
        assert row.piece_checksums == sums(1, 10)
        assert row.updated_at == clock.now
        assert await store.list_groups(OTHER_SP) == (row,)

    async def test_acknowledging_a_batch_again_changes_nothing(self, store: JobStore) -> None:
        key = (await store.open_group(group())).key
        await store.acknowledge_batch(key, 0, sums(1, 4))
        row = await store.acknowledge_batch(key, 1, sums(5, 4))
        assert await store.acknowledge_batch(key, 1, sums(5, 4)) == row
        assert await store.acknowledge_batch(key, 0, sums(1, 4)) == row
        with pytest.raises(StaleJob):
            await store.acknowledge_batch(key, 0, sums(2, 4))
        assert await store.list_groups(OTHER_SP) == (row,)

    async def test_a_batch_out_of_turn_or_of_the_wrong_length_is_refused(
        self, store: JobStore
    ) -> None:
        key = (await store.open_group(group())).key
        with pytest.raises(StaleJob):
            await store.acknowledge_batch(key, 1, sums(1, 4))
        for batch_index, count in ((0, 3), (0, 0), (2, 4), (3, 1), (-1, 4)):
            with pytest.raises(InvalidInput):
                await store.acknowledge_batch(key, batch_index, sums(1, count))

    async def test_a_batch_for_no_open_group_is_refused(self, store: JobStore) -> None:
        await store.open_group(group(fence=Fence(0)))
        with pytest.raises(GroupNotOpen):
            await store.acknowledge_batch(group(fence=Fence(1)).key, 0, sums(1, 4))

    async def test_finishing_a_group_records_it_and_removes_older_fences(
        self, store: JobStore
    ) -> None:
        rows = [await store.open_group(group(Fence(fence))) for fence in (0, 1, 2)]
        neighbour = await store.open_group(group(index=4))
        own = record(LARGE.id, 3, OTHER_SP)
        await store.finish_group(rows[1].key, own)
        assert await store.get_integrity(OTHER_SP, LARGE.id, 3) == own
        assert await store.list_groups(OTHER_SP) == (rows[2], neighbour)

    async def test_a_dropped_group_is_gone_and_others_stay(self, store: JobStore) -> None:
        row = await store.open_group(group())
        other = await store.open_group(group(fence=Fence(1)))
        await store.drop_group(row.key)
        await store.drop_group(row.key)
        assert await store.list_groups(OTHER_SP) == (other,)

    async def test_idle_groups_of_one_provider_are_listed(
        self, store: JobStore, clock: Clock
    ) -> None:
        idle = await store.open_group(group())
        busy = await store.open_group(group(fence=Fence(1)))
        await store.open_group(group(sp=PRIMARY))
        clock.now += 100
        await store.acknowledge_batch(busy.key, 0, sums(1, 4))
        clock.now += 50
        assert await store.list_groups(OTHER_SP, idle_for_s=150) == (idle,)
        assert len(await store.list_groups(OTHER_SP, idle_for_s=50)) == 2
        assert await store.list_groups(OTHER_SP, idle_for_s=151) == ()

    # --- transactions ----------------------------------------------------------------------------

    async def test_a_reserved_transaction_is_kept_with_its_bytes(self, store: JobStore) -> None:
        job = await signing(store)
        row = transaction(job, 5)
        await reserve(store, job, row)
        assert await store.get_transactions(PRIMARY, job.job_id) == (row,)
        assert await store.list_reserved(SIGNER) == (row,)
        assert await store.get_transactions(OTHER_SP, job.job_id) == ()

    async def test_a_nonce_is_not_reserved_for_a_stale_job(self, store: JobStore) -> None:
        job = await signing(store)
        stale_epoch = replace(job, epoch=job.epoch - 1)
        other_state = replace(job, state=JobState.SIGN_OBJECT_DONE)
        for stale in (stale_epoch, other_state):
            with pytest.raises(StaleJob):
                await reserve(store, stale, transaction(job, 5))
        with pytest.raises(NoSuchJob):
            await reserve(store, job, replace(transaction(job, 5), job_id=99))
        assert await store.list_reserved(SIGNER) == ()

    async def test_a_living_nonce_is_not_reserved_twice(self, store: JobStore) -> None:
        jobs = [await signing(store, replace(HELLO, id=i)) for i in range(1, 9)]
        outcomes = await asyncio.gather(
            *(reserve(store, job, transaction(job, 5)) for job in jobs), return_exceptions=True
        )
        assert [type(o) for o in outcomes] == [type(None)] + 7 * [StaleJob]
        for state in (TransactionState.COMMITTED, TransactionState.FAILED):
            job = jobs.pop()
            row = transaction(job, 10 + len(jobs))
            await reserve(store, job, row)
            await store.mark_transaction(row.tx_hash, state)
            with pytest.raises(StaleJob):
                await reserve(store, jobs[1], transaction(jobs[1], row.nonce))

    async def test_the_nonce_of_a_dead_transaction_is_free(self, store: JobStore) -> None:
        job = await signing(store)
        dead = transaction(job, 5, "FIRST")
        await reserve(store, job, dead)
        await store.mark_transaction("FIRST", TransactionState.DEAD)
        await reserve(store, job, transaction(job, 5, "SECOND"))
        found = await store.get_transactions(PRIMARY, job.job_id)
        assert [(t.tx_hash, t.state) for t in found] == [
            ("FIRST", TransactionState.DEAD),
            ("SECOND", TransactionState.RESERVED),
        ]

    async def test_the_same_bytes_may_be_reserved_again_after_they_were_dead(
        self, store: JobStore
    ) -> None:
        job = await signing(store)
        row = transaction(job, 5)
        await reserve(store, job, row)
        await store.mark_transaction(row.tx_hash, TransactionState.DEAD)
        await reserve(store, job, row)
        assert await store.get_transactions(PRIMARY, job.job_id) == (row,)

    async def test_a_job_has_one_transaction_on_its_way_at_most(self, store: JobStore) -> None:
        job = await signing(store)
        row = transaction(job, 5)
        await reserve(store, job, row)
        with pytest.raises(StaleJob):
            await reserve(store, job, transaction(job, 6))
        await store.mark_transaction(row.tx_hash, TransactionState.FAILED)
        await reserve(store, job, transaction(job, 6))
        assert len(await store.get_transactions(PRIMARY, job.job_id)) == 2

    async def test_reserved_transactions_are_listed_in_nonce_order(self, store: JobStore) -> None:
        for object_id, nonce in ((1, 7), (2, 5), (3, 6)):
            job = await signing(store, replace(HELLO, id=object_id))
            await reserve(store, job, transaction(job, nonce))
        await store.mark_transaction(f"HASH{job.job_id}-6", TransactionState.COMMITTED)
        assert [t.nonce for t in await store.list_reserved(SIGNER)] == [5, 7]
        assert await store.list_reserved(PRIMARY) == ()

    async def test_nonces_of_lost_blocks_are_free_again_and_no_others(
        self, store: JobStore
    ) -> None:
        rows = {}
        for nonce, state in (
            (5, TransactionState.COMMITTED),
            (6, TransactionState.COMMITTED),
            (7, TransactionState.FAILED),
            (8, None),
        ):
            job = await signing(store, replace(HELLO, id=nonce))
            await reserve(store, job, transaction(job, nonce))
            rows[nonce] = job
            if state is not None:
                await store.mark_transaction(f"HASH{job.job_id}-{nonce}", state)
        assert await store.return_nonces(PRIMARY, 0) == 0
        assert await store.return_nonces(SIGNER, 6) == 2
        states = {}
        for nonce, job in rows.items():
            [row] = await store.get_transactions(PRIMARY, job.job_id)
            states[nonce] = row.state.value
        assert states == {5: "committed", 6: "dead", 7: "dead", 8: "reserved"}
        await reserve(store, rows[7], transaction(rows[7], 6, "AGAIN"))

    async def test_what_is_in_a_block_stays_there(self, store: JobStore) -> None:
        job = await signing(store)
        row = transaction(job, 5)
        await reserve(store, job, row)
        await store.mark_transaction(row.tx_hash, TransactionState.COMMITTED)
        await store.mark_transaction(row.tx_hash, TransactionState.COMMITTED)
        with pytest.raises(IllegalTransition):
            await store.mark_transaction(row.tx_hash, TransactionState.DEAD)
        with pytest.raises(InvalidInput):
            await store.mark_transaction("UNKNOWN", TransactionState.DEAD)


async def sealed_job(store: JobStore) -> JobContext:
    job = await signing(store)
    job = await after(
        store,
        job,
        SignFinished("AB" * 32),
        SealWatchStarted(),
        SealFinished(17, "CD" * 32),
    )
    assert job.final
    await store.release_job(PRIMARY, job.job_id, job.epoch)
    return replace(job, owner="", lease_expires_at=0.0)
