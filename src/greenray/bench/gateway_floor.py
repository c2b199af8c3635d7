"""The floor of the gateway: one plain process that takes and gives a payload over HTTP, without
Ray, authentication, journal or chain, for the same client.

PUT: segments are received into reused, aligned memory, hashed, and written past the page cache to
one file that is synced before the answer; a segment is hashed and written while the next arrives.
GET: a plain loop that reads a segment, hashes it, compares, and sends it.
GET of ``REBUILT``: the same of a segment that it decodes from the pieces of the last k columns.
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

import numpy as np

from greenray.bench.child import Handler, Tell
from greenray.bench.floor import aligned_memory
from greenray.coding.buffers import Shard
from greenray.coding.codec import get_codec
from greenray.protocol.errors import IntegrityHashMismatch, PayloadSizeMismatch
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.storage.file_store import FilePieceStore
from greenray.storage.ports import LONE_WRITER, ColumnKey

_BUFFERS = 4
_THREADS = 3
"""One writes, the others hash."""
_KEY = ColumnKey(1, SEGMENTS)
_HOST = "127.0.0.1"
REBUILT = "/rebuilt"
"""The path under which the payload is decoded from pieces."""


@dataclass(frozen=True, slots=True)
class GatewayFloorSetup:
    """``root`` gets a piece store with one column, ``layout``'s segments, and the columns of pieces
    that ``LAY_OUT_PIECES`` makes."""

    root: Path
    layout: PayloadLayout
    durable: bool
    codec: str = "auto"


class GatewayFloorQuestion(Enum):
    ENDPOINT = auto()
    LAY_OUT_PIECES = auto()
    """Encode what was stored, and store the pieces that ``REBUILT`` is made of."""
    REMOVE = auto()
    """Delete what was stored."""


class GatewayFloor:
    """Stores one payload and gives it back."""

    def __init__(self, setup: GatewayFloorSetup) -> None:
        self._store = FilePieceStore(setup.root, durable=setup.durable)
        self._layout = setup.layout
        self._codec_name = setup.codec
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

    def lay_out_pieces(self) -> None:
        """Store columns m to n - 1: k of them, as few data columns as can be."""
        layout, codec = self._layout, get_codec(self._codec_name)
        indices = range(layout.m, layout.n)
        writers = [
            self._store.create(ColumnKey(1, index), layout.pieces, LONE_WRITER) for index in indices
        ]
        for segment in range(layout.segment_count):
            view = self._buffers[0][: layout.segment_length(segment)]
            self._store.read_into(_KEY, self._column, self._column.piece_offset(segment), [view])
            size_bytes = layout.shard_size(segment)
            padded = np.zeros(layout.k * size_bytes, np.uint8)
            padded[: len(view)] = view
            data = list(padded.reshape(layout.k, size_bytes))
            shards = [*data, *codec.encode(data, layout.m)]
            for index, writer in zip(indices, writers, strict=True):
                writer.append([shards[index].data])
        for writer in writers:
            writer.finish()

    def get_rebuilt(self, send: Callable[[memoryview], object]) -> None:
        """As ``get``, from what ``lay_out_pieces`` has stored."""
        layout, codec = self._layout, get_codec(self._codec_name)
        pieces = layout.pieces
        memory = [aligned_memory(layout.shard_size(0)) for _ in range(layout.k)]
        for segment, checksum in enumerate(self._checksums):
            shards: list[Shard | None] = [None] * layout.n
            for index, shard in zip(range(layout.m, layout.n), memory, strict=True):
                piece = shards[index] = shard[: layout.shard_size(segment)]
                offset = pieces.piece_offset(segment)
                self._store.read_into(ColumnKey(1, index), pieces, offset, [piece.data])
            data = codec.reconstruct(shards, layout.k, layout.m, range(layout.k))
            digest, left_bytes, parts = sha256(), layout.segment_length(segment), []
            for shard in data:
                part = shard.data[:left_bytes]
                digest.update(part)
                parts.append(part)
                left_bytes -= len(part)
            if digest.digest() != checksum:
                raise IntegrityHashMismatch("a segment is not what was put", "gateway floor")
            for part in parts:
                send(part)

    def remove(self) -> None:
        self._store.delete(_KEY)
        for index in range(self._layout.n):
            self._store.delete(ColumnKey(1, index))

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
        floor = self.server.floor
        self._answer(floor.size_bytes)
        give = floor.get_rebuilt if self.path == REBUILT else floor.get
        give(self.wfile.write)

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
        if question is GatewayFloorQuestion.LAY_OUT_PIECES:
            floor.lay_out_pieces()
            return None
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
