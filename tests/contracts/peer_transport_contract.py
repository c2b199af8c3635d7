"""What every PeerTransport does, whoever it reaches and however."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from greenray.actors.p2p.transport import PeerTransport
from greenray.chain.crypto import recover_signer, sign_bytes
from greenray.chain.dialects.v0_2.p2p_wire import decode_approval, encode_request
from greenray.protocol.approvals import ApprovalRequest, request_sign_bytes, verify_answer
from greenray.protocol.errors import GreenrayError
from greenray.protocol.objects import ObjectInfo
from tests.support.peer_clusters import NOW, PRIMARY, SPS
from tests.support.sps import SpKeys

ASKED, OTHERS = SPS[1:7], SPS[7:]
"""The SPs that the transport reaches, and those that nobody hosts."""


def request(info: ObjectInfo, key: bytes = PRIMARY.operator) -> bytes:
    asked = ApprovalRequest(info, PRIMARY.address)
    return encode_request(replace(asked, signature=sign_bytes(key, request_sign_bytes(asked))))


def verified(answer: bytes | None, sp: SpKeys, info: ObjectInfo) -> bool:
    assert answer is not None
    verify_answer(
        decode_approval(answer),
        sp_address=sp.address,
        object_info=info,
        now_s=NOW,
        recover=recover_signer,
    )
    return True


class PeerTransportContract:
    """A subclass gives the world: a transport of the primary's cluster, and an object."""

    def world(self) -> AbstractAsyncContextManager[tuple[PeerTransport, ObjectInfo]]:
        raise NotImplementedError

    @pytest.fixture
    async def reached(self) -> AsyncIterator[tuple[PeerTransport, ObjectInfo]]:
        async with self.world() as world:
            yield world

    async def test_each_sp_answers_with_an_approval_of_its_own(
        self, reached: tuple[PeerTransport, ObjectInfo]
    ) -> None:
        transport, info = reached
        message = request(info)
        answers = await asyncio.gather(
            *(transport.request_approval(sp.provider(), message) for sp in ASKED)
        )
        assert all(verified(a, sp, info) for a, sp in zip(answers, ASKED, strict=True))

    async def test_rounds_about_several_objects_do_not_mix(
        self, reached: tuple[PeerTransport, ObjectInfo]
    ) -> None:
        transport, info = reached
        infos = [replace(info, id=number) for number in range(100, 110)]
        answers = await asyncio.gather(
            *(transport.request_approval(ASKED[0].provider(), request(i)) for i in infos)
        )
        assert all(verified(a, ASKED[0], i) for a, i in zip(answers, infos, strict=True))

    async def test_rounds_that_begin_together_each_have_all_their_answers(
        self, reached: tuple[PeerTransport, ObjectInfo]
    ) -> None:
        """Far more answers than one peer may have on their way at a time."""
        transport, info = reached
        asked = [(sp, replace(info, id=number)) for number in range(200, 230) for sp in ASKED]
        answers = await asyncio.gather(
            *(transport.request_approval(sp.provider(), request(i)) for sp, i in asked)
        )
        assert all(verified(a, sp, i) for a, (sp, i) in zip(answers, asked, strict=True))

    async def test_the_same_request_is_answered_again(
        self, reached: tuple[PeerTransport, ObjectInfo]
    ) -> None:
        transport, info = reached
        for _ in range(2):
            answer = await transport.request_approval(ASKED[0].provider(), request(info))
            assert verified(answer, ASKED[0], info)

    async def test_an_sp_that_nobody_hosts_is_named(
        self, reached: tuple[PeerTransport, ObjectInfo]
    ) -> None:
        transport, info = reached
        with pytest.raises(GreenrayError, match=OTHERS[0].address):
            await transport.request_approval(OTHERS[0].provider(), request(info))

    async def test_one_that_nobody_answers_takes_nothing_from_the_others(
        self, reached: tuple[PeerTransport, ObjectInfo]
    ) -> None:
        transport, info = reached
        forged = request(replace(info, id=55), key=SPS[8].operator)
        unanswered = asyncio.ensure_future(transport.request_approval(ASKED[0].provider(), forged))
        answer = await transport.request_approval(ASKED[0].provider(), request(info))
        assert verified(answer, ASKED[0], info)
        unanswered.cancel()
        [outcome] = await asyncio.gather(unanswered, return_exceptions=True)
        assert outcome is None or isinstance(outcome, asyncio.CancelledError)
