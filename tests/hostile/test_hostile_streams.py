"""Peers that mean harm to the carrier itself: over libp2p, with a host of the peer's own."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import socket
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

from greenray.actors.p2p.libp2p_streams import Libp2pStreams
from greenray.actors.p2p.node_key import peer_id_of_key
from greenray.actors.p2p.streams import MAX_MESSAGE_BYTES, Incoming, StreamLimits
from greenray.protocol.errors import PeerUnreachable, PortInUse
from greenray.protocol.peers import PING_PROTOCOL, REQUEST_PROTOCOL, TcpAddress
from tests.support.peer_clusters import LOCALHOST
from tests.support.sps import test_key
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("libp2p") is None, reason="libp2p is not installed (greenray[p2p])"
)

MIB = 1024 * 1024
LIMITS = StreamLimits(connections=8, streams=16, streams_of_one_peer=8, streams_of_one_stranger=4)
HOSTILE, HONEST, NODE = (test_key(name) for name in ("hostile", "honest", "node"))


@dataclass
class Listener:
    """Notes what comes."""

    known: set[str] = field(default_factory=set)
    came: list[Incoming] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    def is_known(self, peer_id: str) -> bool:
        return peer_id in self.known

    async def received(self, incoming: Incoming) -> None:
        self.came.append(incoming)
        await self.may_end.wait()

    def misbehaved(self, peer_id: str, what: str) -> None:
        self.faults.append((peer_id, what))

    def has_fault(self, what: str, key: bytes = HOSTILE) -> bool:
        return any(p == peer_id_of_key(key) and what in text for p, text in self.faults)


@contextlib.asynccontextmanager
async def listening(
    key: bytes = NODE, limits: StreamLimits = LIMITS
) -> AsyncIterator[tuple[Libp2pStreams, Listener, TcpAddress]]:
    streams, listener = Libp2pStreams(key, LOCALHOST, limits=limits), Listener()
    listener.may_end.set()
    address = await streams.start(listener)
    try:
        yield streams, listener, address
    finally:
        listener.may_end.set()
        await streams.stop()


Attack = Callable[[Any, Any], Awaitable[None]]
"""Of a libp2p host that is connected, on the peer's id; in a thread with a trio of its own. It may
end in whatever error libp2p makes of a stream that is reset or a connection that ends."""


async def attack(node: Libp2pStreams, at: TcpAddress, does: Attack) -> None:
    import trio
    from libp2p import new_host
    from libp2p.crypto.keys import KeyPair
    from libp2p.crypto.secp256k1 import Secp256k1PrivateKey
    from libp2p.crypto.x25519 import create_new_key_pair
    from libp2p.peer.id import ID
    from libp2p.peer.peerinfo import PeerInfo
    from libp2p.security.noise.transport import PROTOCOL_ID, Transport
    from multiaddr import Multiaddr

    async def main() -> None:
        private = Secp256k1PrivateKey.from_bytes(HOSTILE)
        pair = KeyPair(private, private.get_public_key())
        noise = Transport(pair, noise_privkey=create_new_key_pair().private_key)
        listen = Multiaddr("/ip4/127.0.0.1/tcp/0")
        host = new_host(key_pair=pair, sec_opt={PROTOCOL_ID: noise}, listen_addrs=[listen])
        peer = ID.from_base58(node.peer_id)
        async with host.run([listen]):
            await host.connect(PeerInfo(peer, [Multiaddr(at.multiaddr)]))
            with contextlib.suppress(Exception):
                await does(host, peer)

    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def run() -> None:
        try:
            trio.run(main)
        except BaseException as error:
            loop.call_soon_threadsafe(ended.set_exception, error)
        else:
            loop.call_soon_threadsafe(ended.set_result, None)

    threading.Thread(target=run, daemon=True).start()
    await ended


async def is_reached(node: Libp2pStreams, listener: Listener, at: TcpAddress) -> bool:
    """By an honest peer, meanwhile."""
    before = len(listener.came)
    async with listening(HONEST) as (honest, _, _):
        await honest.send(node.peer_id, [at], PING_PROTOCOL, b"hello")
        await eventually(lambda: len(listener.came) > before)
    return listener.came[-1].message == b"hello"


async def test_a_message_of_a_hundred_megabytes_is_refused_after_its_bound() -> None:
    async def floods(host: Any, peer: Any) -> None:
        stream = await host.new_stream(peer, [REQUEST_PROTOCOL])
        for _ in range(100):
            await stream.write(bytes(MIB))

    async with listening() as (node, listener, at):
        before = psutil.Process().memory_info().rss
        await attack(node, at, floods)
        await eventually(
            lambda: listener.has_fault(f"more than {MAX_MESSAGE_BYTES[REQUEST_PROTOCOL]}")
        )
        assert psutil.Process().memory_info().rss - before < 50 * MIB
        assert listener.came == []
        assert await is_reached(node, listener, at)


async def test_a_connection_that_sends_more_than_is_held_of_it_is_ended() -> None:
    """One frame, longer than the window that it was given, on a stream that is not read yet."""

    async def overruns(host: Any, peer: Any) -> None:
        [connection] = host.get_network().get_connections(peer)
        muxed = connection.muxed_conn
        stream = await muxed.open_stream()
        is_data, no_flags = 0, 0
        head = struct.pack("!BBHII", 0, is_data, no_flags, stream.stream_id, 8 * MIB)
        with contextlib.suppress(Exception):
            await muxed.secured_conn.write(head + bytes(4 * MIB))
        await muxed.event_closed.wait()

    async with listening() as (node, listener, at):
        await attack(node, at, overruns)
        assert await is_reached(node, listener, at)


async def test_half_a_message_is_named_and_not_handled() -> None:
    async def cuts(host: Any, peer: Any) -> None:
        stream = await host.new_stream(peer, [REQUEST_PROTOCOL])
        await stream.write(b"half")
        await stream.reset()

    async with listening() as (node, listener, at):
        await attack(node, at, cuts)
        await eventually(lambda: listener.has_fault("cut off"))
        assert listener.came == []


async def test_a_message_that_does_not_end_gives_its_place_back() -> None:
    limits = StreamLimits(streams_of_one_stranger=2, message_timeout_s=0.5)

    async def dawdles(host: Any, peer: Any) -> None:
        stream = await host.new_stream(peer, [REQUEST_PROTOCOL])
        await stream.write(b"half")
        await stream.read(1)

    async with listening(limits=limits) as (node, listener, at):
        await attack(node, at, dawdles)
        await eventually(lambda: listener.has_fault("does not end in time"))
        assert await is_reached(node, listener, at)


async def test_a_stranger_has_few_streams_at_a_time_and_leaves_the_others_theirs() -> None:
    async def opens(host: Any, peer: Any) -> None:
        for _ in range(12):
            stream = await host.new_stream(peer, [PING_PROTOCOL])
            await stream.write(b"x")
        await stream.read(1)

    async with listening() as (node, listener, at):
        listener.known.add(peer_id_of_key(HONEST))
        await attack(node, at, opens)
        await eventually(lambda: listener.has_fault("too many streams"))
        assert await is_reached(node, listener, at)


async def test_a_connection_with_too_many_streams_is_ended() -> None:
    async def opens(host: Any, peer: Any) -> None:
        [connection] = host.get_network().get_connections(peer)
        with contextlib.suppress(Exception):
            for _ in range(200):
                await connection.muxed_conn.open_stream()
        await connection.muxed_conn.event_closed.wait()

    async with listening() as (node, listener, at):
        await attack(node, at, opens)
        assert await is_reached(node, listener, at)


async def test_a_stranger_that_only_stays_is_sent_away() -> None:
    limits = StreamLimits(stranger_stays_s=0.1)

    async def stays(host: Any, peer: Any) -> None:
        [connection] = host.get_network().get_connections(peer)
        await connection.muxed_conn.event_closed.wait()

    async with listening(limits=limits) as (node, listener, at):
        await attack(node, at, stays)
        assert await is_reached(node, listener, at)


async def test_who_never_speaks_noise_does_not_keep_others_out() -> None:
    async with listening() as (node, listener, at):
        silent = [socket.create_connection((at.host, at.port)) for _ in range(4)]
        try:
            for one in silent[:2]:
                one.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert await is_reached(node, listener, at)
        finally:
            for one in silent:
                one.close()


async def test_a_slow_reader_costs_its_own_messages_only() -> None:
    """It takes the connection, and then nothing at all."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dead = TcpAddress("127.0.0.1", silent.getsockname()[1])
        limits = StreamLimits(send_timeout_s=1.0)
        async with listening() as (node, listener, at), listening(HONEST, limits) as (own, _, _):
            to_dead = asyncio.ensure_future(
                own.send(peer_id_of_key(HOSTILE), [dead], PING_PROTOCOL, b"x")
            )
            await own.send(node.peer_id, [at], PING_PROTOCOL, b"hello")
            await eventually(lambda: listener.came)
            with pytest.raises(PeerUnreachable, match=str(dead)):
                await to_dead


async def test_a_peer_is_dialled_by_its_name_which_nobody_needs_afterwards() -> None:
    async with listening() as (node, listener, at), listening(HONEST) as (own, _, _):
        await own.send(node.peer_id, [TcpAddress("localhost", at.port)], PING_PROTOCOL, b"1")
        no_name = TcpAddress("x" * 64, at.port)
        await own.send(node.peer_id, [no_name], PING_PROTOCOL, b"2")
        await eventually(lambda: len(listener.came) == 2)
        with pytest.raises(PeerUnreachable):
            await own.send(peer_id_of_key(HOSTILE), [no_name], PING_PROTOCOL, b"x")


async def test_an_address_where_somebody_else_listens_is_refused() -> None:
    """Whose key is another than the one that was meant."""
    async with listening() as (_, listener, at), listening(HONEST) as (own, _, _):
        with pytest.raises(PeerUnreachable, match=str(at)):
            await own.send(peer_id_of_key(HOSTILE), [at], PING_PROTOCOL, b"x")
        assert listener.came == []


async def test_nobody_at_an_address_is_one_clear_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = TcpAddress("127.0.0.1", free.getsockname()[1])
        async with listening() as (own, _, _):
            with pytest.raises(PeerUnreachable, match=str(nobody)):
                await own.send(peer_id_of_key(HOSTILE), [nobody], PING_PROTOCOL, b"x")
            with pytest.raises(PeerUnreachable, match="no known address"):
                await own.send(peer_id_of_key(HOSTILE), [], PING_PROTOCOL, b"x")


async def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = TcpAddress("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(PortInUse, match=str(at)):
            await Libp2pStreams(NODE, at).start(Listener())
