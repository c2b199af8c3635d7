from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from greenray.chain.crypto import public_key_of
from greenray.chain.dialects.v0_2.p2p_wire import decode_ping, decode_pong, encode_ping, encode_pong
from greenray.protocol.errors import InvalidInput
from greenray.protocol.peers import (
    PEERS_PER_SP,
    KnownAddress,
    PeerBook,
    Ping,
    Pong,
    PongNode,
    TcpAddress,
    peer_id_of,
    public_key_in,
)

PEERS = [peer_id_of(public_key_of(n.to_bytes(32))) for n in range(1, 40)]
SPS = ["sp-1", "sp-2", "sp-3"]

peers = st.sampled_from(PEERS)
text = st.text(max_size=20)
addresses = st.builds(TcpAddress, st.just("127.0.0.1"), st.integers(1, 65535))
steps = st.one_of(
    st.tuples(st.just("met"), peers, st.sets(st.sampled_from(SPS)), st.floats(0, 1e9)),
    st.tuples(st.just("proved"), peers, st.sampled_from(SPS), st.floats(0, 1e9)),
    st.tuples(st.just("failed"), peers),
    st.tuples(st.just("heard_of"), st.builds(KnownAddress, peers, st.tuples(addresses))),
    st.tuples(st.just("listens_at"), peers, st.lists(addresses)),
    st.tuples(st.just("only_sps"), st.sets(st.sampled_from(SPS))),
)


@given(st.lists(steps, max_size=200))
def test_whatever_happens_the_book_is_bounded_and_keeps_its_bootstrap(
    happens: list[tuple[str, *tuple[object, ...]]],
) -> None:
    start = tuple(KnownAddress(p, (TcpAddress("127.0.0.1", 1),)) for p in PEERS[1:3])
    book = PeerBook(PEERS[0], start)
    for what, *arguments in happens:
        getattr(book, what)(*arguments)
        groups = Counter(sp for p in book if not p.is_bootstrap for sp in (p.sps or {""}))
        assert all(size <= PEERS_PER_SP for size in groups.values())
        assert {p.peer_id for p in book if p.is_bootstrap} == {k.peer_id for k in start}
        assert book.find(PEERS[0]) is None
        assert all(p.proven_for <= p.sps for p in book)


@given(st.integers(1, 2**200))
def test_a_peer_id_names_its_key(number: int) -> None:
    key = public_key_of(number.to_bytes(32))
    assert public_key_in(peer_id_of(key)) == key


@given(st.text(max_size=80))
def test_any_text_is_a_peer_id_or_refused(text: str) -> None:
    try:
        key = public_key_in(text)
    except InvalidInput:
        return
    assert peer_id_of(key) == text


@given(st.builds(Ping, text, st.binary(max_size=70)))
def test_a_ping_comes_back_from_its_bytes(ping: Ping) -> None:
    assert decode_ping(encode_ping(ping)) == ping


nodes = st.builds(PongNode, text, st.lists(text, max_size=3).map(tuple))


@given(st.builds(Pong, st.lists(nodes, max_size=5).map(tuple), text, st.binary(max_size=70)))
def test_a_pong_comes_back_from_its_bytes(pong: Pong) -> None:
    assert decode_pong(encode_pong(pong)) == pong
