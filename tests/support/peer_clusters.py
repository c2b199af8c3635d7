"""Clusters that know each other as peers: each with P2P and a PeerNetwork of its own, all on one
chain; over libp2p, or over streams within the test's process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.p2p.actor import P2P, LoopbackTransport
from greenray.actors.p2p.libp2p_streams import Libp2pStreams
from greenray.actors.p2p.network import Answer, PeerNetwork
from greenray.actors.p2p.node_key import peer_id_of_key
from greenray.actors.p2p.settings import P2PSettings
from greenray.actors.p2p.streams import Incoming, PeerHandler, PeerStreams, StreamLimits
from greenray.chain.crypto import sign_bytes
from greenray.chain.dialects import get_dialect
from greenray.chain.dialects.v0_2.p2p_wire import encode_approval, encode_ping, encode_pong
from greenray.protocol.approvals import Approval, approval_sign_bytes
from greenray.protocol.errors import PeerUnreachable
from greenray.protocol.objects import ObjectInfo
from greenray.protocol.peers import (
    KnownAddress,
    Ping,
    Pong,
    PongNode,
    TcpAddress,
    ping_sign_bytes,
    pong_sign_bytes,
)
from tests.support.fake_chain import FakeChain
from tests.support.sps import KeySigner, SpKeys, test_key

NOW = 1_700_000_000.0
SPS = [SpKeys.numbered(i) for i in range(9)]
PRIMARY = SPS[0]
LOCALHOST = TcpAddress("127.0.0.1", 0)


@dataclass
class Hub:
    """Where streams within a process find each other."""

    listening: dict[TcpAddress, HubStreams] = field(default_factory=dict)


class HubStreams:
    """PeerStreams without a network. Who was met can be answered, as over one connection."""

    def __init__(self, hub: Hub, key: bytes) -> None:
        self.peer_id = peer_id_of_key(key)
        self._hub = hub
        self._met: dict[str, HubStreams] = {}
        self._handler: PeerHandler | None = None
        self.address = TcpAddress("127.0.0.1", 1 + len(hub.listening))

    async def start(self, handler: PeerHandler) -> TcpAddress:
        self._handler = handler
        self._hub.listening[self.address] = self
        return self.address

    async def send(
        self, peer_id: str, addresses: Sequence[TcpAddress], protocol: str, message: bytes
    ) -> None:
        found = [self._hub.listening[a] for a in addresses if a in self._hub.listening]
        other = self._met.get(peer_id) or next((s for s in found if s.peer_id == peer_id), None)
        if other is None or other._handler is None:
            raise PeerUnreachable("nobody listens there", peer_id)
        self._met[peer_id] = other
        other._met[self.peer_id] = self
        listens_at = (self.address.multiaddr,)
        incoming = Incoming(self.peer_id, protocol, message, "127.0.0.1", listens_at)
        # Nothing is acknowledged: who sends does not wait for what comes of it.
        task = asyncio.ensure_future(other._handler.received(incoming))
        _running.add(task)
        task.add_done_callback(_running.discard)

    async def stop(self) -> None:
        self._handler = None
        self._hub.listening.pop(self.address, None)


_running: set[asyncio.Future[None]] = set()

MakeStreams = Callable[[bytes], PeerStreams]


def libp2p_streams(key: bytes, limits: StreamLimits | None = None) -> Libp2pStreams:
    return Libp2pStreams(key, LOCALHOST, limits=limits)


@dataclass
class Cluster:
    """Hosts ``sps``."""

    sps: Sequence[SpKeys]
    streams: PeerStreams
    network: PeerNetwork
    p2p: P2P
    address: TcpAddress
    answer: Answer
    """What its SPs answer; a test may put another one here."""

    @property
    def known_address(self) -> KnownAddress:
        return KnownAddress(self.streams.peer_id, (self.address,))


def chain_of(sps: Sequence[SpKeys]) -> tuple[FakeChain, ObjectInfo]:
    chain = FakeChain([sp.provider() for sp in sps])
    chain.add_bucket("0x1C5A77d9FA7eF466951B2F01F724BCa3A5820b63", "bucket", PRIMARY.address)
    info = chain.add_object("bucket", "dir/ä <&>.bin", 5, tuple([bytes(32)] * 7))
    return chain, info


def network_of(
    streams: PeerStreams,
    sps: Sequence[SpKeys],
    chain: FakeChain,
    bootstrap: Sequence[KnownAddress] = (),
) -> PeerNetwork:
    return PeerNetwork(
        streams=streams,
        hosted=[sp.address for sp in sps],
        providers=ProviderBook(chain, lambda: NOW),
        signer=KeySigner(sps),
        dialect=get_dialect(),
        clock=lambda: NOW,
        bootstrap=bootstrap,
        ping_period_s=86400.0,
    )


@asynccontextmanager
async def cluster(
    name: str,
    sps: Sequence[SpKeys],
    chain: FakeChain,
    make_streams: MakeStreams,
    bootstrap: Sequence[KnownAddress] = (),
) -> AsyncIterator[Cluster]:
    """It pings when it starts, and then when its test says so."""
    streams = make_streams(test_key(f"node-{name}"))
    network = network_of(streams, sps, chain, bootstrap)
    hosted = [sp.address for sp in sps]
    p2p = P2P(
        hosted=hosted,
        providers=ProviderBook(chain, lambda: NOW),
        signer=KeySigner(sps),
        dialect=get_dialect(),
        clock=lambda: NOW,
        settings=P2PSettings(spare_grace_s=0.05),
    )
    p2p.reach_through(LoopbackTransport(p2p, network))
    found = Cluster(sps, streams, network, p2p, LOCALHOST, p2p.answer)

    async def answer(sp_address: str, message: bytes) -> bytes | None:
        return await found.answer(sp_address, message)

    found.address = await network.start(answer)
    try:
        yield found
    finally:
        await network.stop()


def knows(cluster: Cluster, sps: Sequence[SpKeys]) -> bool:
    return all(cluster.network.book.standing_for(sp.address) for sp in sps)


# --- what peers say ------------------------------------------------------------------------------


def ping_of(sp: SpKeys, key: bytes | None = None) -> bytes:
    ping = Ping(sp.address)
    return encode_ping(
        replace(ping, signature=sign_bytes(key or sp.operator, ping_sign_bytes(ping)))
    )


def pong_of(sp: SpKeys, nodes: Sequence[PongNode] = ()) -> bytes:
    pong = Pong(tuple(nodes), sp.address)
    return encode_pong(replace(pong, signature=sign_bytes(sp.operator, pong_sign_bytes(pong))))


def approval_of(sp: SpKeys, info: ObjectInfo, expired_time: int = int(NOW) + 60) -> bytes:
    approval = Approval(info, sp.address, expired_time)
    return encode_approval(
        replace(approval, signature=sign_bytes(sp.operator, approval_sign_bytes(approval)))
    )
