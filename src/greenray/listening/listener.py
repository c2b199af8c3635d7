"""Sockets that listen, and accept no more than there is room for.

asyncio's own accepts whatever comes; without a free descriptor it logs a traceback for each
connection of the backlog, once a second.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence
from contextlib import suppress

from aiohttp import web

from greenray.listening.connections import Connection
from greenray.listening.server import BoundedServer

_BACKLOG = 1024
_ACCEPTED_AT_ONCE = 64
"""Others have their turn in between."""
_RETRY_S = 0.1
"""Some that are open may have turned out to be silent by then."""
_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: greenray\r\nRetry-After: 1\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


async def bound_sockets(host: str, port: int) -> list[socket.socket]:
    """One for each address of ``host``. Raises OSError; nothing is left open then."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, number, _, address in dict.fromkeys(found):
            sockets.append(sock := socket.socket(family, kind, number))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            sock.listen(_BACKLOG)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


class HttpListener:
    """Accepts on bound sockets, from ``start`` until ``close``, which closes them."""

    def __init__(self, server: BoundedServer, sockets: Sequence[socket.socket]) -> None:
        self._server = server
        self._connections = server.shared_connections
        self._runner = web.ServerRunner(server)
        self._sockets = list(sockets)
        self._waiting: set[socket.socket] = set()
        """Those on which nothing is accepted until there is room."""
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        port: int = self._sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        await self._runner.setup()
        self._connections.on_room.append(self._go_on)
        for sock in self._sockets:
            sock.setblocking(False)
            sock.listen(_BACKLOG)
            self._listen(sock)

    def stop_listening(self) -> None:
        """Connections that are open stay so."""
        if self._go_on in self._connections.on_room:
            self._connections.on_room.remove(self._go_on)
        self._waiting.clear()
        for sock in self._sockets:
            if sock.fileno() >= 0:
                asyncio.get_running_loop().remove_reader(sock)
            sock.close()

    async def close(self) -> None:
        """Let running requests end."""
        self.stop_listening()
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        await self._runner.cleanup()

    def _listen(self, sock: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(sock, self._accept_some, sock)

    def _go_on(self) -> None:
        while self._waiting:
            self._listen(self._waiting.pop())

    def _wait(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(sock)
        self._waiting.add(sock)
        loop.call_later(_RETRY_S, self._go_on)

    def _accept_some(self, sock: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            if not self._connections.make_room():
                self._wait(sock)
                return
            try:
                connected, address = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_DESCRIPTOR:
                    raise
                self._connections.tell(f"no descriptor is left ({error.strerror})")
                self._wait(sock)
                return
            self._take(connected, address[0])

    def _take(self, connected: socket.socket, address: str) -> None:
        connected.setblocking(False)
        connection = self._connections.admit(address)
        if connection is None:
            with suppress(OSError):
                connected.send(_TOO_MANY)
                connected.shutdown(socket.SHUT_WR)
            connected.close()
            return
        task = asyncio.get_running_loop().create_task(self._open(connected, connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, connected: socket.socket, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: self._server.protocol(connection), connected)
        except OSError:
            _give_up(connected, connection)
        except asyncio.CancelledError:
            _give_up(connected, connection)
            raise


def _give_up(connected: socket.socket, connection: Connection) -> None:
    connection.closed()
    connected.close()
