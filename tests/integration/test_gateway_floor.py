"""The gateway's floor as a service."""

from __future__ import annotations

import asyncio
import http.client
import random
from pathlib import Path
from urllib.parse import urlsplit

from greenray.bench.gateway_floor import (
    GatewayFloorQuestion,
    GatewayFloorSetup,
    gateway_floor_service,
)
from greenray.protocol.layout import PayloadLayout
from greenray.storage.file_store import FilePieceStore

SEGMENT = 70_000


async def test_floor_answers_over_http(tmp_path: Path) -> None:
    payload = random.Random(1).randbytes(3 * SEGMENT)

    def exchange(endpoint: str) -> bytes:
        connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)
        connection.request("PUT", "/payload", body=payload)
        assert connection.getresponse().read() == b""
        connection.request("GET", "/payload")
        return connection.getresponse().read()

    layout = PayloadLayout(len(payload), SEGMENT, 4, 2)
    setup = GatewayFloorSetup(tmp_path, layout, durable=True)
    async with gateway_floor_service(setup) as ask:
        endpoint = await ask(GatewayFloorQuestion.ENDPOINT, print)
        assert await asyncio.to_thread(exchange, endpoint) == payload
        await ask(GatewayFloorQuestion.REMOVE, print)
    assert list(FilePieceStore(tmp_path).list_columns()) == []
