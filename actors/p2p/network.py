"""PeerNetwork: finds the peers of other SPs, and carries approvals to and from them
(protocol 03 §2, §4)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.p2p.message_rates import MessageRates
from greenray.actors.p2p.streams import Incoming, PeerStreams
from greenray.actors.ports import SignerPort
from greenray.chain.crypto import recover_signer
from greenray.chain.dialect import Dialect
from greenray.protocol.approvals import Approval, verify_answer
from greenray.protocol.errors import (
    GreenrayError,
    InvalidInput,
    NoPeerKnown,
    PeerUnreachable,
    SignatureError,
)
from greenray.protocol.objects import ObjectInfo, StorageProvider
from greenray.protocol.peers import (
    MAX_NODES_TAKEN,
    PING_PROTOCOL,
    PONG_PROTOCOL,
    REQUEST_PROTOCOL,
    RESPONSE_PROTOCOL,
    KnownAddress,
    Peer,
    PeerBook,
    Ping,
    Pong,
    PongNode,
    TcpAddress,
    addresses_to_take,
    ping_sign_bytes,
    pong_sign_bytes,
)

_PINGS_AT_ONCE = 16
_FAULTS_REMEMBERED = 256

Answer = Callable[[str, bytes], Awaitable[bytes | None]]
"""What the SP of an operator address answers to a GetApprovalRequest; None drops it."""

log = logging.getLogger(__name__)


class PeerNetwork:
    """A ``PeerTransport``, and the ``PeerHandler`` of its streams.

    One node stands for all SPs of this cluster: it pings for each of them and answers for each of
    them. Go providers take that, since they know an SP by the signature of its answer.
    """

    def __init__(
        self,
        *,
        streams: PeerStreams,
        hosted: Iterable[str],
        providers: ProviderBook,
        signer: SignerPort,
        dialect: Dialect,
        clock: Callable[[], float],
        bootstrap: Iterable[KnownAddress] = (),
        announce: TcpAddress | None = None,
        ping_period_s: float = 10.0,
    ) -> None:
        self._streams = streams
        self._hosted = tuple(sorted(hosted))
        self._providers = providers
        self._signer = signer
        self._wire = dialect.secondaries.p2p_wire
        self._clock = clock
        self._own_addresses = (announce,) if announce is not None else ()
        self._ping_period_s = ping_period_s
        self._answer: Answer | None = None
        self._pinging: asyncio.Task[None] | None = None
        self._pings: dict[str, bytes] = {}
        self._unanswered_pings: dict[str, int] = {}
        self._rates = MessageRates()
        self._waiters: dict[tuple[str, int], list[_Waiter]] = {}
        self._rounds: dict[bytes, _Round] = {}
        self.book = PeerBook(streams.peer_id, tuple(bootstrap))
        self.faults: OrderedDict[str, str] = OrderedDict()
        """By peer id: what was last wrong with it."""

    async def start(self, answer: Answer) -> TcpAddress:
        """Listen, and look for others. Raises PortInUse, PeerNetworkUnavailable."""
        self._answer = answer
        listens_at = await self._streams.start(self)
        if not self._own_addresses:
            self._own_addresses = (listens_at,)
        self._pinging = asyncio.create_task(self._ping_for_ever())
        return listens_at

    async def stop(self) -> None:
        if self._pinging is not None:
            self._pinging.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pinging
        await self._streams.stop()

    # --- asking ----------------------------------------------------------------------------------

    async def request_approval(self, provider: StorageProvider, message: bytes) -> bytes | None:
        """The first answer that verifies, whoever brings it; or one that does not, when each peer
        that stands for the SP has sent such a one.

        Waits until it is cancelled. Raises NoPeerKnown, PeerUnreachable.
        """
        sp_address = provider.operator_address
        peers = self.book.to_ask(sp_address)
        if not peers:
            raise NoPeerKnown(
                "no peer of this SP is known",
                sp_address,
                "Name one as a bootstrap peer, or wait until another peer tells of one",
            )
        info = self._wire.decode_request(message).object_info
        waiter = _Waiter(sp_address, info, {p.peer_id for p in peers if sp_address in p.sps})
        waiters = self._waiters.setdefault((sp_address, info.id), [])
        waiters.append(waiter)
        shared = self._rounds.setdefault(message, _Round())
        shared.users += 1
        try:
            sends = {shared.send(peer, self._send_request, message): peer for peer in peers}
            return await self._sent_and_answered(waiter, sends)
        finally:
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[sp_address, info.id]
            shared.users -= 1
            if not shared.users:
                shared.cancel()
                del self._rounds[message]

    async def _send_request(self, peer: Peer, message: bytes) -> str:
        """Empty, or why the peer was not reached."""
        try:
            await self._send(peer, REQUEST_PROTOCOL, message)
        except PeerUnreachable as error:
            return str(error)
        return ""

    async def _sent_and_answered(
        self, waiter: _Waiter, sends: dict[asyncio.Task[str], Peer]
    ) -> bytes:
        pending: set[asyncio.Future[bytes] | asyncio.Task[str]] = {waiter.answer, *sends}
        faults: list[str] = []
        while not waiter.answer.done():
            if len(faults) == len(sends):
                raise PeerUnreachable("; ".join(faults), waiter.sp_address)
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task, peer in sends.items():
                if task in done and (fault := task.result()):
                    faults.append(fault)
                    waiter.no_answer_of(peer.peer_id)
        return waiter.answer.result()

    # --- pings -----------------------------------------------------------------------------------

    async def _ping_for_ever(self) -> None:
        while True:
            try:
                await self.ping_all()
            except GreenrayError as error:
                log.warning("peers are not pinged: %s", error)
            await asyncio.sleep(self._ping_period_s)

    async def ping_all(self) -> None:
        """Ping every known peer for each SP hosted here; returns when each was reached or not."""
        self.book.only_sps([p.operator_address for p in await self._providers.all()])
        for sp_address in self._hosted:
            if sp_address not in self._pings:
                ping = Ping(sp_address)
                signature = await self._signer.sign_as_operator(sp_address, ping_sign_bytes(ping))
                self._pings[sp_address] = self._wire.encode_ping(replace(ping, signature=signature))
        known = {peer.peer_id for peer in self.book}
        for peer_id in self._unanswered_pings.keys() - known:
            del self._unanswered_pings[peer_id]
        at_once = asyncio.Semaphore(_PINGS_AT_ONCE)
        await asyncio.gather(*(self._ping(peer, at_once) for peer in self.book))

    async def _ping(self, peer: Peer, at_once: asyncio.Semaphore) -> None:
        async with at_once:
            self._unanswered_pings[peer.peer_id] = len(self._pings)
            for ping in self._pings.values():
                try:
                    await self._send(peer, PING_PROTOCOL, ping)
                except PeerUnreachable:
                    return  # counted, and told

    async def _on_ping(self, incoming: Incoming) -> None:
        ping = self._wire.decode_ping(incoming.message)
        sps = await self._signed_for(
            ping.sp_operator_address, ping_sign_bytes(ping), ping.signature
        )
        self._met(incoming, sps)
        pong = Pong(self._nodes(), self._hosted[0])
        signature = await self._signer.sign_as_operator(
            pong.sp_operator_address, pong_sign_bytes(pong)
        )
        message = self._wire.encode_pong(replace(pong, signature=signature))
        await self._send_to(incoming.peer_id, PONG_PROTOCOL, message)

    def _nodes(self) -> tuple[PongNode, ...]:
        own = PongNode(self._streams.peer_id, tuple(a.multiaddr for a in self._own_addresses))
        others = sorted(self.book, key=lambda peer: (peer.failures, -peer.last_seen_s))
        told = [
            PongNode(peer.peer_id, tuple(a.multiaddr for a in peer.addresses if a.is_numeric))
            for peer in others[: MAX_NODES_TAKEN - 1]
        ]
        return (own, *(node for node in told if node.multi_addr))

    async def _on_pong(self, incoming: Incoming) -> None:
        if not self._unanswered_pings.get(incoming.peer_id):
            raise InvalidInput("a pong that nobody asked for")
        self._unanswered_pings[incoming.peer_id] -= 1
        pong = self._wire.decode_pong(incoming.message)
        sps: tuple[str, ...] = ()
        if pong.signature:
            sps = await self._signed_for(
                pong.sp_operator_address, pong_sign_bytes(pong), pong.signature
            )
        self._met(incoming, sps)
        for known in self._to_take(pong, incoming):
            self.book.heard_of(known)

    def _met(self, incoming: Incoming, sps: Iterable[str]) -> None:
        self.book.met(incoming.peer_id, sps, self._clock())
        own_word = Pong((PongNode(incoming.peer_id, incoming.listens_at),), "")
        for known in self._to_take(own_word, incoming):
            self.book.listens_at(known.peer_id, known.addresses)

    def _to_take(self, pong: Pong, incoming: Incoming) -> tuple[KnownAddress, ...]:
        return addresses_to_take(
            pong,
            told_by=incoming.host,
            own_peer_id=self._streams.peer_id,
            own_addresses=self._own_addresses,
        )

    async def _signed_for(
        self, sp_address: str, sign_bytes: bytes, signature: bytes
    ) -> tuple[str, ...]:
        """The SP, when it is one in service and has signed. Raises SignatureError, and
        InvalidInput for an SP hosted here."""
        if sp_address in self._hosted:
            raise InvalidInput(f"says that it stands for {sp_address}, which is hosted here")
        if recover_signer(sign_bytes, signature) != sp_address:
            raise SignatureError(f"says that it stands for {sp_address[:80]}, which has not signed")
        provider = await self._providers.find(sp_address)
        return (sp_address,) if provider is not None and provider.in_service else ()

    # --- what comes ------------------------------------------------------------------------------

    def is_known(self, peer_id: str) -> bool:
        peer = self.book.find(peer_id)
        return peer is not None and (peer.is_bootstrap or bool(peer.sps))

    async def received(self, incoming: Incoming) -> None:
        """One message of a peer. What is wrong with it is counted and told, and no more."""
        handle = {
            PING_PROTOCOL: self._on_ping,
            PONG_PROTOCOL: self._on_pong,
            REQUEST_PROTOCOL: self._on_request,
            RESPONSE_PROTOCOL: self._on_response,
        }[incoming.protocol]
        peer_id = incoming.peer_id
        is_known = self.is_known(peer_id)
        if not self._rates.allows(peer_id, incoming.protocol, self._clock(), is_known=is_known):
            self.misbehaved(peer_id, f"too many messages on {incoming.protocol}")
            return
        try:
            await handle(incoming)
        except PeerUnreachable:
            pass  # counted, and told, where it was sent
        except GreenrayError as error:
            self.misbehaved(peer_id, f"{incoming.protocol}: {error}")

    async def _on_request(self, incoming: Incoming) -> None:
        request = self._wire.decode_request(incoming.message)
        if request.sp_operator_address in self._hosted:
            raise InvalidInput(f"asks as {request.sp_operator_address}, which is hosted here")
        assert self._answer is not None
        answers = [await self._answer(sp, incoming.message) for sp in self._hosted]
        if not any(answers):
            raise InvalidInput(
                f"a request that nobody signed as {request.sp_operator_address[:80]}"
            )
        await asyncio.gather(
            *(
                self._send_to(incoming.peer_id, RESPONSE_PROTOCOL, answer)
                for answer in answers
                if answer is not None
            )
        )

    async def _on_response(self, incoming: Incoming) -> None:
        approval = self._wire.decode_approval(incoming.message)
        key = (approval.sp_operator_address, approval.object_info.id)
        faults = []
        for waiter in tuple(self._waiters.get(key, ())):
            try:
                waiter.check(approval, self._clock())
            except GreenrayError as error:
                faults.append(error)
                waiter.bad_answer_of(incoming.peer_id, incoming.message)
            else:
                self.book.proved(incoming.peer_id, waiter.sp_address, self._clock())
                waiter.settle(incoming.message)
        if faults:
            raise faults[0]

    def misbehaved(self, peer_id: str, what: str) -> None:
        """It is the first to be dropped now; told once, until it does something else."""
        self.book.failed(peer_id)
        if self.faults.pop(peer_id, None) != what:
            log.warning("peer %s: %s", peer_id, what)
        self.faults[peer_id] = what
        while len(self.faults) > _FAULTS_REMEMBERED:
            self.faults.popitem(last=False)

    # --- sending ---------------------------------------------------------------------------------

    async def _send_to(self, peer_id: str, protocol: str, message: bytes) -> None:
        await self._send(self.book.find(peer_id) or Peer(peer_id), protocol, message)

    async def _send(self, peer: Peer, protocol: str, message: bytes) -> None:
        try:
            await self._streams.send(peer.peer_id, peer.addresses, protocol, message)
        except PeerUnreachable as error:
            self.misbehaved(peer.peer_id, error.what)
            raise


class _Waiter:
    """One SP's answer about one object."""

    def __init__(self, sp_address: str, object_info: ObjectInfo, standing: set[str]) -> None:
        """``standing``: the peers asked that stand for the SP."""
        self.sp_address = sp_address
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._object_info = object_info
        self._standing = standing
        self._bad: bytes | None = None

    def check(self, approval: Approval, now_s: float) -> None:
        """Raises what is wrong with it."""
        verify_answer(
            approval,
            sp_address=self.sp_address,
            object_info=self._object_info,
            now_s=now_s,
            recover=recover_signer,
        )

    def settle(self, message: bytes) -> None:
        if not self.answer.done():
            self.answer.set_result(message)

    def bad_answer_of(self, peer_id: str, message: bytes) -> None:
        """Anybody may send one in another's name: it counts from those that stand for the SP, and
        only when a good one cannot come any more."""
        if peer_id in self._standing:
            self._bad = message
            self.no_answer_of(peer_id)

    def no_answer_of(self, peer_id: str) -> None:
        self._standing.discard(peer_id)
        if not self._standing and self._bad is not None:
            self.settle(self._bad)


@dataclass(slots=True)
class _Round:
    """A peer that may stand for several SPs is sent their common request once."""

    users: int = 0
    _sends: dict[str, asyncio.Task[str]] = field(default_factory=dict)

    def send(
        self, peer: Peer, send: Callable[[Peer, bytes], Coroutine[None, None, str]], message: bytes
    ) -> asyncio.Task[str]:
        task = self._sends.get(peer.peer_id)
        if task is None:
            task = self._sends[peer.peer_id] = asyncio.create_task(send(peer, message))
        return task

    def cancel(self) -> None:
        for task in self._sends.values():
            task.cancel()
