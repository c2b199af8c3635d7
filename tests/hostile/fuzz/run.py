"""Holds conversations with a network, and looks whether it minds."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from greenray.actors.gateway.settings import GatewaySettings
from greenray.chain.crypto import keccak256, sign_digest
from greenray.chain.dialects import get_dialect
from greenray.chain.rpc.client import RpcChainClient
from greenray.client.creation import Creator, PutOptions
from greenray.client.gateway_session import GatewaySession
from greenray.coding.checksums import hash_payload
from greenray.coding.codec import get_codec
from greenray.protocol.http_auth import canonical_request, format_authorization, message_to_sign
from tests.hostile.fuzz.conversations import Conversation, Place, drawn
from tests.support.payloads import ShortReader
from tests.support.raw_client import exchange
from tests.support.whole_network import USER_KEY, WholeNetwork, whole_network

SETTINGS = GatewaySettings(
    idle_timeout_s=1.0, keepalive_timeout_s=1.0, head_timeout_s=0.5, max_uploads=32
)
SEALED, OPEN = "sealed", ("open-0", "open-1", "open-2")
PAYLOAD = bytes(range(256)) * 40
AT_ONCE = 48
ROUND = 200
"""Conversations after which it is looked at what stays."""
WARM_UP_ROUNDS = 2
"""Before anything is compared: threads and pools that come with the first requests stay."""
PATIENCE_S = 60.0
"""No answer takes longer on a machine that is three times slower."""
_WAITS_S = 2.0
"""For longer than the network keeps a head or a body that does not come."""
MIB = 1 << 20
_ANSWER_500 = re.compile(rb"HTTP/1\.[01] 500 .*?\r\n\r\n", re.DOTALL)


class FuzzFailure(AssertionError):
    """The network minded."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is there between two rounds."""

    tasks: int
    descriptors: int
    memory_bytes: int

    @classmethod
    def now(cls) -> Held:
        gc.collect()
        return cls(
            len(asyncio.all_tasks()),
            len(os.listdir("/proc/self/fd")),
            psutil.Process().memory_info().rss,
        )

    def check(self, before: Held) -> None:
        if self.tasks > before.tasks + 8:
            raise FuzzFailure(f"{self.tasks} tasks, {before.tasks} before")
        if self.descriptors > before.descriptors + 16:
            raise FuzzFailure(f"{self.descriptors} descriptors, {before.descriptors} before")
        if self.memory_bytes > before.memory_bytes + 128 * MIB:
            raise FuzzFailure(
                f"{self.memory_bytes // MIB} MiB, {before.memory_bytes // MIB} MiB before"
            )


class Tracebacks(logging.Handler):
    """Those that were logged by anybody."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.seen.append(logging.Formatter().format(record))


class Fuzzer:
    """Of one network, which runs."""

    def __init__(self, network: WholeNetwork, tracebacks: Tracebacks) -> None:
        gateways = sorted(network.live.endpoints.values())
        self._gateway_ports = [_port_of(url) for url in gateways]
        self._ports = [*self._gateway_ports, _port_of(network.chain.endpoint)]
        self._primary_port = _port_of(network.live.endpoints[network.primary])
        self._tracebacks = tracebacks
        self._active: set[int] = set()

    async def run(self, seeds: Sequence[int]) -> None:
        """All of them, some at a time. Raises FuzzFailure with the seeds to look at."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(seed: int) -> None:
            async with slots:
                self._active.add(seed)
                await self._hold(seed)
                self._active.discard(seed)

        others = asyncio.create_task(self._others())
        held = [asyncio.create_task(one(seed)) for seed in seeds]
        try:
            for next_one in asyncio.as_completed([*held, others]):
                await next_one
                if all(task.done() for task in held):
                    break
        finally:
            for task in (*held, others):
                task.cancel()
            await asyncio.gather(*held, others, return_exceptions=True)

    async def _hold(self, seed: int) -> None:
        # Most with the primary, some with other SPs and with the chain.
        port = self._primary_port if seed % 4 else self._ports[seed // 4 % len(self._ports)]
        place = Place(
            f"127.0.0.1:{port}",
            [f"/album/{name}" for name in (SEALED, *OPEN, "none")],
            USER_KEY,
            PAYLOAD,
        )
        conversation = drawn(seed, place)
        try:
            async with asyncio.timeout(PATIENCE_S):
                received = await _converse(port, conversation)
        except TimeoutError:
            raise FuzzFailure(f"seed {seed}: no end after {PATIENCE_S:g} s") from None
        # A chain's node answers 500, in JSON, to every call that fails.
        reason = b"x-greenray-error:" if port in self._gateway_ports else b"application/json"
        for answer in _ANSWER_500.findall(received):
            if reason not in answer.lower():
                raise FuzzFailure(f"seed {seed}: {answer!r}")
        if self._tracebacks.seen:
            seeds = ", ".join(map(str, sorted(self._active)))
            raise FuzzFailure(f"one of the seeds {seeds}: {self._tracebacks.seen[0]}")

    async def _others(self) -> None:
        """Another user's requests are answered all the while."""
        host, path = f"127.0.0.1:{self._primary_port}", f"/album/{SEALED}"
        headers = [("Host", host), ("Connection", "close")]
        message = message_to_sign(canonical_request("GET", path, "", headers, host), keccak256)
        signature = format_authorization(message, sign_digest(USER_KEY, message))
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        request = "\r\n".join([*lines, f"Authorization: {signature}", "", ""]).encode()
        while True:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    answer = await exchange(self._primary_port, request)
            except TimeoutError:
                raise FuzzFailure(f"others wait, in one of the seeds {self._active}") from None
            if (answer.status, answer.body) != (200, PAYLOAD):
                raise FuzzFailure(f"others got {answer.head!r}, in one of {self._active}")
            await asyncio.sleep(0.05)


def _port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


async def _converse(port: int, conversation: Conversation) -> bytes:
    """What was answered."""
    received = bytearray()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with suppress(OSError):  # also: shut down what is no longer connected
            for step in conversation.steps:
                writer.write(step.data)
                await writer.drain()
                await asyncio.sleep(step.pause_s)
            match conversation.ending:
                case "last word":
                    writer.write_eof()
                case "gone":
                    writer.close()
                    return b""
                case "reset":
                    return b""
            with suppress(TimeoutError):
                async with asyncio.timeout(_WAITS_S):
                    await _read_all(reader, received)
            if not reader.at_eof():  # the server keeps the connection, or waits for a body
                if writer.can_write_eof():
                    writer.write_eof()
                await _read_all(reader, received)
    finally:
        writer.transport.abort()
    return bytes(received)


async def _read_all(reader: asyncio.StreamReader, received: bytearray) -> None:
    while chunk := await reader.read(1 << 16):
        received += chunk


@asynccontextmanager
async def fuzzer(folder: Path) -> AsyncIterator[Fuzzer]:
    """Of a network with an object that is sealed and some that wait for their payloads."""
    tracebacks = Tracebacks()
    async with whole_network(folder) as network:
        network.gateway = SETTINGS
        await network.start()
        await network.put(PAYLOAD, SEALED)
        for name in OPEN:
            await _create(network, name)
        logging.getLogger().addHandler(tracebacks)
        try:
            yield Fuzzer(network, tracebacks)
        finally:
            logging.getLogger().removeHandler(tracebacks)


async def _create(network: WholeNetwork, name: str) -> None:
    chain = RpcChainClient(network.chain.endpoint, get_dialect())
    session = GatewaySession(network.live.endpoints[network.primary], USER_KEY)
    params = await chain.storage_params()
    reader = ShortReader(PAYLOAD, 1 << 16)
    checksums = hash_payload(
        reader, params.max_segment_size_bytes, params.k, params.m, get_codec("numpy")
    )
    creator = Creator(chain, get_dialect(), USER_KEY)
    await creator.create_object(session, "album", name, checksums, PutOptions())
    await session.close()
    await chain.close()


async def fuzz(
    folder: Path, *, first: int, rounds: int | None, size: int = ROUND, minutes: float = 0.0
) -> int:
    """``rounds`` of ``size``, or as many as fit into ``minutes``; returns how many conversations
    were held. Raises FuzzFailure."""
    ends = time.monotonic() + 60.0 * minutes
    held: Held | None = None
    done = 0
    async with fuzzer(folder) as running:
        while done < rounds if rounds is not None else time.monotonic() < ends:
            begin = first + done * size
            await running.run(range(begin, begin + size))
            done += 1
            if done < WARM_UP_ROUNDS:
                continue
            now = await _settled(held)
            if held is None:
                held = now
            now.check(held)
    return done * size


async def _settled(before: Held | None) -> Held:
    """After the last connections have ended, which takes as long as the network gives them."""
    ends = time.monotonic() + PATIENCE_S
    while True:
        await asyncio.sleep(0.2)
        now = Held.now()
        waits_for_less = before is None or now.tasks > before.tasks
        if not waits_for_less or time.monotonic() > ends:
            return now
        if before is None and time.monotonic() > ends - PATIENCE_S + 3.0:
            return now
