"""A real HTTP JSON-RPC server that answers as a recorded v0.2.0 node did.

An answer is found by method and parameters; the id is the request's. Tests add or replace answers,
break the HTTP layer, and look at what was asked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

RECORDING = Path(__file__).parents[1] / "vectors" / "data" / "chain-v0_2.json"


def load_recording() -> dict[str, Any]:
    recording: dict[str, Any] = json.loads(RECORDING.read_text())
    return recording


class ReplayNode:
    """``url`` is set while it serves."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Any] = []
        """Bodies; one that is an array counts once."""
        self.raw_answers: list[web.Response] = []
        """Given out first, one per request."""
        self.connections_to_drop = 0
        self.hold: asyncio.Event | None = None
        """While set and not fired, requests get no answer."""
        self._answers: dict[str, dict[str, Any]] = {}

    def record(self, samples: list[dict[str, Any]]) -> None:
        """Take over the recorded ``rpc`` samples whose answer is complete."""
        for sample in samples:
            if sample["kind"] in ("rest", "grpc") or sample.get("http_method") != "POST":
                continue
            try:
                request = json.loads(sample["request_body"])
                answer = json.loads(sample["response_body"])
            except (ValueError, TypeError):
                continue
            if isinstance(request, dict) and isinstance(answer, dict) and "method" in request:
                self._answers.setdefault(_key(request), answer)

    def answer(self, method: str, params: Any, result: Any) -> None:
        self._answers[_key({"method": method, "params": params})] = {"result": result}

    def refuse(self, method: str, params: Any, text: str, code: int = -32603) -> None:
        error = {"code": code, "message": "Internal error", "data": text}
        self._answers[_key({"method": method, "params": params})] = {"error": error}

    def answer_query(self, path: str, request: bytes, **response: Any) -> None:
        """An abci_query; ``response`` replaces parts of an empty success."""
        whole = {"code": 0, "log": "", "codespace": "", "value": None, "height": "7"} | response
        params = {"path": path, "data": request.hex(), "height": "0", "prove": False}
        self.answer("abci_query", params, {"response": whole})

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        if self.connections_to_drop:
            self.connections_to_drop -= 1
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if self.hold is not None:
            await self.hold.wait()
        if self.raw_answers:
            return self.raw_answers.pop(0)
        if isinstance(body, list):
            # The order of answers means nothing.
            return web.json_response([self._answer_to(one) for one in reversed(body)])
        return web.json_response(self._answer_to(body))

    def _answer_to(self, request: dict[str, Any]) -> dict[str, Any]:
        found = self._answers.get(_key(request))
        if found is None:
            found = {"error": {"code": -32000, "message": "not recorded", "data": _key(request)}}
        return {"jsonrpc": "2.0", **found, "id": request["id"]}

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[ReplayNode]:
        app = web.Application(client_max_size=2_000_000)
        app.router.add_post("/", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            if self.hold is not None:
                self.hold.set()
            await runner.cleanup()


def _key(request: dict[str, Any]) -> str:
    # No parameters may be written as {}, [] or null.
    params = request.get("params") or {}
    return json.dumps([request["method"], params], sort_keys=True)
