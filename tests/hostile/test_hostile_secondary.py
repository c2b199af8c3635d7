"""Another SP that means harm, and ours that sends it pieces or asks it for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.downloader.pieces import HttpPieces
from greenray.actors.p2p.actor import MAX_MESSAGE_BYTES, P2P
from greenray.actors.replication.secondaries import Directory
from greenray.actors.replication.settings import HttpSettings
from greenray.chain.dialects import get_dialect
from greenray.cluster.in_process import LocalSpace
from greenray.protocol.errors import SecondaryFailed, SecondaryTimeout
from greenray.protocol.objects import StorageProvider
from greenray.storage.ports import ColumnKey
from tests.support.fake_chain import FakeChain
from tests.support.groups import ObjectGroups, put_object_on_chain
from tests.support.raw_server import Speak, answer, raw_server
from tests.support.sps import SpKeys

MIB = 1024 * 1024
PRIMARY, SECONDARY = SpKeys.numbered(0), SpKeys.numbered(1)
ESCAPES = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\nall is well\u202e"


class OwnSigner:
    """Signs what requests to others need."""

    async def sign_as_operator(self, sp_address: str, message: bytes) -> bytes:
        return bytes(65)


async def send(endpoint: str, idle_timeout_s: float = 20.0) -> None:
    groups: ObjectGroups = put_object_on_chain(FakeChain(), PRIMARY, 5000)
    directory = Directory({}, LocalSpace(), http=HttpSettings(idle_timeout_s))
    try:
        group = await directory.client(SECONDARY.provider(endpoint)).open(
            groups.order(SECONDARY, 0)
        )
        for index, batch in enumerate(groups.batches(0)):
            await group.write_batch(index, batch)
        await group.finish()
    finally:
        await directory.close()


@asynccontextmanager
async def pieces_of(speak: Speak) -> AsyncIterator[HttpPieces]:
    async with raw_server(speak) as endpoint:
        chain = FakeChain([PRIMARY.provider(""), SECONDARY.provider(endpoint)])
        pieces = HttpPieces(ProviderBook(chain, lambda: 0.0), OwnSigner(), 5.0)  # type: ignore[arg-type]
        try:
            yield pieces
        finally:
            await pieces.close()


async def read(pieces: HttpPieces) -> None:
    layout = put_object_on_chain(FakeChain(), PRIMARY, 5000).layout
    await pieces.read_piece(PRIMARY.address, SECONDARY.address, ColumnKey(1, 0), layout, 0)


async def endless(writer: asyncio.StreamWriter, status: str) -> None:
    writer.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
    while True:
        writer.write(b"x" * MIB)
        await writer.drain()


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "500 Oh"])
async def test_an_endless_answer_to_a_group_is_left(status: str) -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        await endless(writer, status)

    async with raw_server(speak) as endpoint:
        with pytest.raises(SecondaryFailed) as raised:
            await send(endpoint)
    assert len(str(raised.value)) < 1000


async def test_what_a_secondary_says_is_escaped_and_cut() -> None:
    body = f"<Code>{ESCAPES * 100}</Code><Message>{ESCAPES * 100}</Message>".encode()

    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body, status="400 X"))

    async with raw_server(speak) as endpoint:
        with pytest.raises(SecondaryFailed) as raised:
            await send(endpoint)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 1500


async def test_an_answer_that_trickles_is_given_up() -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-A: ")
        for _ in range(1000):
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with raw_server(speak) as endpoint:
        with pytest.raises(SecondaryTimeout):
            await send(endpoint, idle_timeout_s=0.5)


async def test_a_group_is_not_sent_where_a_redirect_leads() -> None:
    asked: list[str] = []

    async def other(writer: asyncio.StreamWriter) -> None:
        asked.append("another server")
        writer.write(answer(b""))

    async with raw_server(other) as elsewhere:

        async def speak(writer: asyncio.StreamWriter) -> None:
            writer.write(answer(b"", status="307 X", more=f"Location: {elsewhere}/\r\n"))

        async with raw_server(speak) as endpoint:
            with pytest.raises(SecondaryFailed, match="307"):
                await send(endpoint)
    assert asked == []


async def test_a_piece_that_is_longer_than_it_can_be_is_left() -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        await endless(writer, "200 OK")

    async with pieces_of(speak) as pieces:
        with pytest.raises(SecondaryFailed, match="more than"):
            await read(pieces)


@pytest.mark.parametrize(
    "said",
    [
        answer(b"x", more="Content-Encoding: gzip\r\n"),
        answer(b"", status="302 X", more="Location: http://127.0.0.1:1/\r\n"),
        answer(b"x" * 1250, more="X-Gnfd-Piece-Hash: \x1b[2J,zz\r\n"),
        answer(b"x"),
        b"\x1b[2J not HTTP at all\r\n\r\n",
    ],
)
async def test_what_is_no_piece_is_a_failed_secondary(said: bytes) -> None:
    async def speak(writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    async with pieces_of(speak) as pieces:
        with pytest.raises(SecondaryFailed) as raised:
            await read(pieces)
    assert str(raised.value).isprintable()


async def test_an_approval_that_is_too_long_is_not_read() -> None:
    class Peers:
        async def request_approval(self, provider: StorageProvider, message: bytes) -> bytes:
            return bytes(MAX_MESSAGE_BYTES + 1)

    chain = FakeChain([PRIMARY.provider(""), SECONDARY.provider("")])
    info = put_object_on_chain(chain, PRIMARY, 5000).info
    node = P2P(
        hosted=[PRIMARY.address],
        providers=ProviderBook(chain, lambda: 0.0),
        signer=OwnSigner(),  # type: ignore[arg-type]
        dialect=get_dialect(),
        clock=lambda: 0.0,
        transport=Peers(),
    )
    found = await node.get_secondary_approvals(info, PRIMARY.address, 6, 5.0)
    assert found.accepted == ()
    assert "of at most" in dict(found.not_accepted)[SECONDARY.address]
    assert await node.answer(SECONDARY.address, bytes(MAX_MESSAGE_BYTES + 1)) is None
