"""The embedded chain as a server process: one port, one state directory, one writer."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import gc
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from aiohttp import web

from greenray.chain.local.app import Application
from greenray.chain.local.evm import EvmMethods
from greenray.chain.local.ledger.genesis import Genesis
from greenray.chain.local.ledger.local_dialect import LocalDialect
from greenray.chain.local.ledger.state import ChainDatabase
from greenray.chain.local.mempool import MempoolLimits
from greenray.chain.local.node import Node
from greenray.chain.local.rpc import (
    MAX_BODY_BYTES,
    HttpAnswer,
    answer_get,
    answer_post,
    body_too_large,
)
from greenray.chain.local.rpc_methods import CometMethods
from greenray.listening.connections import Connections
from greenray.listening.limits import ListenLimits
from greenray.listening.listener import HttpListener
from greenray.listening.server import BoundedServer
from greenray.protocol.errors import AlreadyRunning, InvalidInput, PortInUse

DEFAULT_HOST = "127.0.0.1"
DEFAULT_BLOCK_INTERVAL_S = 0.5
_DATABASE, _LOCK = "chain.sqlite", "lock"
_JSON = "application/json"
_LIMITS = ListenLimits(
    # CometBFT's max_open_connections; who uses this chain comes from one address.
    max_connections=900,
    max_connections_per_address=900,
    keepalive_timeout_s=75.0,
)


class HttpFront:
    """The HTTP side of a node: POST on ``/``, GET on ``/method``."""

    def __init__(self, node: Node, listen_address: str) -> None:
        self._listen_address = listen_address
        self._methods = CometMethods(node, listen_address).methods
        self._evm = EvmMethods(node)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Routes as CometBFT's server does."""
        name = request.path.lstrip("/")
        if name:
            method = self._methods.get(name)
            if method is None:
                return web.Response(status=404, text="404 page not found\n")
            return _response(await answer_get(method, dict(request.query)))
        body = await _read_body(request)
        if body is None:
            return _response(body_too_large())
        if not body:
            return web.Response(text=self._list_of_methods(), content_type="text/html")
        return _response(await answer_post(body, self._methods, self._evm.answer))

    def _list_of_methods(self) -> str:
        plain: list[str] = []
        with_arguments: list[str] = []
        for name, method in sorted(self._methods.items()):
            arguments = "&".join(f"{argument.name}=_" for argument in method.arguments)
            link = f"//{self._listen_address}/{name}?{arguments}"
            row = f'<a href="{link}">{link}</a></br>'
            (with_arguments if method.arguments else plain).append(row)
        return (
            f"<html><body><br>Available endpoints:<br>{''.join(plain)}"
            f"<br>Endpoints that require arguments:<br>{''.join(with_arguments)}</body></html>"
        )


@dataclass(frozen=True, slots=True)
class RunningChain:
    """``producer`` ends only when making a block failed, or when the chain is stopped."""

    endpoint: str
    node: Node
    producer: asyncio.Task[None]


@asynccontextmanager
async def running_chain(
    home: Path,
    *,
    port: int,
    local_dialect: LocalDialect,
    genesis: Genesis | None = None,
    host: str = DEFAULT_HOST,
    block_interval_s: float = DEFAULT_BLOCK_INTERVAL_S,
    limits: MempoolLimits | None = None,
) -> AsyncIterator[RunningChain]:
    """A chain that runs while the context is open; ``port`` 0 picks a free one.

    Raises:
        AlreadyRunning: another process uses ``home``.
        PortInUse: the port is taken.
        InvalidInput: no or another genesis, or a block interval that is not positive.
        StoreError: the database cannot be opened.
    """
    if block_interval_s <= 0:
        raise InvalidInput("the block interval must be positive", "--block-interval")
    with _locked(home), contextlib.closing(bind(host, port)) as listener:
        database = ChainDatabase(home / _DATABASE)
        try:
            node = Node(
                Application(database, local_dialect, genesis, time.time_ns()), limits=limits
            )
            async with listening(node, host, listener) as endpoint:
                producer = asyncio.create_task(node.run(block_interval_s))
                try:
                    yield RunningChain(endpoint, node, producer)
                finally:
                    await _stop(producer)
        finally:
            database.close()


async def serve(
    home: Path,
    *,
    port: int,
    local_dialect: LocalDialect,
    genesis: Genesis | None = None,
    host: str = DEFAULT_HOST,
    block_interval_s: float = DEFAULT_BLOCK_INTERVAL_S,
    output: TextIO = sys.stdout,
    stop_at_eof: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT; one JSON line says when and where it listens.

    ``stop_at_eof``: also until standard input ends, which it does when its holder is gone.

    Raises:
        what ``running_chain`` raises, and whatever stops the block production.
    """
    # The caches hold many small values; the default thresholds walk them again and again.
    gc.set_threshold(100_000, 50, 50)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if stop_at_eof:
        loop.add_reader(sys.stdin.fileno(), _set_at_eof, stopped)
    async with running_chain(
        home,
        port=port,
        local_dialect=local_dialect,
        genesis=genesis,
        host=host,
        block_interval_s=block_interval_s,
    ) as chain:
        line = {
            "endpoint": chain.endpoint,
            "chain_id": chain.node.app.rules.chain_id,
            "height": chain.node.app.head.height,
        }
        print(json.dumps(line), file=output, flush=True)
        asked = asyncio.create_task(stopped.wait())
        await asyncio.wait({asked, chain.producer}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()


def _set_at_eof(stopped: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stopped.set()


async def _stop(producer: asyncio.Task[None]) -> None:
    """A block that is being made is finished first; what ended the task early is raised."""
    if not producer.done():
        producer.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await producer


@asynccontextmanager
async def listening(node: Node, host: str, listener: socket.socket) -> AsyncIterator[str]:
    """Serve a node on a bound socket; the endpoint's URL."""
    address = f"{host}:{listener.getsockname()[1]}"
    front = HttpFront(node, address)
    server = BoundedServer(_LIMITS, Connections(_LIMITS), front.handle, _refuse, _no_dress)
    http = HttpListener(server, [listener])
    await http.start()
    try:
        yield f"http://{address}"
    finally:
        await http.close()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortInUse, or InvalidInput for a host that is not ours."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise PortInUse(
                f"port {port} cannot be used: {os.strerror(error.errno)}",
                host,
                "Choose another --port",
            ) from error
        raise InvalidInput(f"cannot listen on {host}: {error}", "--host") from error
    return listener


def _refuse(fault: BaseException) -> web.Response:
    return web.Response(status=400, text="400 Bad Request")


def _no_dress(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Nothing but what all answers of listeners have."""


async def _read_body(request: web.BaseRequest) -> bytes | None:
    """None when it is larger than the node accepts."""
    body = bytearray()
    async for chunk in request.content.iter_chunked(65_536):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _response(answer: HttpAnswer) -> web.Response:
    if answer.body is None:
        return web.Response(status=answer.status)
    return web.Response(status=answer.status, body=answer.text(), content_type=_JSON)


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    home.mkdir(parents=True, exist_ok=True)
    with (home / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunning(
                "another chain process uses this home", str(home), "Stop it, or choose another"
            ) from error
        yield
