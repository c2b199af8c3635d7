"""Whatever comes from peers, a node goes on: nothing is raised, and it remembers little of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from greenray.actors.p2p.network import PeerNetwork
from greenray.actors.p2p.streams import Incoming
from greenray.chain.crypto import public_key_of
from greenray.protocol.errors import PeerUnreachable
from greenray.protocol.peers import (
    PEERS_PER_SP,
    PING_PROTOCOL,
    PONG_PROTOCOL,
    REQUEST_PROTOCOL,
    RESPONSE_PROTOCOL,
    PongNode,
    TcpAddress,
    peer_id_of,
)
from tests.support.peer_clusters import (
    PRIMARY,
    SPS,
    approval_of,
    chain_of,
    network_of,
    ping_of,
    pong_of,
)

PEERS = [peer_id_of(public_key_of(n.to_bytes(32))) for n in range(1, 30)]
_, INFO = chain_of(SPS[:7])


class NoStreams:
    """Nobody is reached: what is sent is not what is looked at."""

    peer_id = PEERS[0]

    async def start(self, handler: object) -> TcpAddress:
        return TcpAddress("127.0.0.1", 1)

    async def send(
        self, peer_id: str, addresses: Sequence[TcpAddress], protocol: str, message: bytes
    ) -> None:
        raise PeerUnreachable("nobody", peer_id)

    async def stop(self) -> None: ...


good = st.sampled_from(
    [
        ping_of(SPS[1]),
        ping_of(PRIMARY),
        pong_of(SPS[2], [PongNode(p, ("/ip4/127.0.0.1/tcp/1",)) for p in PEERS]),
        approval_of(SPS[1], INFO),
    ]
)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A good message with a few bytes changed, or its end missing."""
    message = bytearray(draw(good))
    for _ in range(draw(st.integers(0, 4))):
        message[draw(st.integers(0, len(message) - 1))] = draw(st.integers(0, 255))
    return bytes(message[: draw(st.integers(0, len(message)))])


PROTOCOLS = [PING_PROTOCOL, PONG_PROTOCOL, REQUEST_PROTOCOL, RESPONSE_PROTOCOL]
incoming = st.builds(
    Incoming,
    st.sampled_from(PEERS[1:]),
    st.sampled_from(PROTOCOLS),
    st.one_of(good, broken(), st.binary(max_size=200)),
    st.sampled_from(["127.0.0.1", "10.0.0.1", "8.8.8.8", "", "::1"]),
    st.lists(st.text(max_size=30), max_size=3).map(tuple),
)


@given(st.lists(incoming, max_size=40))
def test_no_message_of_a_peer_ends_a_node(messages: list[Incoming]) -> None:
    async def take() -> PeerNetwork:
        chain, _ = chain_of(SPS[:7])
        network = network_of(NoStreams(), [PRIMARY], chain)
        await network.start(_no_answer)
        await asyncio.gather(*(network.received(message) for message in messages))
        await network.stop()
        return network

    network = asyncio.run(take())
    assert len(network.book) <= 7 * PEERS_PER_SP
    assert all(peer.sps <= {sp.address for sp in SPS[1:7]} for peer in network.book)


async def _no_answer(sp_address: str, message: bytes) -> bytes | None:
    return None
