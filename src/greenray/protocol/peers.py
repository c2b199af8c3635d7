"""Peers of the P2P network: who they are, what they tell each other of themselves, and which of
them are remembered (protocol 03 §2, §3).

A *peer* is a node of the network, named by its key; it stands for one SP, or for several. Nothing
that a peer says is taken for more than it is: a ping can be replayed, so that standing for an SP
means to be asked, and only an approval that verifies proves it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from greenray.protocol.errors import InvalidInput, InvalidSetting
from greenray.protocol.go_json import dump

PING_PROTOCOL = "/ping/0.0.1"
PONG_PROTOCOL = "/pong/0.0.1"
REQUEST_PROTOCOL = "/approval/request/0.0.1"
RESPONSE_PROTOCOL = "/approval/response/0.0.1"

PEERS_PER_SP = 10
"""What a Go provider keeps; above it the worst are dropped."""

MAX_NODES_TAKEN = 100
"""Of one pong. A Go provider tells all peers that it ever met."""

MAX_ADDRESSES = 4
"""Of one peer. A Go provider also tells the ports that others have dialled from."""

_NO_SP = ""
"""Peers of whom nobody knows what they stand for are a group, too."""

_PUBLIC_KEY_PREFIX = bytes.fromhex("002508021221")
"""An identity multihash of 37 bytes: a protobuf of a secp256k1 key (type 2) of 33 bytes."""

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_MAX_PEER_ID_CHARACTERS = 64
_TCP_ADDRESS = re.compile(r"/ip4/(?P<host>[0-9.]{7,15})/tcp/(?P<port>[0-9]{1,5})")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


# --- identities and addresses ------------------------------------------------------------------


def peer_id_of(public_key: bytes) -> str:
    """The peer id (``16Uiu2HA…``) of a compressed secp256k1 public key of 33 bytes."""
    number = int.from_bytes(_PUBLIC_KEY_PREFIX + public_key)
    digits = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(_BASE58[digit])
    # The multihash begins with a zero byte, which base58 writes as its digit 1.
    return "1" + "".join(reversed(digits))


def public_key_in(peer_id: str) -> bytes:
    """The compressed public key (33 bytes) that a peer id is of.

    Raises:
        InvalidInput: it is no peer id of a secp256k1 key.
    """
    wrong = InvalidInput(
        "not the id of a peer with a secp256k1 key", peer_id[:80], "It begins with 16Uiu2HA"
    )
    if len(peer_id) > _MAX_PEER_ID_CHARACTERS or not peer_id.startswith("1"):
        raise wrong
    number = 0
    for character in peer_id:
        digit = _BASE58.find(character)
        if digit < 0:
            raise wrong
        number = number * 58 + digit
    size_bytes = len(_PUBLIC_KEY_PREFIX) + 33
    if number >= 1 << (8 * size_bytes):
        raise wrong
    multihash = number.to_bytes(size_bytes)
    key = multihash[len(_PUBLIC_KEY_PREFIX) :]
    if multihash[: len(_PUBLIC_KEY_PREFIX)] != _PUBLIC_KEY_PREFIX or peer_id_of(key) != peer_id:
        raise wrong
    return key


@dataclass(frozen=True, slots=True, order=True)
class TcpAddress:
    """Where a peer listens: an IPv4 address, or a host's name (in bootstrap entries only)."""

    host: str
    port: int

    @property
    def is_numeric(self) -> bool:
        return _TCP_ADDRESS.fullmatch(self.multiaddr) is not None

    @property
    def multiaddr(self) -> str:
        return f"/ip4/{self.host}/tcp/{self.port}"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def tcp_address(multiaddr: str, peer_id: str) -> TcpAddress | None:
    """The address in ``/ip4/HOST/tcp/PORT``, with or without ``/p2p/PEER_ID`` behind it; None for
    every other transport, which a provider does not listen on."""
    match = _TCP_ADDRESS.fullmatch(multiaddr.removesuffix(f"/p2p/{peer_id}"))
    if match is None or not 0 < int(match["port"]) < 65536:
        return None
    try:
        ipaddress.IPv4Address(match["host"])
    except ValueError:
        return None
    return TcpAddress(match["host"], int(match["port"]))


def parse_tcp_address(text: str, where: str, least_port: int = 1) -> TcpAddress:
    """``HOST:PORT``. ``where`` names the source for errors.

    Raises:
        InvalidSetting: it is not.
    """
    host, _, port = text.rpartition(":")
    if _HOST.fullmatch(host) and port.isascii() and port.isdigit() and len(port) <= 5:
        number = int(port)
        if least_port <= number < 65536:
            return TcpAddress(host, number)
    raise InvalidSetting(f"{text[:200]!r} is not HOST:PORT", where, "For example 127.0.0.1:9933")


@dataclass(frozen=True, slots=True)
class KnownAddress:
    """A peer and where it listens."""

    peer_id: str
    addresses: tuple[TcpAddress, ...]


def parse_bootstrap(entries: Iterable[str], where: str) -> tuple[KnownAddress, ...]:
    """Entries ``PEER_ID@HOST:PORT``, as in the configuration of a Go provider.

    Raises:
        InvalidSetting: an entry is not of this form, or its id is no peer's.
    """
    found = []
    for entry in entries:
        peer_id, at, address = entry.partition("@")
        if not at:
            raise InvalidSetting(f"{entry[:200]!r} is not PEER_ID@HOST:PORT", where)
        try:
            public_key_in(peer_id)
        except InvalidInput as error:
            raise InvalidSetting(f"{error.where!r} is {error.what}", where) from error
        found.append(KnownAddress(peer_id, (parse_tcp_address(address, where),)))
    return tuple(found)


# --- pings and pongs ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ping:
    """A peer says that it stands for ``sp_operator_address``. The signature is of the SP's
    operator key, and neither of this peer nor of this time."""

    sp_operator_address: str
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class PongNode:
    """A peer that a pong tells of; ``multi_addr`` as text, since anything may stand there."""

    node_id: str
    multi_addr: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping: itself and the peers that it knows. One with an empty signature stands
    for no SP."""

    nodes: tuple[PongNode, ...]
    sp_operator_address: str
    signature: bytes = b""


def ping_sign_bytes(ping: Ping) -> bytes:
    """What the operator key signs; the signature itself is left out."""
    return _sign_bytes("p2p/Ping", _without_empty(sp_operator_address=ping.sp_operator_address))


def pong_sign_bytes(pong: Pong) -> bytes:
    """What the operator key signs; the signature itself is left out."""
    nodes = [
        _without_empty(node_id=node.node_id, multi_addr=list(node.multi_addr))
        for node in pong.nodes
    ]
    value = _without_empty(nodes=nodes, sp_operator_address=pong.sp_operator_address)
    return _sign_bytes("p2p/Pong", value)


def _without_empty(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value}


def _sign_bytes(type_name: str, value: dict[str, object]) -> bytes:
    return dump({"type": type_name, "value": value}, sort_keys=True).encode()


def addresses_to_take(
    pong: Pong, *, told_by: str, own_peer_id: str, own_addresses: Collection[TcpAddress]
) -> tuple[KnownAddress, ...]:
    """What of a pong is worth a look: whole peer ids with addresses that are not our own.

    ``told_by`` is the IPv4 address that the pong came from. Who is not of this machine, or not of
    this private network, does not make us dial into it.
    """
    reach = _reach(told_by)
    found: dict[str, KnownAddress] = {}
    for node in pong.nodes[:MAX_NODES_TAKEN]:
        if node.node_id == own_peer_id or not _is_peer_id(node.node_id):
            continue
        addresses = [
            address
            for text in node.multi_addr[: 4 * MAX_ADDRESSES]
            if (address := tcp_address(text, node.node_id)) is not None
            and address not in own_addresses
            and _reach(address.host) >= reach
            and not _is_nowhere(address.host)
        ]
        if addresses:
            unique = tuple(dict.fromkeys(addresses))[:MAX_ADDRESSES]
            found.setdefault(node.node_id, KnownAddress(node.node_id, unique))
    return tuple(found.values())


def _is_peer_id(text: str) -> bool:
    try:
        public_key_in(text)
    except InvalidInput:
        return False
    return True


def _reach(host: str) -> int:
    """0: of this machine; 1: of a private network; 2: of everybody, or unknown."""
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        return 2
    if address.is_loopback:
        return 0
    return 1 if address.is_private or address.is_link_local else 2


def _is_nowhere(host: str) -> bool:
    address = ipaddress.IPv4Address(host)
    return address.is_multicast or address.is_unspecified or address.is_reserved


# --- the book of peers -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Peer:
    """What is known of one peer. Times are unix seconds; 0: never."""

    peer_id: str
    addresses: tuple[TcpAddress, ...] = ()
    sps: frozenset[str] = frozenset()
    """SPs that it has said to stand for, with a signature of theirs."""
    proven_for: frozenset[str] = frozenset()
    """Those of whom it has brought an approval that verified."""
    is_bootstrap: bool = False
    failures: int = 0
    """In a row, since it was last of use."""
    last_seen_s: float = 0.0


@dataclass(slots=True)
class PeerBook:
    """The peers that one node knows: at most ``PEERS_PER_SP`` that stand for one SP, and as many of
    whom nobody knows what they stand for. Bootstrap peers stay, and do not count."""

    own_peer_id: str
    bootstrap: tuple[KnownAddress, ...] = ()
    _peers: dict[str, Peer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for known in self.bootstrap:
            if known.peer_id != self.own_peer_id:
                self._peers[known.peer_id] = Peer(known.peer_id, known.addresses, is_bootstrap=True)

    def __len__(self) -> int:
        return len(self._peers)

    def __iter__(self) -> Iterator[Peer]:
        return iter(tuple(self._peers.values()))

    def find(self, peer_id: str) -> Peer | None:
        return self._peers.get(peer_id)

    def heard_of(self, known: KnownAddress) -> None:
        """Somebody told of a peer. It takes no place of one that was met: among those of no SP it
        comes last, and is forgotten at once when they are enough."""
        if known.peer_id == self.own_peer_id:
            return
        peer = self._peers.get(known.peer_id)
        if peer is None:
            self._keep(Peer(known.peer_id, known.addresses))
        elif not peer.addresses:
            self._keep(replace(peer, addresses=known.addresses))

    def met(self, peer_id: str, sps: Iterable[str], now_s: float) -> None:
        """It spoke, and said with good signatures that it stands for ``sps``."""
        if peer_id == self.own_peer_id:
            return
        peer = self._peers.get(peer_id) or Peer(peer_id)
        self._keep(replace(peer, sps=peer.sps | set(sps), last_seen_s=now_s))

    def listens_at(self, peer_id: str, addresses: Iterable[TcpAddress]) -> None:
        """Where a peer that was met says that it can be reached; it replaces what others said.
        A bootstrap entry stays as its operator wrote it."""
        peer = self._peers.get(peer_id)
        taken = tuple(dict.fromkeys(addresses))[:MAX_ADDRESSES]
        if peer is not None and taken and not peer.is_bootstrap:
            self._keep(replace(peer, addresses=taken))

    def proved(self, peer_id: str, sp_address: str, now_s: float) -> None:
        """It brought an approval of ``sp_address`` that verified."""
        peer = self._peers.get(peer_id)
        if peer is not None:
            proven = peer.proven_for | {sp_address}
            self._keep(
                replace(
                    peer,
                    sps=peer.sps | {sp_address},
                    proven_for=proven,
                    failures=0,
                    last_seen_s=now_s,
                )
            )

    def failed(self, peer_id: str) -> None:
        """It could not be reached, or what it sent was worth nothing."""
        peer = self._peers.get(peer_id)
        if peer is not None:
            self._keep(replace(peer, failures=peer.failures + 1))

    def only_sps(self, in_service: Collection[str]) -> None:
        """Nobody stands for an SP that the chain does not have, or that has left service."""
        for peer in self:
            if not peer.sps <= set(in_service):
                sps = peer.sps & set(in_service)
                self._keep(replace(peer, sps=sps, proven_for=peer.proven_for & sps))

    def standing_for(self, sp_address: str) -> tuple[Peer, ...]:
        """The best first."""
        return tuple(
            sorted((p for p in self if sp_address in p.sps), key=lambda p: _badness(p, sp_address))
        )

    def to_ask(self, sp_address: str) -> tuple[Peer, ...]:
        """Who may have an answer of ``sp_address``: those that stand for it, and as long as none
        of them has proven it, also those of whom nobody knows what they stand for."""
        standing = self.standing_for(sp_address)
        if any(sp_address in peer.proven_for for peer in standing):
            return standing
        return standing + tuple(peer for peer in self if not peer.sps)

    def _keep(self, peer: Peer) -> None:
        self._peers[peer.peer_id] = peer
        for sp_address in peer.sps or {_NO_SP}:
            group = [p for p in self if not p.is_bootstrap and sp_address in (p.sps or {_NO_SP})]
            if len(group) > PEERS_PER_SP:
                self._leave(max(group, key=lambda p: _badness(p, sp_address)), sp_address)

    def _leave(self, peer: Peer, sp_address: str) -> None:
        """It is forgotten when it stands for no other SP."""
        sps = peer.sps - {sp_address}
        if sps:
            left = replace(peer, sps=sps, proven_for=peer.proven_for - {sp_address})
            self._peers[peer.peer_id] = left
        else:
            del self._peers[peer.peer_id]


def _badness(peer: Peer, sp_address: str) -> tuple[bool, int, float, bytes]:
    """The greatest is dropped: what never proved itself, what fails, what was not seen for long. A
    proven peer that fails goes on being better than any number that only say so."""
    tie = hashlib.sha256(peer.peer_id.encode()).digest()
    return (sp_address not in peer.proven_for, peer.failures, -peer.last_seen_s, tie)
