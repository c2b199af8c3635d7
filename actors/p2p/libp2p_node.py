"""A libp2p host on trio, in a thread of its own. Only this module knows libp2p and trio.

The package trusts a peer to keep to the window that it was given, and opens as many streams as
come; ``_BoundedYamux`` ends the connection of one that does not.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import trio
from libp2p import new_host
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.secp256k1 import Secp256k1PrivateKey
from libp2p.crypto.x25519 import create_new_key_pair as new_noise_pair
from libp2p.network.config import ConnectionConfig
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from multiaddr import Multiaddr

from greenray.actors.p2p.stream_places import StreamPlaces
from greenray.actors.p2p.streams import MAX_MESSAGE_BYTES, Incoming, Outgoing, StreamLimits
from greenray.protocol.peers import TcpAddress, tcp_address

_READ_BYTES = 16 * 1024
_ADDRESSES_LOOKED_AT = 16
_ENDED = "the P2P node has ended"

Tell = Callable[[str | None], None]


class Libp2pNode:
    """``run`` is the thread's; ``send``, ``handled`` and ``stop`` may be called from any other."""

    def __init__(
        self,
        *,
        key: bytes,
        listen: TcpAddress,
        announce: TcpAddress | None,
        limits: StreamLimits,
        is_known: Callable[[str], bool],
        up: Callable[[TcpAddress | Exception], None],
        deliver: Callable[[Incoming, int], None],
        misbehaved: Callable[[str, str], None],
    ) -> None:
        """What it is given is called from its thread. ``up``: once, with where it listens or why
        it does not. ``deliver``: a message, with the ticket that ``handled`` takes."""
        self._key = key
        self._listen = listen
        self._announce = announce
        self._limits = limits
        self._is_known = is_known
        self._up = up
        self._deliver = deliver
        self._misbehaved = misbehaved
        self._places = StreamPlaces(
            limits.streams, limits.streams_of_one_peer, limits.streams_of_one_stranger
        )
        self._given_back = trio.Event()
        self._tickets = itertools.count()
        self._waiting: dict[int, trio.Event] = {}
        self._token: Any = None
        self._nursery: Any = None
        self._host: Any = None
        self._is_ending = False

    # --- from other threads ----------------------------------------------------------------------

    def send(self, outgoing: Outgoing, tell: Tell) -> None:
        """``tell`` gets None when it is handed over, or why it is not."""
        self._soon(self._start_sending, (outgoing, tell), tell)

    def handled(self, ticket: int) -> None:
        self._soon(self._set_handled, (ticket,), None)

    def stop(self) -> None:
        self._soon(self._cancel, (), None)

    def _soon(
        self, call: Callable[..., None], arguments: tuple[Any, ...], tell: Tell | None
    ) -> None:
        try:
            self._token.run_sync_soon(call, *arguments)
        except trio.RunFinishedError:
            if tell is not None:
                tell(_ENDED)

    # --- in its thread ---------------------------------------------------------------------------

    def run(self) -> None:
        """Until it is stopped."""
        # It reports every peer that goes away in its own words; what matters is told in ours.
        logging.getLogger("libp2p").setLevel(logging.CRITICAL)
        try:
            trio.run(self._main)
        except Exception as error:
            self._up(error)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        address = Multiaddr(self._listen.multiaddr)
        self._host = host = self._new_host()
        for protocol in MAX_MESSAGE_BYTES:
            host.set_stream_handler(protocol, partial(self._take, protocol))
        # It would dial whoever a peer has told of, wherever that is said to be.
        host.get_network().auto_connector.maybe_connect = _connect_to_nobody
        async with host.run([address]), trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._forget_strangers)
            self._up(self._listens_at())
            await trio.sleep_forever()

    def _new_host(self) -> Any:
        private = Secp256k1PrivateKey.from_bytes(self._key)
        pair = KeyPair(private, private.get_public_key())
        noise = NoiseTransport(pair, noise_privkey=new_noise_pair().private_key)
        limits = self._limits
        connections = 2 * limits.connections
        config = ConnectionConfig(
            max_connections=connections,
            min_connections=limits.connections,
            low_watermark=limits.connections,
            high_watermark=connections,
            max_connections_per_peer=2,
            dial_timeout=limits.send_timeout_s,
            inbound_upgrade_timeout=limits.message_timeout_s,
            outbound_upgrade_timeout=limits.send_timeout_s,
            auto_connect_interval=86400.0,
        )
        muxers = {YAMUX: _bounded(limits, self._is_known)}
        host = new_host(
            key_pair=pair,
            sec_opt={NOISE: noise},
            muxer_opt=muxers,
            connection_config=config,
            listen_addrs=[Multiaddr(self._listen.multiaddr)],
            announce_addrs=[Multiaddr(self._announce.multiaddr)] if self._announce else None,
        )
        host.get_network().upgrader.muxer_multistream = _Muxers(muxers)
        return host

    def _listens_at(self) -> TcpAddress:
        own = str(self._host.get_id())
        [listener] = self._host.get_network().listeners.values()
        for address in listener.get_addrs():
            found = tcp_address(str(address), own)
            if found is not None:
                return found
        raise OSError("no TCP address")

    def _set_handled(self, ticket: int) -> None:
        event = self._waiting.pop(ticket, None)
        if event is not None:
            event.set()

    def _cancel(self) -> None:
        self._is_ending = True
        self._nursery.cancel_scope.cancel()

    def _start_sending(self, outgoing: Outgoing, tell: Tell) -> None:
        if self._is_ending:
            tell(_ENDED)
        else:
            self._nursery.start_soon(self._send, outgoing, tell)

    async def _send(self, outgoing: Outgoing, tell: Tell) -> None:
        fault: str | None = _ENDED
        try:
            with trio.move_on_after(self._limits.send_timeout_s) as scope:
                fault = await self._try_to_send(outgoing)
            if scope.cancelled_caught:
                fault = f"no connection, or nothing taken, within {self._limits.send_timeout_s} s"
                # A frame may have been cut: what follows it would be read as the rest of it.
                await self._hang_up(outgoing.peer_id)
        finally:
            tell(fault)

    async def _try_to_send(self, outgoing: Outgoing) -> str | None:
        try:
            peer = ID.from_base58(outgoing.peer_id)
            if not self._host.get_network().get_connections(peer):
                addresses = await _resolved(outgoing.addresses)
                if not addresses:
                    return "it is not connected, and no address of it is known"
                # What it, or others, have said of its addresses is not dialled.
                self._host.get_peerstore().clear_addrs(peer)
                multiaddrs = [Multiaddr(address.multiaddr) for address in addresses]
                await self._host.connect(PeerInfo(peer, multiaddrs))
            stream = await self._host.new_stream(peer, [outgoing.protocol])
            await stream.write(outgoing.message)
            await stream.close()
        except Exception as error:
            return f"{type(error).__name__}: {error}"[:300]
        return None

    async def _hang_up(self, peer_id: str) -> None:
        with trio.move_on_after(1.0):
            try:
                await self._host.disconnect(ID.from_base58(peer_id))
            except Exception as error:
                self._misbehaved(peer_id, f"its connection does not end: {error}")

    async def _take(self, protocol: str, stream: Any) -> None:
        """One stream of a peer, from its first byte until its message is handled."""
        peer_id = str(stream.muxed_conn.peer_id)
        is_known = self._is_known(peer_id)
        if not await self._takes_place(peer_id, is_known=is_known):
            await self._refuse(stream, peer_id, "too many streams at a time")
            return
        try:
            with trio.move_on_after(self._limits.message_timeout_s) as scope:
                message = await self._read(protocol, stream, peer_id)
            if scope.cancelled_caught:
                await self._refuse(stream, peer_id, "a message that does not end in time")
            elif message is not None:
                with contextlib.suppress(Exception):  # it may be closed already
                    await stream.close()
                await self._hand_over(protocol, stream, peer_id, message)
        except Exception as error:  # its connection may end at any moment
            self._misbehaved(peer_id, f"{protocol}: {type(error).__name__}: {error}"[:300])
        finally:
            self._places.give_back(peer_id, is_known=is_known)
            self._given_back.set()
            self._given_back = trio.Event()

    async def _takes_place(self, peer_id: str, *, is_known: bool) -> bool:
        """Who stands for an SP waits for one: what it sends is not sent again."""
        with trio.move_on_after(self._limits.message_timeout_s if is_known else 0):
            while not self._places.take(peer_id, is_known=is_known):
                await self._given_back.wait()
            return True
        return False

    async def _read(self, protocol: str, stream: Any, peer_id: str) -> bytes | None:
        message = bytearray()
        try:
            while chunk := await stream.read(_READ_BYTES):
                message += chunk
                if len(message) > MAX_MESSAGE_BYTES[protocol]:
                    what = f"a message of more than {MAX_MESSAGE_BYTES[protocol]} bytes"
                    await self._refuse(stream, peer_id, f"{what} on {protocol}")
                    return None
            is_whole = True
        except StreamEOF:
            # It says so as well of a stream that was reset, or whose connection broke.
            is_whole = not stream.muxed_stream.reset_received
        except Exception:
            is_whole = False
        if not is_whole:
            self._misbehaved(peer_id, f"a message cut off on {protocol}")
            return None
        return bytes(message)

    async def _hand_over(self, protocol: str, stream: Any, peer_id: str, message: bytes) -> None:
        remote = stream.muxed_conn.get_remote_address()
        listens_at = self._told_addresses(stream.muxed_conn.peer_id)
        ticket = next(self._tickets)
        self._waiting[ticket] = handled = trio.Event()
        host = str(remote[0]) if remote else ""
        self._deliver(Incoming(peer_id, protocol, message, host, listens_at), ticket)
        try:
            await handled.wait()
        finally:
            self._waiting.pop(ticket, None)

    def _told_addresses(self, peer: Any) -> tuple[str, ...]:
        try:
            told = self._host.get_peerstore().addrs(peer)
        except Exception:  # it raises for a peer of whom it has none
            return ()
        return tuple(str(address) for address in told[:_ADDRESSES_LOOKED_AT])

    async def _refuse(self, stream: Any, peer_id: str, what: str) -> None:
        self._misbehaved(peer_id, what)
        with trio.move_on_after(1.0), contextlib.suppress(Exception):
            await stream.reset()

    async def _forget_strangers(self) -> None:
        """A connection of a stranger is somebody else's place; who has something to say comes
        again. And libp2p remembers every peer that was ever connected."""
        stayed: set[str] = set()
        while True:
            await trio.sleep(self._limits.stranger_stays_s)
            store, network = self._host.get_peerstore(), self._host.get_network()
            strangers = {
                peer_id for peer in network.connections if not self._is_known(peer_id := str(peer))
            }
            for peer_id in strangers & stayed:
                await self._hang_up(peer_id)
            stayed = strangers
            for peer in store.peer_ids():
                is_self = peer == self._host.get_id()
                if not is_self and not network.get_connections(peer):
                    store.clear_peerdata(peer)


async def _resolved(addresses: Sequence[TcpAddress]) -> list[TcpAddress]:
    """Host names as IPv4 addresses, all of them; a name that is not found is left out."""
    found: list[TcpAddress] = []
    for address in addresses:
        try:
            infos = await trio.socket.getaddrinfo(
                address.host, address.port, family=socket.AF_INET, type=socket.SOCK_STREAM
            )
        except OSError:
            continue
        found += [TcpAddress(str(info[4][0]), address.port) for info in infos]
    return found


async def _connect_to_nobody() -> None:
    """Who is dialled, and where, is the peer book's."""


def _bounded(limits: StreamLimits, is_known: Callable[[str], bool]) -> type[Yamux]:
    class Bounded(_BoundedYamux):
        connection_bytes = limits.connection_bytes

        def most_streams(self) -> int:
            if is_known(str(self.peer_id)):
                return limits.open_streams_of_one_peer
            return limits.open_streams_of_one_stranger

    return Bounded


class _Muxers(MuxerMultistream):
    """The package's own makes a Yamux of its own, whatever it was given for one."""

    async def new_conn(self, conn: Any, peer_id: Any) -> Any:
        protocol, muxer = await self._selector.select(
            conn, conn.is_initiator, self.negotiate_timeout
        )
        return self._annotate_connection(muxer(conn, peer_id), conn, protocol)


class _BoundedYamux(Yamux):
    """Ends a connection that sends more than it may before it is read, or opens too much."""

    connection_bytes: int

    def most_streams(self) -> int:
        raise NotImplementedError

    async def _read_data_body(self, length: int) -> bytes:
        held = sum(map(len, self.stream_buffers.values()))
        if held + length > self.connection_bytes:
            await self._cleanup_on_error()
            # Of what it raises, this alone ends the loop that reads frames.
            raise trio.TooSlowError
        body: bytes = await super()._read_data_body(length)
        return body

    async def accept_stream(self) -> Any:
        stream = await super().accept_stream()
        if len(self.streams) > self.most_streams():
            await self._cleanup_on_error()
        return stream
