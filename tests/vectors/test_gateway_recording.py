"""The recorded requests of a Go provider, byte for byte over a socket, to our gateway."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenray.actors.downloader.actor import Downloader
from greenray.actors.downloader.lost_record import RecordMaker
from greenray.actors.gateway.server import Binding, Gateway
from greenray.actors.receiver.actor import Receiver
from greenray.actors.uploader.actor import Uploader
from greenray.chain.crypto import address_of
from greenray.chain.dialects import get_dialect
from greenray.coding.codec import get_codec
from greenray.protocol.approvals import approval_from_header
from greenray.protocol.objects import ObjectInfo, ObjectStatus
from greenray.storage.memory_store import MemoryPieceStore
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.fake_chain import FakeChain
from tests.support.faulty_secondaries import NoPieces
from tests.support.gateway_rig import SwitchableWaker
from tests.support.raw_client import connected, last_answer, parsed, send
from tests.support.spaces import MemorySpace
from tests.support.sps import KeySigner, SpKeys

RECORDING: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "provider-v0_2.json").read_text(encoding="utf-8")
)
OWNER = RECORDING["test_keys"]["owner"]["address"]
WHEN_RECORDED = 1795361460.0


def _sp(keys: dict[str, Any]) -> SpKeys:
    return SpKeys(
        *(bytes.fromhex(keys[p]["private_key"]) for p in ("operator", "seal", "approval"))
    )


SPS = [_sp(keys) for keys in RECORDING["test_keys"]["sps"]]


def _object() -> ObjectInfo:
    """The recorded object as it was before it was sealed."""
    head = RECORDING["replicate_piece"][0]["request_head"]
    (approval,) = [line for line in head if line.startswith("X-Gnfd-Replicate-Approval: ")]
    return approval_from_header(approval.split(": ", 1)[1]).object_info


class Recorded:
    """All seven providers behind one gateway, at the time of the recording."""

    def __init__(self, folder: Path) -> None:
        info = _object()
        self.chain = FakeChain([sp.provider() for sp in SPS])
        self.chain.add_account(OWNER)
        self.chain.add_bucket(OWNER, info.bucket_name, SPS[0].address)
        self.chain.objects[info.bucket_name, info.object_name] = info
        self.jobs = SqliteJobStore.open(folder / "jobs.db", clock=lambda: WHEN_RECORDED)
        stores = {sp.address: MemoryPieceStore() for sp in SPS}
        signer = KeySigner(SPS)
        self.receiver = Receiver(
            chain=self.chain,
            job_store=self.jobs,
            piece_stores=stores,
            signer=signer,
            dialect=get_dialect(),
            clock=lambda: WHEN_RECORDED,
        )
        self.uploader = Uploader(
            job_store=self.jobs,
            piece_stores=stores,
            object_space=MemorySpace(),
            signer=signer,
            waker=SwitchableWaker(),
            owner="test",
        )
        self.downloader = Downloader(
            chain=self.chain,
            job_store=self.jobs,
            piece_stores=stores,
            pieces=NoPieces(),
            codec=get_codec,
            records=RecordMaker(self.jobs, signer, get_dialect()),
        )
        self.gateway = Gateway(
            bindings=[Binding(sp.address) for sp in SPS],
            chain=self.chain,
            uploader=self.uploader,
            downloader=self.downloader,
            job_store=self.jobs,
            ledger=self.jobs,
            user_keys=self.jobs,
            signer=signer,
            dialect=get_dialect(),
            receiver=self.receiver,
        )

    def seal(self) -> None:
        (key,) = self.chain.objects
        info = self.chain.objects[key]
        self.chain.objects[key] = replace(info, object_status=ObjectStatus.OBJECT_STATUS_SEALED)

    async def exchange(self, sp_address: str, head: list[str], body: bytes) -> tuple[str, bytes]:
        """Head and body of the answer."""
        port = self.gateway.port(sp_address)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write("\r\n".join([*head, "Connection: close", "", ""]).encode() + body)
        answer = await reader.read()
        writer.close()
        answer_head, _, answer_body = answer.partition(b"\r\n\r\n")
        return answer_head.decode(), answer_body

    async def close(self) -> None:
        await self.gateway.close()
        await self.downloader.close()
        await self.uploader.close()
        await self.receiver.close()
        await self.jobs.close()


@pytest.fixture
async def recorded(tmp_path: Path) -> AsyncIterator[Recorded]:
    recorded = Recorded(tmp_path)
    await recorded.gateway.start()
    yield recorded
    await recorded.close()


def _head(request: dict[str, Any]) -> list[str]:
    path = request["canonical"].split("\n")[1]
    headers = [f"{name}: {value}" for name, value in request["headers"].items()]
    return [f"{request['method']} {path} HTTP/1.1", f"Host: {request['host']}", *headers]


async def test_recorded_put_and_get_of_the_object_are_answered_alike(recorded: Recorded) -> None:
    payload = RECORDING["payload"].encode()
    put = RECORDING["put_object"]
    head, body = await recorded.exchange(SPS[0].address, _head(put["request"]), payload)
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert body == put["body"].encode()
    recorded.seal()
    get = RECORDING["get_object"]
    head, body = await recorded.exchange(SPS[0].address, _head(get["request"]), b"")
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    for name in ("Content-Length", "Content-Type"):
        assert f"\r\n{name}: {get['response_headers'][name]}\r\n" in head
    assert body == payload


@pytest.mark.parametrize("exchange", RECORDING["replicate_piece"], ids=lambda e: e["receiver"])
async def test_recorded_replicate_requests_get_the_recorded_answers(
    recorded: Recorded, exchange: dict[str, Any]
) -> None:
    body = bytes.fromhex(exchange["body_hex"])
    head, answer_body = await recorded.exchange(_receiver(exchange), exchange["request_head"], body)
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    for line in exchange["response_head"]:
        if line.startswith("X-Gnfd-"):
            assert line in head.split("\r\n")
    assert "X-Gnfd-Request-I" not in head
    assert answer_body == b""


async def test_a_recorded_replicate_request_that_waits_is_asked_for_its_body(
    recorded: Recorded,
) -> None:
    exchange = RECORDING["replicate_piece"][0]
    port = recorded.gateway.port(_receiver(exchange))
    head = [*exchange["request_head"], "Expect: 100-continue", "Connection: close"]
    async with connected(port) as (reader, writer):
        await send(writer, "\r\n".join([*head, "", ""]).encode())
        assert parsed(await reader.readuntil(b"\r\n\r\n")).status == 100
        await send(writer, bytes.fromhex(exchange["body_hex"]))
        assert (await last_answer(reader)).status == 200


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("X-Gnfd-Object-Id: 2260", "X-Gnfd-Object-Id: 2261"), "InvalidHeader"),
        (("X-Gnfd-Object-Id: 2260", "X-Gnfd-Object-Id: x"), "InvalidHeader"),
        (("X-Gnfd-Redundancy-Index: 0", "X-Gnfd-Redundancy-Index: 6"), "InvalidHeader"),
        (("X-Gnfd-Redundancy-Index: 0", "X-Gnfd-Redundancy-Index: a"), "InvalidHeader"),
        (("X-Gnfd-Redundancy-Index: 0", "X-Gnfd-Redundancy-Index: 1"), "InternalError"),
        (("X-Gnfd-Piece-Size: 2", "X-Gnfd-Piece-Size: -2"), "InvalidHeader"),
        (("X-Gnfd-Piece-Size: 2", "X-Gnfd-Piece-Size: 3"), "InvalidHeader"),
        (('"expired_time":1795365057', '"expired_time":1795365058'), "InvalidHeader"),
        (('"payload_size":5', '"payload_size":6'), "InvalidHeader"),
        (("X-Gnfd-Replicate-Approval: {", "X-Gnfd-Replicate-Approval: {,"), "InvalidHeader"),
        (("Content-Length: 2", "Content-Length: 0"), "InvalidPayload"),
    ],
)
async def test_changed_replicate_requests_get_the_documented_error(
    recorded: Recorded, change: tuple[str, str], code: str
) -> None:
    (exchange,) = [
        e for e in RECORDING["replicate_piece"] if "X-Gnfd-Redundancy-Index: 0" in e["request_head"]
    ]
    before, after = change
    head = [line.replace(before, after) for line in exchange["request_head"]]
    assert head != exchange["request_head"]
    body = b"" if "Content-Length: 0" in head else bytes.fromhex(exchange["body_hex"])
    answer_head, answer_body = await recorded.exchange(_receiver(exchange), head, body)
    assert f"<Error><Code>{code}</Code>" in answer_body.decode()
    assert f"Content-Length: {len(answer_body)}\r\n" in answer_head + "\r\n"


async def test_an_approval_of_another_provider_is_an_invalid_header(recorded: Recorded) -> None:
    first, second = RECORDING["replicate_piece"][:2]
    body = bytes.fromhex(first["body_hex"])
    _, answer = await recorded.exchange(_receiver(second), first["request_head"], body)
    assert b"<Code>InvalidHeader</Code>" in answer


def test_the_recorded_checksums_are_those_of_the_object_on_chain() -> None:
    stored = base64.b64decode(RECORDING["head_object_after"])
    assert all(checksum in stored for checksum in _object().checksums)


def _receiver(exchange: dict[str, Any]) -> str:
    (approval,) = [
        line for line in exchange["request_head"] if line.startswith("X-Gnfd-Replicate-Approval: ")
    ]
    address: str = json.loads(approval.split(": ", 1)[1])["sp_operator_address"]
    assert address in {address_of(sp.operator) for sp in SPS}
    return address
