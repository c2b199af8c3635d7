from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.p2p.actor import (
    APPROVAL_VALIDITY_S,
    P2P,
    ROUNDS_AT_ONCE,
)
from greenray.actors.p2p.settings import P2PSettings
from greenray.actors.p2p.transport import PeerTransport
from greenray.actors.ports import ApprovalRound
from greenray.chain.crypto import sign_bytes
from greenray.chain.dialects import get_dialect
from greenray.chain.dialects.v0_2.p2p_wire import (
    decode_approval,
    decode_request,
    encode_approval,
    encode_request,
)
from greenray.protocol.approvals import Approval, approval_sign_bytes, request_sign_bytes
from greenray.protocol.errors import ComponentUnavailable
from greenray.protocol.objects import ObjectInfo, ProviderStatus, StorageProvider
from tests.support.fake_chain import FakeChain
from tests.support.sps import KeySigner, SpKeys

NOW = 1_700_000_000.0
SPS = [SpKeys.numbered(i) for i in range(9)]
PRIMARY = SPS[0]


def chain_with(count: int) -> tuple[FakeChain, ObjectInfo]:
    chain = FakeChain([sp.provider() for sp in SPS[:count]])
    chain.add_bucket("0x1C5A77d9FA7eF466951B2F01F724BCa3A5820b63", "bucket", PRIMARY.address)
    info = chain.add_object("bucket", "dir/ä <&>.bin", 5, tuple([bytes(32)] * 7))
    return chain, info


def node(chain: FakeChain, transport: PeerTransport | None = None, grace_s: float = 0.05) -> P2P:
    return P2P(
        hosted=[sp.address for sp in SPS],
        providers=ProviderBook(chain, lambda: NOW),
        signer=KeySigner(SPS),
        dialect=get_dialect(),
        clock=lambda: NOW,
        settings=P2PSettings(spare_grace_s=grace_s),
        transport=transport,
    )


class Tampering(PeerTransport):
    """Changes what one peer answers; everybody else is honest."""

    def __init__(self, honest: P2P, victim: str, change: Callable[[bytes], bytes | None]) -> None:
        self._honest = honest
        self._victim = victim
        self._change = change

    async def request_approval(self, provider: StorageProvider, message: bytes) -> bytes | None:
        answer = await self._honest.answer(provider.operator_address, message)
        assert answer is not None
        return self._change(answer) if provider.operator_address == self._victim else answer


async def ask(p2p: P2P, info: ObjectInfo, timeout_s: float = 5.0) -> ApprovalRound:
    return await p2p.get_secondary_approvals(info, PRIMARY.address, 6, timeout_s)


async def test_six_other_sps_approve_and_sign_the_object() -> None:
    chain, info = chain_with(7)
    answers = await ask(node(chain), info)
    assert {a.sp_operator_address for a in answers.accepted} == {s.address for s in SPS[1:7]}
    assert all(a.expired_time == NOW + APPROVAL_VALIDITY_S for a in answers.accepted)
    assert all(a.object_info == info for a in answers.accepted)
    assert answers.not_accepted == ()


async def test_spare_approvals_are_kept_when_there_are_more_sps() -> None:
    chain, info = chain_with(9)
    answers = await ask(node(chain), info)
    assert len(answers.accepted) == 8


async def test_a_jailed_sp_is_not_asked() -> None:
    chain, info = chain_with(7)
    chain.providers[3] = replace(chain.providers[3], status=ProviderStatus.STATUS_IN_JAILED)
    answers = await ask(node(chain), info)
    assert SPS[3].address not in {a.sp_operator_address for a in answers.accepted}
    assert len(answers.accepted) == 5


def signed(approval: Approval, key: bytes) -> bytes:
    return encode_approval(
        replace(approval, signature=sign_bytes(key, approval_sign_bytes(approval)))
    )


def change(**fields: Any) -> Callable[[bytes], bytes]:
    def apply(answer: bytes) -> bytes:
        approval = replace(decode_approval(answer), **fields)
        return signed(approval, SPS[2].operator)

    return apply


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (lambda answer: None, "no-answer"),
        (lambda answer: answer[:40], "invalid-input"),
        (change(expired_time=int(NOW)), "expired"),
        (change(refused_reason="disk full"), "refused: disk full"),
        (change(sp_operator_address=SPS[3].address), "another SP"),
        (
            lambda answer: signed(replace(decode_approval(answer)), SPS[3].operator),
            "signed by someone else",
        ),
    ],
    ids=["silent", "cut short", "expired", "refused", "in another's name", "foreign signature"],
)
async def test_a_bad_answer_is_left_out_and_named_with_its_reason(
    tamper: Callable[[bytes], bytes | None], reason: str
) -> None:
    chain, info = chain_with(7)
    victim = SPS[2].address
    answers = await ask(node(chain, Tampering(node(chain), victim, tamper)), info)
    assert len(answers.accepted) == 5
    assert [sp for sp, _ in answers.not_accepted] == [victim]
    assert reason in answers.not_accepted[0][1]


async def test_an_approval_for_another_object_is_left_out() -> None:
    chain, info = chain_with(7)
    other = replace(info, id=77)
    answers = await ask(
        node(chain, Tampering(node(chain), SPS[2].address, change(object_info=other))), info
    )
    assert "another object" in dict(answers.not_accepted)[SPS[2].address]


class BlackHole:
    """One peer never answers, and its connection never breaks."""

    def __init__(self, honest: P2P, victim: str) -> None:
        self._honest = honest
        self._victim = victim

    async def request_approval(self, provider: StorageProvider, message: bytes) -> bytes | None:
        if provider.operator_address == self._victim:
            await asyncio.Event().wait()
        return await self._honest.answer(provider.operator_address, message)


async def test_a_silent_sp_does_not_hold_up_a_round_that_has_enough() -> None:
    chain, info = chain_with(8)
    answers = await ask(node(chain, BlackHole(node(chain), SPS[4].address)), info, timeout_s=3600)
    assert len(answers.accepted) == 6
    assert dict(answers.not_accepted) == {SPS[4].address: "no-answer"}


async def test_the_round_ends_at_the_timeout_when_too_few_answer() -> None:
    chain, info = chain_with(7)
    answers = await ask(node(chain, BlackHole(node(chain), SPS[4].address)), info, timeout_s=0.1)
    assert len(answers.accepted) == 5


class Gate:
    """Counts the rounds that are asked, and answers when it is opened."""

    def __init__(self, honest: P2P) -> None:
        self._honest = honest
        self.asked: set[bytes] = set()
        self.is_open = asyncio.Event()
        self.turns_taken = asyncio.Event()

    async def request_approval(self, provider: StorageProvider, message: bytes) -> bytes | None:
        self.asked.add(message)
        if len(self.asked) == ROUNDS_AT_ONCE:
            self.turns_taken.set()
        await self.is_open.wait()
        return await self._honest.answer(provider.operator_address, message)


async def test_rounds_that_begin_together_are_asked_in_turns() -> None:
    chain, info = chain_with(7)
    gate = Gate(node(chain))
    p2p = node(chain, gate)
    rounds = [
        asyncio.create_task(ask(p2p, replace(info, id=number), timeout_s=3600))
        for number in range(1, ROUNDS_AT_ONCE + 20)
    ]
    await gate.turns_taken.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(gate.asked) == ROUNDS_AT_ONCE
    gate.is_open.set()
    assert [len(one.accepted) for one in await asyncio.gather(*rounds)] == [6] * len(rounds)


async def test_the_time_of_a_round_begins_with_its_turn() -> None:
    chain, info = chain_with(7)
    gate = Gate(node(chain))
    p2p = node(chain, gate)
    first = [
        asyncio.create_task(ask(p2p, replace(info, id=number), timeout_s=0.2))
        for number in range(1, ROUNDS_AT_ONCE + 1)
    ]
    await gate.turns_taken.wait()
    behind = asyncio.create_task(ask(p2p, replace(info, id=9999), timeout_s=3600))
    assert all(not one.accepted for one in await asyncio.gather(*first))
    gate.is_open.set()
    assert len((await behind).accepted) == 6


async def test_an_unreachable_sp_is_named() -> None:
    class Down:
        async def request_approval(self, provider: StorageProvider, message: bytes) -> bytes:
            raise ComponentUnavailable("connection refused", provider.operator_address)

    chain, info = chain_with(7)
    answers = await ask(node(chain, Down()), info)
    assert answers.accepted == ()
    assert all("connection refused" in reason for _, reason in answers.not_accepted)


async def request_of(key: bytes, chain: FakeChain, info: ObjectInfo) -> bytes:
    from greenray.protocol.approvals import ApprovalRequest

    request = ApprovalRequest(info, PRIMARY.address)
    return encode_request(replace(request, signature=sign_bytes(key, request_sign_bytes(request))))


async def test_a_request_with_a_foreign_signature_is_dropped() -> None:
    chain, info = chain_with(7)
    message = await request_of(SPS[5].operator, chain, info)
    assert await node(chain).answer(SPS[1].address, message) is None


async def test_a_request_that_was_good_once_is_dropped_with_other_bytes() -> None:
    chain, info = chain_with(7)
    p2p = node(chain)
    good = await request_of(PRIMARY.operator, chain, info)
    assert await p2p.answer(SPS[1].address, good) is not None
    for at in (len(good) - 2, len(good) - 40):
        bad = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        assert await p2p.answer(SPS[2].address, bad) is None
        assert await p2p.answer(SPS[2].address, bad) is None
    assert await p2p.answer(SPS[2].address, good) is not None


async def test_a_request_of_an_unknown_sp_is_dropped() -> None:
    chain, info = chain_with(7)
    message = await request_of(PRIMARY.operator, chain, info)
    chain.providers = chain.providers[1:]
    assert await node(chain).answer(SPS[1].address, message) is None


async def test_a_request_of_oneself_is_dropped() -> None:
    chain, info = chain_with(7)
    message = await request_of(PRIMARY.operator, chain, info)
    assert await node(chain).answer(PRIMARY.address, message) is None


async def test_garbage_is_dropped() -> None:
    chain, _ = chain_with(7)
    assert await node(chain).answer(SPS[1].address, b"\xff\xff\xff") is None


async def test_the_answer_repeats_the_asked_object_bit_for_bit() -> None:
    chain, info = chain_with(7)
    message = await request_of(PRIMARY.operator, chain, info)
    answer = await node(chain).answer(SPS[1].address, message)
    assert answer is not None
    assert decode_approval(answer).object_info == decode_request(message).object_info == info
