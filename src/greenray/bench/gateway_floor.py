"""The floor of the gateway: one plain process that takes and gives a payload over HTTP, without
Ray, authentication, journal or chain, for the same client.

PUT: segments are received into reused, aligned memory, hashed, and written past the page cache to
one file that is synced before the answer; a segment is hashed and written while the next arrives.
GET: a plain loop that reads a segment, hashes it, compares, and sends it.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from greenray.bench.child import Handler, Tell
from greenray.bench.floor import aligned_memory
from greenray.protocol.errors import IntegrityHashMismatch, PayloadSizeMismatch
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.storage.file_store import FilePieceStore
from greenray.storage.ports import ColumnKey

_BUFFERS = 4
_THREADS = 3
"""One writes, the others hash."""
_KEY = ColumnKey(1, SEGMENTS)
_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class GatewayFloorSetup:
    """``root`` gets a piece store with one column: ``layout``'s segments."""

    root: Path
    layout: PayloadLayout
    durable: bool


class GatewayFloorQuestion(Enum):
    ENDPOINT = auto()
    REMOVE = auto()
    """Delete what was stored."""


class GatewayFloor:
    """Stores one payload and gives it back."""

    def __init__(self, setup: GatewayFloorSetup) -> None:
        self._store = FilePieceStore(setup.root, durable=setup.durable)
        self._column = setup.layout.column(SEGMENTS)
        longest_bytes = self._column.piece_length(0)
        self._buffers = [aligned_memory(longest_bytes).data for _ in range(_BUFFERS)]
        self._workers = ThreadPoolExecutor(_THREADS, thread_name_prefix="floor")
        self._checksums: list[bytes] = []

    @property
    def size_bytes(self) -> int:
        return self._column.size_bytes

    def put(self, receive_into: Callable[[memoryview], int]) -> None:
        """Receive all of it. Raises PayloadSizeMismatch, NoSpaceLeft, StoreError."""
        writer = self._store.create(_KEY, self._column)
        hashed: list[Future[bytes]] = []
        written: Future[None] | None = None
        for index in range(self._column.piece_count):
            view = self._buffers[index % _BUFFERS][: self._column.piece_length(index)]
            if index >= _BUFFERS:
                hashed[index - _BUFFERS].result()
            if receive_into(view) < len(view):
                raise PayloadSizeMismatch("the body ended too early", "gateway floor")
            hashed.append(self._workers.submit(_digest, view))
            if written is not None:
                written.result()
            written = self._workers.submit(writer.append, [view])
        if written is not None:
            written.result()
        self._checksums = [future.result() for future in hashed]
        writer.finish()

    def get(self, send: Callable[[memoryview], object]) -> None:
        """Send all of it. Raises IntegrityHashMismatch, NoSuchPiece, StoreError."""
        for index, checksum in enumerate(self._checksums):
            view = self._buffers[0][: self._column.piece_length(index)]
            self._store.read_into(_KEY, self._column, self._column.piece_offset(index), [view])
            if _digest(view) != checksum:
                raise IntegrityHashMismatch("a segment is not what was put", "gateway floor")
            send(view)

    def remove(self) -> None:
        self._store.delete(_KEY)

    def close(self) -> None:
        self._workers.shutdown()


def _digest(view: memoryview) -> bytes:
    return sha256(view).digest()


# --- over HTTP -----------------------------------------------------------------------------------


class _Server(HTTPServer):
    def __init__(self, floor: GatewayFloor) -> None:
        super().__init__((_HOST, 0), _Request)
        self.floor = floor


class _Request(BaseHTTPRequestHandler):
    server: _Server

    def do_PUT(self) -> None:
        self.server.floor.put(self.rfile.readinto)
        self._answer(0)

    def do_GET(self) -> None:
        self._answer(self.server.floor.size_bytes)
        self.server.floor.get(self.wfile.write)

    def _answer(self, size_bytes: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(size_bytes))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not worth a line of the log."""


@asynccontextmanager
async def gateway_floor_service(setup: GatewayFloorSetup) -> AsyncIterator[Handler]:
    """Answers by its endpoint, or None."""
    floor = GatewayFloor(setup)
    server = _Server(floor)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()

    async def handle(question: GatewayFloorQuestion, tell: Tell) -> str | None:
        if question is GatewayFloorQuestion.REMOVE:
            floor.remove()
            return None
        return f"http://{_HOST}:{server.server_port}"

    try:
        yield handle
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
        floor.close()
