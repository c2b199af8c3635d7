"""A process that listens with few descriptors: ``python -m tests.support.listening_child FILES``.

Prints its port, and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import sys

from aiohttp import web

from greenray.listening.connections import Connections
from greenray.listening.limits import ListenLimits
from greenray.listening.listener import HttpListener, bound_sockets
from greenray.listening.server import BoundedServer


async def _answer(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="here")


def _refuse(fault: BaseException) -> web.Response:
    return web.Response(status=400)


def _no_dress(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Nothing to add."""


async def _serve() -> None:
    limits = ListenLimits(10_000, 10_000, keepalive_timeout_s=60.0)
    server = BoundedServer(limits, Connections(limits), _answer, _refuse, _no_dress)
    listener = HttpListener(server, await bound_sockets("127.0.0.1", 0))
    await listener.start()
    print(listener.port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await listener.close()


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr)
    files = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    asyncio.run(_serve())
