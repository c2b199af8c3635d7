"""The floor of HTTP: the same bytes over a plain socket between two processes, nothing else."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cluster.bench.child import Handler, Tell
from protocol.errors import BadAnswer

_BLOCK_BYTES = 1 << 20
_HEAD_BYTES = 9
"""G or P, and the size (bytes) as eight bytes, big-endian."""


@dataclass(frozen=True, slots=True)
class SocketPut:
    """Send a file; answered by the seconds until the other side has said that it has it all."""

    port: int
    source: Path


@dataclass(frozen=True, slots=True)
class SocketGet:
    """Receive so many bytes; answered by (seconds, SHA-256 as hex)."""

    port: int
    size_bytes: int


class SocketClient:
    """``buffers`` by size (bytes), reused so that their memory is warm."""

    def __init__(self, buffers: dict[int, bytearray]) -> None:
        self._buffers = buffers

    def run(self, message: SocketPut | SocketGet) -> Any:
        with socket.create_connection(("127.0.0.1", message.port)) as connection:
            if isinstance(message, SocketPut):
                return self._put(connection, message.source)
            return self._get(connection, message.size_bytes)

    def _put(self, connection: socket.socket, source: Path) -> float:
        with source.open("rb", buffering=0) as file:
            began_at = time.perf_counter()
            connection.sendall(b"P" + source.stat().st_size.to_bytes(8, "big"))
            connection.sendfile(file)
            if connection.recv(1) != b"P":
                raise BadAnswer("the other side has gone", "socket floor")
            return time.perf_counter() - began_at

    def _get(self, connection: socket.socket, size_bytes: int) -> tuple[float, str]:
        buffer = self._buffers.setdefault(size_bytes, bytearray(size_bytes))
        began_at = time.perf_counter()
        connection.sendall(b"G" + size_bytes.to_bytes(8, "big"))
        _receive(connection, memoryview(buffer))
        seconds = time.perf_counter() - began_at
        return seconds, sha256(buffer).hexdigest()


@asynccontextmanager
async def socket_floor_service(source: Path) -> AsyncIterator[Handler]:
    """Takes and drops what is sent, and sends the bytes of ``source``; answers its port."""
    payload = await asyncio.to_thread(source.read_bytes)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server, payload), daemon=True).start()

        async def handle(message: None, tell: Tell) -> int:
            port: int = server.getsockname()[1]
            return port

        yield handle


def _serve(server: socket.socket, payload: bytes) -> None:
    block = bytearray(_BLOCK_BYTES)
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return  # the service has ended and closed its socket
        with connection:
            head = bytearray(_HEAD_BYTES)
            _receive(connection, memoryview(head))
            size_bytes = int.from_bytes(head[1:], "big")
            if head[:1] == b"G":
                connection.sendall(memoryview(payload)[:size_bytes])
                continue
            left = size_bytes
            while left:
                taken = memoryview(block)[: min(left, len(block))]
                left -= _receive(connection, taken)
            connection.sendall(b"P")


def _receive(connection: socket.socket, target: memoryview) -> int:
    """Fill ``target``; its size. Raises BadAnswer."""
    view = target
    while len(view):
        count = connection.recv_into(view)
        if not count:
            raise BadAnswer("the other side has gone", "socket floor")
        view = view[count:]
    return len(target)
