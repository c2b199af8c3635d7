"""replicate-piece as the Go provider v0.2.0 spoke it: its requests to us, ours to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from greenray.actors.credit.lending_pool import unshared_pool
from greenray.actors.ports import GroupOrder
from greenray.actors.receiver.actor import Receiver
from greenray.actors.receiver.group_intake import GroupIntake
from greenray.actors.receiver.replicate_piece import receive_group
from greenray.actors.replication.secondaries import Directory
from greenray.chain.crypto import address_of
from greenray.chain.dialects import get_dialect
from greenray.cluster.in_process import LocalSpace
from greenray.protocol.approvals import approval_from_header
from greenray.protocol.errors import ApprovalError, IntegrityHashMismatch
from greenray.protocol.objects import StorageProvider
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.ports import LONE_WRITER
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.fake_chain import FakeChain
from tests.support.sps import KeySigner, SpKeys

RECORDING = json.loads(
    (Path(__file__).parent / "data" / "provider-v0_2.json").read_text(encoding="utf-8")
)
WHEN_RECORDED = 1795361460.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded request of the Go primary, and the Go secondary's answer."""

    sp: SpKeys
    headers: dict[str, str]
    body: bytes
    answer: dict[str, str]
    answer_head: list[str]

    @property
    def redundancy_index(self) -> int:
        return int(self.headers["X-Gnfd-Redundancy-Index"])

    @property
    def order(self) -> GroupOrder:
        approval = approval_from_header(self.headers["X-Gnfd-Replicate-Approval"])
        params = FakeChain().params
        return GroupOrder(
            approval.object_info, params, self.redundancy_index, 4, LONE_WRITER, approval
        )


def _headers(head: list[str]) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in head[1:])


def _exchanges() -> list[Exchange]:
    by_address = {}
    for keys in RECORDING["test_keys"]["sps"]:
        operator, seal, approval = (
            bytes.fromhex(keys[purpose]["private_key"])
            for purpose in ("operator", "seal", "approval")
        )
        by_address[address_of(operator)] = SpKeys(operator, seal, approval)
    exchanges = []
    for recorded in RECORDING["replicate_piece"]:
        headers = _headers(recorded["request_head"])
        approval = json.loads(headers["X-Gnfd-Replicate-Approval"])
        answer_head = recorded["response_head"]
        exchanges.append(
            Exchange(
                by_address[approval["sp_operator_address"]],
                headers,
                bytes.fromhex(recorded["body_hex"]),
                {k: v for k, v in _headers(answer_head).items() if k.startswith("X-Gnfd")},
                answer_head,
            )
        )
    return exchanges


EXCHANGES = _exchanges()
exchanges = pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda e: f"r{e.redundancy_index}")


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    """Serves all six recorded secondaries, at the time of the recording."""
    chain = FakeChain()
    info = EXCHANGES[0].order.object_info
    chain.objects[info.bucket_name, info.object_name] = info
    sps = [exchange.sp for exchange in EXCHANGES]
    job_store = SqliteJobStore.open(tmp_path / "jobs.db", clock=lambda: WHEN_RECORDED)
    receiver = Receiver(
        chain=chain,
        job_store=job_store,
        piece_stores={sp.address: MemoryPieceStore() for sp in sps},
        signer=KeySigner(sps),
        dialect=get_dialect(),
        clock=lambda: WHEN_RECORDED,
    )
    yield receiver
    await receiver.close()
    await job_store.close()


def _intake() -> GroupIntake:
    return GroupIntake(unshared_pool(1 << 20))


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(len(body)):
        yield body[start : start + 1]


@exchanges
async def test_receiver_answers_a_recorded_request_as_the_go_provider_did(
    receiver: Receiver, exchange: Exchange
) -> None:
    answer = await receive_group(
        receiver,
        exchange.sp.address,
        exchange.headers,
        _chunks(exchange.body),
        intake=_intake(),
    )
    assert answer == exchange.answer


async def test_all_recorded_requests_are_taken_at_the_same_time(receiver: Receiver) -> None:
    intake = _intake()
    answers = await asyncio.gather(
        *(
            receive_group(receiver, e.sp.address, e.headers, _chunks(e.body), intake=intake)
            for e in EXCHANGES
        )
    )
    assert list(answers) == [e.answer for e in EXCHANGES]


@exchanges
async def test_recorded_request_to_another_secondary_is_refused(
    receiver: Receiver, exchange: Exchange
) -> None:
    other = EXCHANGES[(EXCHANGES.index(exchange) + 1) % len(EXCHANGES)].sp
    with pytest.raises(ApprovalError, match="not this provider's own"):
        await receive_group(
            receiver, other.address, exchange.headers, _chunks(exchange.body), intake=_intake()
        )


@exchanges
async def test_recorded_request_with_another_body_is_refused(
    receiver: Receiver, exchange: Exchange
) -> None:
    body = bytes([exchange.body[0] ^ 1]) + exchange.body[1:]
    with pytest.raises(IntegrityHashMismatch):
        await receive_group(
            receiver, exchange.sp.address, exchange.headers, _chunks(body), intake=_intake()
        )


@exchanges
async def test_sender_sends_what_the_go_primary_sent_and_reads_the_go_answer(
    exchange: Exchange,
) -> None:
    async with _GoSecondary(exchange) as go:
        provider = StorageProvider(exchange.sp.address, "", "", "", "", endpoint=go.endpoint)
        directory = Directory({}, LocalSpace())
        group = await directory.client(provider).open(exchange.order)
        await group.write_batch(0, np.frombuffer(exchange.body, dtype=np.uint8))
        receipt = await group.finish()
        await directory.close()
    assert receipt.integrity_hash.hex() == exchange.answer["X-Gnfd-Integrity-Hash"]
    assert receipt.signature.hex() == exchange.answer["X-Gnfd-Integrity-Hash-Signature"]
    sent = go.head.decode().split("\r\n")
    assert sent[0] == "PUT /greenfield/receiver/v1/replicate-piece HTTP/1.1"
    ours = {"Host", "User-Agent", "Accept", "Accept-Encoding"}
    assert {k: v for k, v in _headers(sent).items() if k not in ours} == {
        k: v for k, v in exchange.headers.items() if k not in ours
    }
    assert go.body == exchange.body


class _GoSecondary:
    """Replays a recorded answer to one request, byte for byte, and keeps what it was sent."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.head = b""
        self.body = b""

    async def __aenter__(self) -> _GoSecondary:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
        self.body = await reader.readexactly(len(self._exchange.body))
        writer.write(("\r\n".join(self._exchange.answer_head) + "\r\n\r\n").encode())
        await writer.drain()
        writer.close()
