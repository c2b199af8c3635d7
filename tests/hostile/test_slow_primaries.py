"""Primaries that send replicate groups slowly, many times, or without an approval."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from greenray.actors.credit.lending import Borrower
from greenray.actors.credit.lending_pool import LendingPool
from greenray.actors.credit.settings import LendingSettings
from greenray.actors.ports import GroupOrder, ReceiverPort
from greenray.actors.receiver.group_intake import GroupIntake
from greenray.actors.receiver.replicate_piece import (
    APPROVAL_HEADER,
    INTEGRITY_HASH_HEADER,
    OBJECT_ID_HEADER,
    PIECE_SIZE_HEADER,
    REDUNDANCY_INDEX_HEADER,
    receive_group,
)
from greenray.actors.receiver.settings import ReceiverSettings
from greenray.chain.crypto import sign_bytes
from greenray.protocol.approvals import Approval, approval_sign_bytes, approval_to_header
from greenray.protocol.errors import ApprovalError, GreenrayError, GroupNotOpen, Overloaded
from greenray.protocol.objects import StorageParams
from greenray.storage.ports import GroupKey
from tests.support.faulty_secondaries import PassingReceiver
from tests.support.groups import ObjectGroups, approve
from tests.support.receiver_rig import NOTHING, ReceiverRig

MIB = 1 << 20
GROUP_BYTES = 15 * MIB
PARAMS = StorageParams(max_segment_size_bytes=64 * MIB)
ENOUGH_S = 30.0


class CountedReceiver(PassingReceiver):
    """``most_open``: how many groups were open at a time."""

    def __init__(self, honest: ReceiverPort) -> None:
        super().__init__(honest)
        self._open = 0
        self.most_open = 0

    async def open(self, sp_address: str, order: GroupOrder) -> int:
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        return await super().open(sp_address, order)

    async def abort(self, sp_address: str, key: GroupKey) -> None:
        await super().abort(sp_address, key)
        self._open -= 1


class StandingBody:
    """A body that begins, and then stands still; ``begun`` is set when more of it is asked for."""

    def __init__(self, beginning: bytes) -> None:
        self._beginning = beginning
        self.begun = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._beginning
        self.begun.set()
        await asyncio.Event().wait()


async def whole(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), MIB):
        yield body[start : start + MIB]


def headers_of(groups: ObjectGroups, approval: Approval, index: int) -> Mapping[str, str]:
    return {
        OBJECT_ID_HEADER: str(groups.info.id),
        PIECE_SIZE_HEADER: str(GROUP_BYTES),
        REDUNDANCY_INDEX_HEADER: str(index),
        APPROVAL_HEADER: approval_to_header(approval),
    }


def intake_of(budget_bytes: int, least_bytes_per_s: int = 0) -> GroupIntake:
    settings = LendingSettings(memory_wait_s=ENOUGH_S)
    pool = LendingPool(
        budget_bytes,
        settings,
        what="replicate groups",
        least_bytes_per_s=least_bytes_per_s,
        patience_s=0.05,
        judged_s=0.1,
    )
    return GroupIntake(pool)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[ReceiverRig]:
    rig = ReceiverRig.create(tmp_path, PARAMS)
    rig.settings = ReceiverSettings()
    yield rig
    await rig.close()


async def test_of_forty_requests_with_one_approval_one_has_memory(rig: ReceiverRig) -> None:
    groups = rig.put_object(4 * GROUP_BYTES)
    receiver = CountedReceiver(rig.start())
    intake, address = intake_of(64 * MIB), rig.secondary.address
    headers = headers_of(groups, approve(rig.secondary, groups.info), 0)
    attempts: list[asyncio.Task[dict[str, str]]] = []
    for _ in range(40):
        body = StandingBody(groups.columns[0][:MIB])
        attempt = receive_group(receiver, address, headers, aiter(body), intake=intake)
        attempts.append(asyncio.create_task(attempt))
        await body.begun.wait()
        assert intake.buffers.lent_bytes <= 16 * MIB
    # A primary that has lost its connection comes again, and is not kept out by what is left of it.
    body_again = whole(groups.columns[0])
    answer = await receive_group(receiver, address, headers, body_again, intake=intake)
    assert answer[INTEGRITY_HASH_HEADER] == groups.info.checksums[1].hex()
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {GroupNotOpen}
    assert receiver.most_open == 1
    assert intake.buffers.lent_bytes == 0
    assert (await rig.leftovers())[1:] == NOTHING[1:]


async def test_forty_requests_with_one_approval_at_once_leave_nothing_behind(
    rig: ReceiverRig,
) -> None:
    groups = rig.put_object(4 * GROUP_BYTES)
    receiver = CountedReceiver(rig.start())
    intake, address = intake_of(64 * MIB), rig.secondary.address
    headers = headers_of(groups, approve(rig.secondary, groups.info), 0)
    outcomes = await asyncio.gather(
        *(
            receive_group(receiver, address, headers, whole(groups.columns[0]), intake=intake)
            for _ in range(40)
        ),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, GreenrayError)]
    assert len(refused) == 39
    assert {type(refusal) for refusal in refused} == {GroupNotOpen}
    assert receiver.most_open == 1
    assert rig.stored(groups, 0) == groups.columns[0]
    assert (await rig.leftovers())[1:] == NOTHING[1:]


async def test_groups_that_stand_still_give_their_memory_to_others(rig: ReceiverRig) -> None:
    groups = rig.put_object(4 * GROUP_BYTES)
    receiver, intake, address = rig.start(), intake_of(48 * MIB), rig.secondary.address
    approval = approve(rig.secondary, groups.info)
    slow: list[asyncio.Task[dict[str, str]]] = []
    for index in range(2):
        body = StandingBody(groups.columns[index][:MIB])
        attempt = receive_group(
            receiver,
            address,
            headers_of(groups, approval, index),
            aiter(body),
            intake=intake,
            borrower=Borrower(address="10.0.0.1"),
        )
        slow.append(asyncio.create_task(attempt))
        await body.begun.wait()
    async with asyncio.timeout(ENOUGH_S):
        answer = await receive_group(
            receiver,
            address,
            headers_of(groups, approval, 2),
            whole(groups.columns[2]),
            intake=intake,
            borrower=Borrower(address="10.0.0.2"),
        )
    assert answer[INTEGRITY_HASH_HEADER] == groups.info.checksums[3].hex()
    for sending in slow:
        sending.cancel()
    outcomes = await asyncio.gather(*slow, return_exceptions=True)
    assert [type(one) for one in outcomes].count(Overloaded) == 1
    assert intake.buffers.lent_bytes == 0


async def test_for_an_approval_of_nobody_the_chain_is_not_asked(rig: ReceiverRig) -> None:
    groups = rig.put_object(4 * GROUP_BYTES)
    forged = Approval(groups.info, rig.secondary.address, 1 << 40)
    signature = sign_bytes(rig.other.operator, approval_sign_bytes(forged))
    unknown = replace(groups.info, id=999)
    for approval, index in (
        (replace(forged, signature=signature), 0),
        (replace(forged, object_info=unknown, signature=bytes(65)), 0),
    ):
        headers = headers_of(replace(groups, info=approval.object_info), approval, index)
        asked = rig.chain.calls.copy()
        with pytest.raises(ApprovalError, match="sign"):
            await receive_group(
                rig.start(),
                rig.secondary.address,
                headers,
                whole(groups.columns[0]),
                intake=intake_of(64 * MIB),
            )
        assert rig.chain.calls == asked
