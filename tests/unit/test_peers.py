from __future__ import annotations

import pytest

from greenray.chain.crypto import keccak256, public_key_of
from greenray.protocol.errors import InvalidInput, InvalidSetting
from greenray.protocol.peers import (
    MAX_ADDRESSES,
    MAX_NODES_TAKEN,
    PEERS_PER_SP,
    KnownAddress,
    PeerBook,
    Ping,
    Pong,
    PongNode,
    TcpAddress,
    addresses_to_take,
    parse_bootstrap,
    parse_tcp_address,
    peer_id_of,
    ping_sign_bytes,
    pong_sign_bytes,
    public_key_in,
    tcp_address,
)

SP, OTHER_SP = "0x03a1Bba60B5Aa37094cf16123AdD674c01589488", "0x2BD0C9FE079c8FcA0E3352eb3D02839c"


def peer_id(number: int) -> str:
    return peer_id_of(public_key_of(number.to_bytes(32)))


OWN = peer_id(1)


def address(number: int) -> TcpAddress:
    return TcpAddress("127.0.0.1", 9000 + number)


def known(number: int) -> KnownAddress:
    return KnownAddress(peer_id(number), (address(number),))


# --- identities and addresses ------------------------------------------------------------------


def test_a_peer_id_is_that_of_go_providers() -> None:
    """As libp2p names the key 32 × 0x12."""
    key = public_key_of(bytes([0x12]) * 32)
    assert peer_id_of(key) == "16Uiu2HAmKLvRDEvWsHTgSqBLqfycQtM3CUj6KU51MnozfELMeXev"
    assert public_key_in(peer_id_of(key)) == key


@pytest.mark.parametrize(
    "text",
    ["", "1", "abc", OWN[:-1], OWN + "1", "1" + OWN, OWN[:-1] + "0", "QmYwAPJzv5CZsnA", "1" * 5000],
)
def test_what_is_no_peer_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="16Uiu2HA"):
        public_key_in(text)


@pytest.mark.parametrize(
    "text",
    ["/ip4/127.0.0.1/tcp/9001", f"/ip4/127.0.0.1/tcp/9001/p2p/{OWN}"],
)
def test_a_tcp_address_is_read_with_and_without_the_id(text: str) -> None:
    assert tcp_address(text, OWN) == address(1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/ip4/127.0.0.1/udp/9001/quic",
        "/ip6/::1/tcp/1",
        "/dns4/a.b/tcp/1",
        "/ip4/300.0.0.1/tcp/1",
        "/ip4/127.0.0.1/tcp/0",
        "/ip4/127.0.0.1/tcp/70000",
        f"/ip4/127.0.0.1/tcp/1/p2p/{peer_id(2)}",
        "/ip4/127.0.0.1/tcp/1/p2p-circuit",
    ],
)
def test_other_addresses_are_left(text: str) -> None:
    assert tcp_address(text, OWN) is None


def test_bootstrap_entries_are_read() -> None:
    found = parse_bootstrap([f"{OWN}@sp-1.example.org:9933"], "p2p.bootstrap")
    assert found == (KnownAddress(OWN, (TcpAddress("sp-1.example.org", 9933),)),)


@pytest.mark.parametrize(
    "entry",
    ["127.0.0.1:9933", "nobody@127.0.0.1:9933", f"{OWN}@127.0.0.1", f"{OWN}@:1", f"{OWN}@a:0"],
)
def test_a_bad_bootstrap_entry_is_named_with_its_setting(entry: str) -> None:
    with pytest.raises(InvalidSetting, match=r"p2p\.bootstrap"):
        parse_bootstrap([entry], "p2p.bootstrap")


def test_port_0_is_an_address_only_to_listen_at() -> None:
    assert parse_tcp_address("127.0.0.1:0", "p2p.listen", least_port=0).port == 0
    with pytest.raises(InvalidSetting, match="HOST:PORT"):
        parse_tcp_address("127.0.0.1:0", "p2p.announce")


# --- pings and pongs ---------------------------------------------------------------------------


def test_a_ping_is_signed_as_go_providers_sign_it() -> None:
    sign_bytes = ping_sign_bytes(Ping(SP))
    assert sign_bytes == f'{{"type":"p2p/Ping","value":{{"sp_operator_address":"{SP}"}}}}'.encode()
    digest = "b3932e6005230c744de9f0bb8974d292977cbce58d99a457b3aea099af5c8778"
    assert keccak256(sign_bytes).hex() == digest


def test_what_is_signed_of_a_pong_has_its_nodes() -> None:
    pong = Pong((PongNode("x", ("/ip4/1.2.3.4/tcp/1",)), PongNode("y")), SP)
    assert (
        pong_sign_bytes(pong)
        == (
            '{"type":"p2p/Pong","value":{"nodes":[{"multi_addr":["/ip4/1.2.3.4/tcp/1"],"node_id":"x"},'
            f'{{"node_id":"y"}}],"sp_operator_address":"{SP}"}}}}'
        ).encode()
    )


def taken(*nodes: PongNode, told_by: str = "127.0.0.1") -> tuple[KnownAddress, ...]:
    return addresses_to_take(
        Pong(nodes, SP), told_by=told_by, own_peer_id=OWN, own_addresses=[address(1)]
    )


def test_of_ten_thousand_nodes_a_bounded_number_is_taken() -> None:
    nodes = [
        PongNode(peer_id(2 + n), tuple(f"/ip4/8.8.8.8/tcp/{p + 1}" for p in range(50)))
        for n in range(MAX_NODES_TAKEN + 5)
    ]
    found = taken(*nodes * 100, told_by="8.8.4.4")
    assert len(found) == MAX_NODES_TAKEN
    assert all(len(one.addresses) == MAX_ADDRESSES for one in found)


def test_own_id_and_own_addresses_are_left() -> None:
    assert (
        taken(PongNode(OWN, ("/ip4/9.9.9.9/tcp/1",)), PongNode(peer_id(2), (address(1).multiaddr,)))
        == ()
    )


def test_nobody_afar_makes_a_node_dial_into_its_own_network() -> None:
    inside = PongNode(peer_id(2), ("/ip4/127.0.0.1/tcp/22", "/ip4/10.0.0.7/tcp/22"))
    assert taken(inside, told_by="8.8.8.8") == ()
    [near] = taken(inside, told_by="10.0.0.9")
    assert near.addresses == (TcpAddress("10.0.0.7", 22),)
    assert len(taken(inside, told_by="127.0.0.1")[0].addresses) == 2


@pytest.mark.parametrize("host", ["0.0.0.0", "224.0.0.1", "255.255.255.255"])
def test_an_address_of_nobody_is_left(host: str) -> None:
    assert taken(PongNode(peer_id(2), (f"/ip4/{host}/tcp/1",))) == ()


# --- the book ----------------------------------------------------------------------------------


def test_bootstrap_peers_are_asked_until_one_is_known_to_stand_for_the_sp() -> None:
    book = PeerBook(OWN, (known(2), known(3)))
    assert {p.peer_id for p in book.to_ask(SP)} == {peer_id(2), peer_id(3)}
    book.met(peer_id(2), [SP], 10.0)
    assert [p.peer_id for p in book.to_ask(SP)] == [peer_id(2), peer_id(3)]
    book.proved(peer_id(2), SP, 11.0)
    assert [p.peer_id for p in book.to_ask(SP)] == [peer_id(2)]
    assert [p.peer_id for p in book.to_ask(OTHER_SP)] == [peer_id(3)]


def test_a_peer_may_stand_for_several_sps() -> None:
    book = PeerBook(OWN)
    book.met(peer_id(2), [SP], 1.0)
    book.met(peer_id(2), [OTHER_SP], 2.0)
    assert book.standing_for(SP) == book.standing_for(OTHER_SP)


def test_of_more_than_ten_of_one_sp_the_worst_is_dropped() -> None:
    book = PeerBook(OWN)
    for number in range(2, 2 + PEERS_PER_SP):
        book.met(peer_id(number), [SP], float(number))
    book.failed(peer_id(7))
    book.met(peer_id(50), [SP], 50.0)
    assert len(book) == PEERS_PER_SP
    assert book.find(peer_id(7)) is None
    assert book.find(peer_id(50)) is not None


def test_any_number_that_claim_an_sp_leave_the_peer_that_proved_it() -> None:
    book = PeerBook(OWN)
    book.met(peer_id(2), [SP], 1.0)
    book.proved(peer_id(2), SP, 1.0)
    for _ in range(5):
        book.failed(peer_id(2))
    for number in range(3, 40):
        book.met(peer_id(number), [SP], float(number))
    assert book.standing_for(SP)[0].peer_id == peer_id(2)


def test_who_was_only_told_of_takes_no_place_of_who_was_met() -> None:
    book = PeerBook(OWN, (known(100),))
    for number in range(2, 2 + PEERS_PER_SP):
        book.met(peer_id(number), [], float(number))
    for number in range(40, 90):
        book.heard_of(known(number))
    assert {p.peer_id for p in book} == {peer_id(n) for n in [100, *range(2, 2 + PEERS_PER_SP)]}


def test_what_others_say_does_not_move_a_peer() -> None:
    book = PeerBook(OWN, (known(2),))
    book.heard_of(KnownAddress(peer_id(2), (address(77),)))
    book.listens_at(peer_id(2), [address(77)])
    assert book.find(peer_id(2)) == PeerBook(OWN, (known(2),)).find(peer_id(2))


def test_own_id_is_never_in_the_book() -> None:
    book = PeerBook(OWN, (known(1),))
    book.met(OWN, [SP], 1.0)
    book.heard_of(known(1))
    assert len(book) == 0


def test_nobody_stands_for_an_sp_that_left() -> None:
    book = PeerBook(OWN)
    book.met(peer_id(2), [SP, OTHER_SP], 1.0)
    book.only_sps([OTHER_SP])
    assert book.standing_for(SP) == ()
    assert len(book.standing_for(OTHER_SP)) == 1
