"""What one hostile client does on one connection, drawn from a seed: by a grammar of requests, or
from requests that were recorded, signed or not, changed, cut, slow, or broken off."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from greenray.chain.crypto import keccak256, sign_digest
from greenray.protocol.http_auth import (
    canonical_request,
    decode_path,
    format_authorization,
    message_to_sign,
)

RECORDING: Mapping[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "data" / "provider-v0_2.json").read_text("utf-8")
)
_METHODS = ("GET", "HEAD", "PUT", "POST", "OPTIONS", "DELETE", "CONNECT", "TRACE", "get", "PRI")
_QUERIES = (
    "",
    "upload-progress",
    "job-status=",
    "job-status=%zz",
    "job-timeline",
    "download-sources=1",
    "action=CreateObject",
    "action=CreateBucket&x=%41",
    "a=1;job-status",
    "&".join("k=v" for _ in range(120)),
    "k=" + "%2f" * 900,
    "object-meta",
    "=",
    "\xff\xfe",
)
_HEADERS = (
    ("Range", ("bytes=0-10", "bytes=5-", "bytes=9-1", "bytes=-5", "bytes=" + "9" * 5000, "x" * 99)),
    ("If-Match", ("*", '"x"', '"')),
    ("If-None-Match", ("*", 'W/"x", "y"')),
    ("If-Range", ('"x"', "Sat, 29 Oct 1994 19:43:31 GMT")),
    ("Expect", ("100-continue", "100-Continue", "200-ok")),
    ("Origin", ("https://app.example", "null")),
    ("Access-Control-Request-Method", ("PUT",)),
    ("Transfer-Encoding", ("chunked", "gzip, chunked", "identity", "chunked, chunked")),
    ("Content-Encoding", ("gzip", "br", "nonsense")),
    ("Content-Length", ("0", "5", "-1", "99999999999999999999", "1, 1", "0x5", "3000000")),
    ("Connection", ("close", "keep-alive", "upgrade", "Upgrade, HTTP2-Settings")),
    ("Upgrade", ("websocket", "h2c", "tcp")),
    ("X-Gnfd-Unsigned-Msg", ("7b7d", "zz", "5b" * 3000, "7b22637265617465223a317d")),
    ("X-Gnfd-Object-ID", ("1", "-1", "99999999999999999999999", "x")),
    ("X-Gnfd-Redundancy-Index", ("-1", "0", "6", "-99", "\u0663")),
    ("X-Gnfd-Piece-Index", ("0", "-1", "1" * 30)),
    ("X-Gnfd-User-Address", ("0x0", "")),
    ("Host", ("other", "a.b.c:99999", "[::1]", "h@h", "")),
    ("Content-Type", ("application/octet-stream", "text/html", "a" * 3000)),
    ("Cookie", ("a=b", "x" * 9000)),
    ("X-Long", ("x" * 66_000,)),
)
_JUNK = (
    b"\r\n",
    b"\r\n\r\n",
    b"\x00",
    b"\n",
    b" ",
    b"%",
    b";",
    b"&",
    b":",
    b"HTTP/1.1",
    b"\xff",
    b"\t",
)


@dataclass(frozen=True, slots=True)
class Step:
    data: bytes
    pause_s: float = 0.0
    """Before the next one."""


@dataclass(frozen=True, slots=True)
class Conversation:
    steps: Sequence[Step]
    ending: str
    """``wait``: a while for the server to close; ``last word``: half-close and read; ``gone``:
    close without reading; ``reset``."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a conversation is held."""

    authority: str
    paths: Sequence[str]
    """Of objects, sealed and not, as in a request line."""
    key: bytes
    """Of their owner."""
    payload: bytes
    """Of those that are not uploaded yet."""


def drawn(seed: int, place: Place) -> Conversation:
    random = Random(seed)
    make: Callable[[Random, Place], bytes] = random.choice((_by_grammar, _by_grammar, _recorded))
    data = b"".join(make(random, place) for _ in range(random.choice((1, 1, 1, 2, 3, 12))))
    for _ in range(random.choice((0, 0, 1, 1, 3, 10))):
        data = _changed(random, data)
    ending = random.choice(("wait", "wait", "last word", "last word", "gone", "reset"))
    if random.random() < 0.15:
        data = data[: random.randrange(len(data) + 1)]
    return Conversation(_delivered(random, data), ending)


def _delivered(random: Random, data: bytes) -> Sequence[Step]:
    pieces = random.choice((1, 1, 1, 2, 5, 40))
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(pieces - 1))
    slow_s = random.choice((0.0, 0.0, 0.005, 0.03))
    bounds = [0, *cuts, len(data)]
    return [Step(data[a:b], slow_s) for a, b in pairwise(bounds)]


def _by_grammar(random: Random, place: Place) -> bytes:
    method = random.choice(_METHODS[:3] if random.random() < 0.7 else _METHODS)
    path = random.choice(
        (*place.paths, *place.paths, "/", "/album", "//", "/%zz", "*", "", "/\xff")
    )
    query = random.choice(_QUERIES) if random.random() < 0.5 else ""
    headers = [("Host", place.authority)] if random.random() < 0.95 else []
    for _ in range(random.choice((0, 1, 2, 5))):
        name, values = random.choice(_HEADERS)
        headers.append((name, random.choice(values)))
    body = _body(random, place) if method in ("PUT", "POST") or random.random() < 0.1 else b""
    if body and random.random() < 0.8:
        headers.append(("Content-Length", str(len(body))))
    elif body and random.random() < 0.8:
        headers.append(("Transfer-Encoding", "chunked"))
        body = _chunked(random, body)
    if random.random() < 0.6:
        headers.append(("Authorization", _signature(method, path, query, headers, place)))
    prefix = f"http://{place.authority}" if random.random() < 0.1 else ""
    target = f"{prefix}{path}?{query}" if query else f"{prefix}{path}"
    version = random.choice(("1.1",) * 8 + ("1.0", "0.9", "2.0", "1.2"))
    return _head(f"{method} {target} HTTP/{version}", headers) + body


def _recorded(random: Random, place: Place) -> bytes:
    """One of the Go provider's, as it was or for an object of ours."""
    exchange = random.choice(RECORDING["replicate_piece"])
    if random.random() < 0.5:
        lines = "\r\n".join([*exchange["request_head"], "", ""])
        return lines.encode() + bytes.fromhex(exchange["body_hex"])
    request = RECORDING[random.choice(("get_approval", "put_object", "get_object"))]["request"]
    raw_path = request["canonical"].split("\n")[1]
    if random.random() < 0.5:
        raw_path = random.choice(place.paths)
    body = _body(random, place) if request["method"] == "PUT" else b""
    headers = {**request["headers"], "Host": place.authority, "Content-Length": str(len(body))}
    if random.random() < 0.7:
        named = [*headers.items()]
        query = request["query"]
        headers["Authorization"] = _signature(request["method"], raw_path, query, named, place)
    target = f"{raw_path}?{request['query']}" if request["query"] else raw_path
    return _head(f"{request['method']} {target} HTTP/1.1", [*headers.items()]) + body


def _signature(
    method: str, raw_path: str, query: str, headers: Sequence[tuple[str, str]], place: Place
) -> str:
    """Of the owner, where such a request can be signed at all."""
    try:
        path = decode_path(raw_path)
        canonical = canonical_request(method, path, query, headers, place.authority)
    except Exception:  # what is signed then does not matter
        canonical = b""
    message = message_to_sign(canonical, keccak256)
    return format_authorization(message, sign_digest(place.key, message))


def _body(random: Random, place: Place) -> bytes:
    choice = random.random()
    if choice < 0.1:
        return place.payload
    if choice < 0.5:
        return random.randbytes(len(place.payload))
    return random.randbytes(random.choice((0, 1, 5, 5000, 70_000, 1_300_000)))


def _chunked(random: Random, body: bytes) -> bytes:
    size = random.choice((1000, 5000, 70_000))
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    trailer = random.choice((b"", b"", b"X-Trailer: 1\r\n", b"X: " + b"x" * 70_000 + b"\r\n"))
    return chunks + random.choice((b"0\r\n" + trailer + b"\r\n",) * 4 + (b"", b"zz\r\n"))


def _head(line: str, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [line, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def _changed(random: Random, data: bytes) -> bytes:
    # Mostly in a head: bodies are bytes anyway.
    at = random.randrange(min(len(data), 2000) + 1)
    length = random.choice((1, 1, 3, 20))
    match random.randrange(4):
        case 0:
            return data[:at] + random.randbytes(length) + data[at + length :]
        case 1:
            return data[:at] + data[at + length :]
        case 2:
            return data[:at] + random.choice(_JUNK) + data[at:]
        case _:
            return data[:at] + data[at : at + 200] + data[at:]
