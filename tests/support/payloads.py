"""The payload generators of tests/vectors/data/redundancy.json, and readers that misbehave."""

from __future__ import annotations

import json
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parents[1] / "vectors" / "data"


@cache
def redundancy_vectors() -> dict[str, Any]:
    vectors: dict[str, Any] = json.loads((VECTORS / "redundancy.json").read_text())
    return vectors


_streams: dict[str, bytes] = {}


def ctr_payload(seed: str, size_bytes: int) -> memoryview:
    """SHA-256 of seed and counter, joined. A shorter payload is a prefix of a longer one."""
    stream = _streams.get(seed, b"")
    if len(stream) < size_bytes:
        start = sha256(seed.encode())

        def block(counter: int) -> bytes:
            digest = start.copy()
            digest.update(counter.to_bytes(8, "big"))
            return digest.digest()

        blocks = range(len(stream) // 32, -(-size_bytes // 32))
        stream += b"".join(map(block, blocks))
        _streams[seed] = stream
    return memoryview(stream)[:size_bytes]


def vector_payload(generator: str, argument: str, size_bytes: int) -> memoryview:
    if generator == "ctr":
        return ctr_payload(argument, size_bytes)
    assert generator == "byte"
    return memoryview(bytes([int(argument)]) * size_bytes)


def published_payload() -> bytes:
    """The text of the published vector of protocol 01 §6.4: 113 194 784 bytes."""
    groups = ",".join(["1234567890"] * 9)
    return "".join(f"[{i:05d}] {groups}\n" for i in range(1024 * 1024)).encode()


class ShortReader:
    """Returns at most ``step_bytes`` per read, as a socket would; it has no ``readinto``."""

    def __init__(self, payload: bytes, step_bytes: int) -> None:
        self._payload = payload
        self._step_bytes = step_bytes
        self._position = 0

    def read(self, size: int = -1, /) -> bytes:
        size = self._step_bytes if size < 0 else min(size, self._step_bytes)
        part = self._payload[self._position : self._position + size]
        self._position += len(part)
        return part
