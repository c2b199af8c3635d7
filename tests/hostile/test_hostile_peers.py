"""Peers of the P2P network that mean harm: dropped, named, and nothing to the others.

What a peer *says* is shown over streams within this process; what it does to the carrier itself,
over libp2p.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from greenray.actors.p2p.message_rates import RATES
from greenray.actors.p2p.streams import Incoming
from greenray.chain.crypto import sign_bytes
from greenray.chain.dialects.v0_2.p2p_wire import (
    decode_approval,
    encode_approval,
    encode_request,
)
from greenray.protocol.approvals import (
    ApprovalRequest,
    request_sign_bytes,
)
from greenray.protocol.objects import ObjectInfo
from greenray.protocol.peers import (
    PEERS_PER_SP,
    PING_PROTOCOL,
    PONG_PROTOCOL,
    REQUEST_PROTOCOL,
    RESPONSE_PROTOCOL,
    PongNode,
)
from tests.support.peer_clusters import (
    NOW,
    PRIMARY,
    SPS,
    Cluster,
    Hub,
    HubStreams,
    approval_of,
    chain_of,
    cluster,
    knows,
    ping_of,
    pong_of,
)
from tests.support.sps import test_key
from tests.support.waiting import eventually

SECONDARIES, VICTIM = SPS[1:7], SPS[1]


class Stranger:
    """A peer with a key of its own that says what its test wants, and answers nothing."""

    def __init__(self, hub: Hub, name: str) -> None:
        self.streams = HubStreams(hub, test_key(name))
        self.came: list[Incoming] = []

    def is_known(self, peer_id: str) -> bool:
        return True

    def misbehaved(self, peer_id: str, what: str) -> None:
        raise AssertionError(what)

    async def received(self, incoming: Incoming) -> None:
        self.came.append(incoming)

    async def send(self, to: Cluster, protocol: str, message: bytes) -> None:
        await self.streams.send(to.streams.peer_id, [to.address], protocol, message)


@dataclass
class World:
    """The primary's cluster, the secondaries' one, and an object."""

    hub: Hub
    a: Cluster
    b: Cluster
    info: ObjectInfo

    async def stranger(self, name: str = "stranger") -> Stranger:
        found = Stranger(self.hub, name)
        await found.streams.start(found)
        return found

    async def approvals(self, timeout_s: float = 30.0) -> int:
        found = await self.a.p2p.get_secondary_approvals(self.info, PRIMARY.address, 6, timeout_s)
        return len(found.accepted)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    chain, info = chain_of(SPS[:7])
    hub = Hub()

    def streams(key: bytes) -> HubStreams:
        return HubStreams(hub, key)

    async with (
        cluster("b", SECONDARIES, chain, streams) as b,
        cluster("a", [PRIMARY], chain, streams, [b.known_address]) as a,
    ):
        await eventually(lambda: knows(b, [PRIMARY]))
        await b.network.ping_all()
        await eventually(lambda: knows(a, SECONDARIES))
        yield World(hub, a, b, info)


def fault_of(of: Cluster, peer: Stranger) -> str:
    return of.network.faults.get(peer.streams.peer_id, "")


@pytest.mark.parametrize(
    "protocol", [PING_PROTOCOL, PONG_PROTOCOL, REQUEST_PROTOCOL, RESPONSE_PROTOCOL]
)
async def test_garbage_is_named_by_its_protocol(world: World, protocol: str) -> None:
    stranger = await world.stranger()
    for message in (b"\xff\xff\xff", b"", b"\x00", ping_of(VICTIM)[:20]):
        world.a.network.faults.clear()
        await stranger.send(world.a, protocol, message)
        await eventually(lambda: fault_of(world.a, stranger))
        assert fault_of(world.a, stranger).startswith(protocol)
    assert await world.approvals() == 6


async def test_nobody_stands_for_an_sp_that_has_not_signed(world: World) -> None:
    stranger = await world.stranger()
    await stranger.send(world.a, PING_PROTOCOL, ping_of(VICTIM, key=SPS[8].operator))
    await eventually(lambda: "has not signed" in fault_of(world.a, stranger))
    assert world.a.network.book.find(stranger.streams.peer_id) is None


async def test_nobody_else_stands_for_an_sp_hosted_here(world: World) -> None:
    stranger = await world.stranger()
    await stranger.send(world.a, PING_PROTOCOL, ping_of(PRIMARY))
    await eventually(lambda: "hosted here" in fault_of(world.a, stranger))
    assert world.a.network.book.find(stranger.streams.peer_id) is None


async def test_an_sp_that_the_chain_does_not_have_has_no_group(world: World) -> None:
    stranger = await world.stranger()
    await stranger.send(world.a, PING_PROTOCOL, ping_of(SPS[8]))
    await eventually(lambda: stranger.came)
    assert not world.a.network.book.standing_for(SPS[8].address)
    assert not world.a.network.is_known(stranger.streams.peer_id)


async def test_a_flood_of_pings_is_answered_for_a_while_only(world: World) -> None:
    stranger = await world.stranger()
    most = int(RATES[PING_PROTOCOL].burst)
    for _ in range(10 * most):
        await stranger.send(world.a, PING_PROTOCOL, ping_of(VICTIM))
    await eventually(lambda: "too many" in fault_of(world.a, stranger))
    assert await world.approvals() == 6
    assert len(stranger.came) <= most + 2  # a request for the SP that it claims


async def test_many_strangers_that_flood_are_one(world: World) -> None:
    most = int(RATES[PING_PROTOCOL].burst)
    strangers = [await world.stranger(f"s-{n}") for n in range(2 * most)]
    for stranger in strangers:
        await stranger.send(world.a, PING_PROTOCOL, ping_of(SPS[8]))
    await eventually(lambda: any("too many" in fault_of(world.a, s) for s in strangers))
    assert sum(len(s.came) for s in strangers) <= most
    assert await world.approvals() == 6


async def test_a_pong_that_nobody_asked_for_is_not_read(world: World) -> None:
    stranger = await world.stranger()
    node = PongNode(stranger.streams.peer_id, ("/ip4/127.0.0.1/tcp/1",))
    await stranger.send(world.a, PONG_PROTOCOL, pong_of(VICTIM, [node]))
    await eventually(lambda: "nobody asked for" in fault_of(world.a, stranger))


async def test_a_pong_of_ten_thousand_nodes_leaves_a_bounded_book(world: World) -> None:
    stranger = await world.stranger()
    await stranger.send(world.a, PING_PROTOCOL, ping_of(VICTIM))
    await eventually(lambda: world.a.network.book.find(stranger.streams.peer_id))
    await world.a.network.ping_all()
    template = HubStreams(world.hub, test_key("x")).peer_id
    nodes = [PongNode(template, ("/ip4/127.0.0.1/tcp/1",))] * 5000
    nodes += [PongNode(world.a.streams.peer_id, (world.a.address.multiaddr,))] * 5000
    await stranger.send(world.a, PONG_PROTOCOL, pong_of(VICTIM, nodes))
    await eventually(lambda: world.a.network.book.find(template))
    assert len(world.a.network.book) <= 1 + 2 * PEERS_PER_SP
    assert world.a.network.book.find(world.a.streams.peer_id) is None
    assert await world.approvals() == 6


async def test_a_replayed_ping_costs_an_sp_nothing(world: World) -> None:
    """Whoever heard it stands for the SP, is asked too, and answers with an old approval."""
    strangers = [await world.stranger(f"s-{n}") for n in range(PEERS_PER_SP)]
    for stranger in strangers:
        await stranger.send(world.a, PING_PROTOCOL, ping_of(VICTIM))
        await eventually(lambda s=stranger: s.came)  # type: ignore[misc]
        old = approval_of(VICTIM, world.info, expired_time=int(NOW) - 1)
        await stranger.send(world.a, RESPONSE_PROTOCOL, old)
    assert await world.approvals() == 6
    assert world.a.network.book.standing_for(VICTIM.address)[0].peer_id == world.b.streams.peer_id


async def test_an_answer_in_anothers_name_does_not_come_before_the_true_one(world: World) -> None:
    stranger = await world.stranger()
    was_asked, true_answer = asyncio.Event(), asyncio.Event()
    honest = world.b.answer

    async def later(sp_address: str, message: bytes) -> bytes | None:
        was_asked.set()
        await true_answer.wait()
        return await honest(sp_address, message)

    world.b.answer = later
    asked = asyncio.ensure_future(world.approvals())
    await was_asked.wait()
    for bad in (
        approval_of(VICTIM, replace(world.info, payload_size=99)),
        approval_of(VICTIM, world.info, expired_time=int(NOW)),
        encode_approval(
            replace(decode_approval(approval_of(VICTIM, world.info)), signature=bytes(65))
        ),
    ):
        await stranger.send(world.a, RESPONSE_PROTOCOL, bad)
    await eventually(lambda: fault_of(world.a, stranger))
    assert not asked.done()
    true_answer.set()
    assert await asked == 6


async def test_a_lying_sp_is_named_at_once(world: World) -> None:
    honest = world.b.answer

    async def lies(sp_address: str, message: bytes) -> bytes | None:
        if sp_address == VICTIM.address:
            return approval_of(VICTIM, world.info, expired_time=int(NOW))
        return await honest(sp_address, message)

    world.b.answer = lies
    found = await world.a.p2p.get_secondary_approvals(world.info, PRIMARY.address, 6, 3600.0)
    assert len(found.accepted) == 5
    assert "expired" in dict(found.not_accepted)[VICTIM.address]


async def test_a_request_in_anothers_name_is_not_answered(world: World) -> None:
    stranger = await world.stranger()
    request = ApprovalRequest(world.info, PRIMARY.address)
    forged = sign_bytes(SPS[8].operator, request_sign_bytes(request))
    message = encode_request(replace(request, signature=forged))
    await stranger.send(world.b, REQUEST_PROTOCOL, message)
    await eventually(lambda: "nobody signed" in fault_of(world.b, stranger))
    assert stranger.came == []


async def test_a_clusters_own_request_that_comes_back_is_not_answered(world: World) -> None:
    stranger = await world.stranger()
    request = ApprovalRequest(world.info, VICTIM.address)
    signature = sign_bytes(VICTIM.operator, request_sign_bytes(request))
    message = encode_request(replace(request, signature=signature))
    await stranger.send(world.b, REQUEST_PROTOCOL, message)
    await eventually(lambda: "hosted here" in fault_of(world.b, stranger))
    assert stranger.came == []


async def test_a_peer_that_is_gone_is_named_and_the_others_answer(world: World) -> None:
    await world.b.streams.stop()
    found = await world.a.p2p.get_secondary_approvals(world.info, PRIMARY.address, 6, 3600.0)
    assert found.accepted == ()
    assert all("unreachable" in reason for _, reason in found.not_accepted)
