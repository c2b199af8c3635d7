"""The body of a request, asked for and read as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import aiohttp
from aiohttp import web

from greenray.actors.gateway.errors import GatewayCode, Refusal
from greenray.actors.gateway.settings import GatewaySettings
from greenray.actors.uploader.payload_source import ConnectionPayload
from greenray.listening.server import read_ahead
from greenray.protocol.errors import PayloadInterrupted

_CONTINUE = "100-continue"
_ASKED = web.RequestKey("asked for its body", bool)
_UPLOAD_AHEAD_BYTES = 128 * 1024


def check_expectation(raw: web.BaseRequest) -> None:
    """Raises Refusal for one that is not 100-continue; HTTP/1.0 has none (RFC 9110 §10.1.1)."""
    expected = raw.headers.get("Expect", "")
    if expected and raw.version >= aiohttp.HttpVersion11 and expected.lower() != _CONTINUE:
        raise Refusal(GatewayCode.EXPECTATION_FAILED)


async def ask_for_body(raw: web.BaseRequest) -> None:
    """Tell a client that waits for it, once, that its payload is wanted."""
    waits = raw.headers.get("Expect", "").lower() == _CONTINUE
    if waits and raw.version >= aiohttp.HttpVersion11 and _ASKED not in raw:
        raw[_ASKED] = True
        await raw.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        raw.writer.output_size = 0


def taken_over(raw: web.BaseRequest, settings: GatewaySettings) -> ConnectionPayload | None:
    """The connection of a large body that comes as it is, to be read past the HTTP library."""
    size_bytes, transport = raw.content_length, raw.transport
    if (
        size_bytes is None
        or size_bytes < settings.take_over_bytes
        or not isinstance(transport, asyncio.Transport)
        or "Transfer-Encoding" in raw.headers
        or "Content-Encoding" in raw.headers
    ):
        return None
    received = raw.content.read_nowait()
    return ConnectionPayload(transport, received, size_bytes, settings.idle_timeout_s, raw.path)


async def body_chunks(
    raw: web.BaseRequest, settings: GatewaySettings, ahead_bytes: int = _UPLOAD_AHEAD_BYTES
) -> AsyncGenerator[bytes, None]:
    """The body as it arrives. Raises PayloadInterrupted.

    ``ahead_bytes``: twice as much may wait in memory for who reads it.
    """
    await ask_for_body(raw)
    read_ahead(raw, ahead_bytes)
    content = raw.content
    while True:
        try:
            async with asyncio.timeout(settings.idle_timeout_s):
                chunk, _ = await content.readchunk()
        except TimeoutError as error:
            raise PayloadInterrupted(
                f"no byte arrived for {settings.idle_timeout_s:g} s",
                raw.path,
                "Send the payload again.",
            ) from error
        except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError) as error:
            raise PayloadInterrupted(
                "the sender closed the connection", raw.path, "Send the payload again."
            ) from error
        if chunk:
            yield chunk
        elif content.at_eof():  # not so at the end of an HTTP chunk
            return
