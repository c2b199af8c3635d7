"""Streams of a P2P node: one message on each, whole, from or to a peer whose key is certain.

A port of its own, so that what a node says (``greenray.actors.p2p.network``) is apart from how it
is carried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from greenray.protocol.peers import (
    PING_PROTOCOL,
    PONG_PROTOCOL,
    REQUEST_PROTOCOL,
    RESPONSE_PROTOCOL,
    TcpAddress,
)

MAX_MESSAGE_BYTES = {
    PING_PROTOCOL: 1024,
    PONG_PROTOCOL: 256 * 1024,
    REQUEST_PROTOCOL: 64 * 1024,
    RESPONSE_PROTOCOL: 64 * 1024,
}
"""By protocol. A Go provider's pong tells every address that it ever saw."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message as it came. ``host``: the IPv4 address at the other end of the connection;
    ``listens_at``: where the peer itself says that it can be reached, unchecked text."""

    peer_id: str
    protocol: str
    message: bytes
    host: str
    listens_at: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to be sent. ``addresses``: where the peer is dialled if it is not connected."""

    peer_id: str
    addresses: tuple[TcpAddress, ...]
    protocol: str
    message: bytes


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Of one node."""

    connections: int = 64
    """Taken from others at a time; as many more are left for those that are dialled."""
    streams: int = 256
    """Taken from others at a time."""
    streams_of_one_peer: int = 64
    """Of one that stands for an SP; further ones wait for their turn."""
    streams_of_one_stranger: int = 8
    """Of a peer that stands for no SP; further ones are refused."""
    open_streams_of_one_peer: int = 1024
    """Of a connection, also of those that wait: six SPs answer 64 rounds at a time."""
    open_streams_of_one_stranger: int = 64
    sends_to_one_peer: int = 16
    """On their way at a time; further ones wait for their turn."""
    connection_bytes: int = 1024 * 1024
    """Held of one connection, of whatever its peer has sent and nobody has read."""
    message_timeout_s: float = 10.0
    """From the first byte of a message to its end."""
    stranger_stays_s: float = 30.0
    """A stranger's connection is ended after this time, and before twice this time."""
    send_timeout_s: float = 5.0
    """To dial, where it is needed, and to hand a message over."""


class PeerHandler(Protocol):
    """Who is told what comes."""

    def is_known(self, peer_id: str) -> bool:
        """Whether it stands for an SP: strangers leave room for such peers."""

    async def received(self, incoming: Incoming) -> None:
        """It is awaited before more of the same stream's place is given away."""

    def misbehaved(self, peer_id: str, what: str) -> None:
        """A message too large, cut off, too slow, or one too many; the stream is reset."""


class PeerStreams(Protocol):
    """Sends and receives."""

    peer_id: str
    """The own one."""

    async def start(self, handler: PeerHandler) -> TcpAddress:
        """Begin to listen, and return where. Raises PortInUse, PeerNetworkUnavailable."""

    async def send(
        self, peer_id: str, addresses: Sequence[TcpAddress], protocol: str, message: bytes
    ) -> None:
        """On a stream of its own, over a connection that is there or is dialled; then a name in
        ``addresses`` is resolved. Returns when the bytes are handed over, for nothing is
        acknowledged. Raises PeerUnreachable."""

    async def stop(self) -> None: ...
