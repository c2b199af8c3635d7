from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.p2p.actor import P2P, LoopbackTransport
from greenray.actors.p2p.transport import PeerTransport
from greenray.chain.dialects import get_dialect
from greenray.protocol.errors import PeerNetworkUnavailable
from greenray.protocol.objects import ObjectInfo
from tests.contracts.peer_transport_contract import ASKED, PeerTransportContract
from tests.support.peer_clusters import (
    NOW,
    PRIMARY,
    SPS,
    Hub,
    HubStreams,
    MakeStreams,
    chain_of,
    cluster,
    knows,
    libp2p_streams,
    network_of,
)
from tests.support.sps import KeySigner
from tests.support.waiting import eventually

World = tuple[PeerTransport, ObjectInfo]


class TestLoopback(PeerTransportContract):
    @asynccontextmanager
    async def world(self) -> AsyncIterator[World]:
        chain, info = chain_of(SPS)
        node = P2P(
            hosted=[sp.address for sp in (PRIMARY, *ASKED)],
            providers=ProviderBook(chain, lambda: NOW),
            signer=KeySigner(SPS),
            dialect=get_dialect(),
            clock=lambda: NOW,
        )
        yield LoopbackTransport(node), info


@asynccontextmanager
async def two_clusters(make_streams: MakeStreams) -> AsyncIterator[World]:
    """The second one knows of nobody: it learns of the first by its ping."""
    chain, info = chain_of(SPS)
    async with (
        cluster("b", ASKED, chain, make_streams) as b,
        cluster("a", [PRIMARY], chain, make_streams, [b.known_address]) as a,
    ):
        await eventually(lambda: knows(b, [PRIMARY]))
        await b.network.ping_all()
        await eventually(lambda: knows(a, ASKED))
        yield LoopbackTransport(a.p2p, a.network), info


class TestPeersOfOneProcess(PeerTransportContract):
    @asynccontextmanager
    async def world(self) -> AsyncIterator[World]:
        hub = Hub()
        async with two_clusters(lambda key: HubStreams(hub, key)) as world:
            yield world


@pytest.mark.skipif(
    importlib.util.find_spec("libp2p") is None, reason="libp2p is not installed (greenray[p2p])"
)
class TestPeersOverLibp2p(PeerTransportContract):
    @asynccontextmanager
    async def world(self) -> AsyncIterator[World]:
        async with two_clusters(libp2p_streams) as world:
            yield world


async def test_without_the_extra_a_node_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "greenray.actors.p2p.libp2p_node", None)
    network = network_of(libp2p_streams(bytes([0x12]) * 32), [PRIMARY], chain_of(SPS)[0])
    with pytest.raises(PeerNetworkUnavailable, match=r"Install greenray\[p2p\]"):
        await network.start(_no_answer)
    await network.stop()


async def _no_answer(sp_address: str, message: bytes) -> bytes | None:
    return None
