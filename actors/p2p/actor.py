"""P2P: asks other SPs for approvals, and answers for the SPs hosted here (protocol 03 §2-4).

SPs share nothing but bytes: a request is encoded, signed, sent, decoded and verified exactly as
between strangers, also when both SPs live in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.p2p.settings import P2PSettings
from greenray.actors.p2p.transport import PeerTransport
from greenray.actors.ports import ApprovalRound, SignerPort
from greenray.chain.crypto import recover_signer
from greenray.chain.dialect import Dialect
from greenray.protocol.approvals import (
    Approval,
    ApprovalRequest,
    approval_sign_bytes,
    request_sign_bytes,
    verify_answer,
)
from greenray.protocol.errors import GreenrayError, InvalidInput, SignatureError
from greenray.protocol.objects import ObjectInfo, StorageProvider

APPROVAL_VALIDITY_S = 3600
"""What the reference answers: an approval is good for an hour (protocol 03 §4)."""

MAX_MESSAGE_BYTES = 64 * 1024
"""Of a request or an answer: an object's record, whose names have at most 1087 bytes."""

ROUNDS_AT_ONCE = 64
"""A round's time begins with its turn. Of hundreds that begin together nobody would have answers in
time, and each would ask again: the SPs hosted here answer with this process, too."""

_REQUESTS_REMEMBERED = 256
"""All SPs hosted here get the same bytes."""


class P2P:
    """One P2P node for all SPs of this cluster."""

    def __init__(
        self,
        *,
        hosted: Iterable[str],
        providers: ProviderBook,
        signer: SignerPort,
        dialect: Dialect,
        clock: Callable[[], float],
        settings: P2PSettings | None = None,
        transport: PeerTransport | None = None,
    ) -> None:
        self._hosted = frozenset(hosted)
        self._providers = providers
        self._signer = signer
        self._wire = dialect.secondaries.p2p_wire
        self._clock = clock
        self._settings = settings or P2PSettings()
        self._transport = transport or LoopbackTransport(self)
        self._rounds = asyncio.Semaphore(ROUNDS_AT_ONCE)
        self._verified_request = lru_cache(_REQUESTS_REMEMBERED)(self._read_request)

    def reach_through(self, transport: PeerTransport) -> None:
        """From now on. A transport that asks this node back is made after it."""
        self._transport = transport

    def hosts(self, sp_address: str) -> bool:
        return sp_address in self._hosted

    async def get_secondary_approvals(
        self, object_info: ObjectInfo, sp_address: str, needed: int, timeout_s: float
    ) -> ApprovalRound:
        """Ask every other SP in service at once.

        Returns when all have answered, when ``timeout_s`` is over (counted from this round's turn
        among ``ROUNDS_AT_ONCE``), or a moment after ``needed`` approvals are there (so that spares
        are kept but a silent SP costs little).
        """
        async with self._rounds:
            return await self._round(object_info, sp_address, needed, timeout_s)

    async def _round(
        self, object_info: ObjectInfo, sp_address: str, needed: int, timeout_s: float
    ) -> ApprovalRound:
        request = ApprovalRequest(object_info, sp_address)
        sign_bytes = request_sign_bytes(request)
        signature = await self._signer.sign_as_operator(sp_address, sign_bytes)
        message = self._wire.encode_request(replace(request, signature=signature))
        peers = [
            p
            for p in await self._providers.all()
            if p.operator_address != sp_address and p.in_service
        ]
        asked = {
            asyncio.create_task(self._ask(peer, message, object_info)): peer.operator_address
            for peer in peers
        }
        accepted: list[Approval] = []
        refused: dict[str, str] = {}
        pending = set(asked)
        deadline = asyncio.get_running_loop().time() + timeout_s
        while pending:
            remaining_s = deadline - asyncio.get_running_loop().time()
            if len(accepted) >= needed:
                remaining_s = min(remaining_s, self._settings.spare_grace_s)
            done, pending = await asyncio.wait(
                pending, timeout=max(remaining_s, 0.0), return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                break
            for task in done:
                outcome = task.result()
                if isinstance(outcome, Approval):
                    accepted.append(outcome)
                else:
                    refused[asked[task]] = outcome
        for task in pending:
            task.cancel()
            refused[asked[task]] = "no-answer"
        return ApprovalRound(tuple(accepted), tuple(sorted(refused.items())))

    async def _ask(
        self, peer: StorageProvider, message: bytes, object_info: ObjectInfo
    ) -> Approval | str:
        """The verified approval of one peer, or the reason why there is none."""
        try:
            answer = await self._transport.request_approval(peer, message)
        except GreenrayError as error:
            return f"unreachable: {error}"
        if answer is None:
            return "no-answer"
        if len(answer) > MAX_MESSAGE_BYTES:
            return f"invalid-input: {len(answer)} bytes, of at most {MAX_MESSAGE_BYTES}"
        try:
            return verify_answer(
                self._wire.decode_approval(answer),
                sp_address=peer.operator_address,
                object_info=object_info,
                now_s=self._clock(),
                recover=recover_signer,
            )
        except GreenrayError as error:
            return f"{error.reason}: {error}"

    async def answer(self, sp_address: str, message: bytes) -> bytes | None:
        """What the SP ``sp_address`` answers to a GetApprovalRequest; None drops it silently."""
        if len(message) > MAX_MESSAGE_BYTES:
            return None
        request = self._verified_request(message)
        if request is None:
            return None
        asker = request.sp_operator_address
        if asker == sp_address or await self._providers.find(asker) is None:
            return None
        approval = Approval(
            request.object_info, sp_address, int(self._clock()) + APPROVAL_VALIDITY_S
        )
        signature = await self._signer.sign_as_operator(sp_address, approval_sign_bytes(approval))
        return self._wire.encode_approval(replace(approval, signature=signature))

    def _read_request(self, message: bytes) -> ApprovalRequest | None:
        """None: its bytes are no request, or nobody's whom it names."""
        try:
            request = self._wire.decode_request(message)
            signer = recover_signer(request_sign_bytes(request), request.signature)
        except (InvalidInput, SignatureError):
            return None
        return request if signer == request.sp_operator_address else None


class LoopbackTransport:
    """Reaches the SPs hosted by the same P2P node; ``beyond`` it, if there is one, the others."""

    def __init__(self, node: P2P, beyond: PeerTransport | None = None) -> None:
        self._node = node
        self._beyond = beyond

    async def request_approval(self, provider: StorageProvider, message: bytes) -> bytes | None:
        if self._node.hosts(provider.operator_address):
            return await self._node.answer(provider.operator_address, message)
        if self._beyond is not None:
            return await self._beyond.request_approval(provider, message)
        raise InvalidInput("this SP is not hosted in this cluster", provider.operator_address)
