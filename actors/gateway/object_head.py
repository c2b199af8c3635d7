"""The head of an answer to GetObject (protocol 06 §3.2), which is also that of HEAD. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from greenray.actors.downloader.segment_reader import ByteRange
from greenray.actors.gateway.errors import GatewayCode, Refusal
from greenray.actors.gateway.ranges import parse_range
from greenray.protocol.content_type import is_inert, served_content_type
from greenray.protocol.gateway_request import GatewayRequest
from greenray.protocol.http_conditions import (
    ConditionResult,
    check_conditions,
    entity_tag,
    is_range_wanted,
)
from greenray.protocol.objects import ObjectInfo

REQUEST_ID_HEADER = "X-Gnfd-Request-ID"


@dataclass(frozen=True, slots=True)
class ObjectHead:
    status: int
    headers: Mapping[str, str]
    """With the length of the body if there is none to send, else without."""
    wanted: ByteRange | None = None
    """What the body is of; None: there is none to send."""


def object_head(request: GatewayRequest, info: ObjectInfo) -> ObjectHead:
    """Of a GET or HEAD of an object that the client may read. HEAD has no ranges (RFC 9110 §14.2).

    Raises:
        Refusal: a precondition is not met, or the range does not lie in the payload.
    """
    tag = entity_tag(info.checksums[0]) if info.checksums else ""
    headers = {REQUEST_ID_HEADER: request.request_id}
    if tag:
        headers["ETag"] = tag
    condition = check_conditions(request.header("If-Match"), request.header("If-None-Match"), tag)
    if condition is ConditionResult.FAILED:
        raise Refusal(GatewayCode.PRECONDITION_FAILED)
    if condition is ConditionResult.NOT_MODIFIED:
        return ObjectHead(304, headers)
    content_type = served_content_type(info.content_type)
    headers |= {"Content-Type": content_type, "Accept-Ranges": "bytes"}
    if not is_inert(content_type):
        headers["Content-Disposition"] = "attachment"
    size = info.payload_size
    if request.method == "HEAD" or size == 0:
        return ObjectHead(200, headers | {"Content-Length": str(size)})
    wanted = _wanted_range(request, size, tag)
    if wanted is None:
        return ObjectHead(200, headers, ByteRange(0, size - 1))
    headers["Content-Range"] = f"bytes {wanted.first}-{wanted.last}/{size}"
    return ObjectHead(206, headers, wanted)


def _wanted_range(request: GatewayRequest, size: int, tag: str) -> ByteRange | None:
    if not is_range_wanted(request.header("If-Range"), tag):
        return None
    try:
        return parse_range(request.header("Range"), size)
    except ValueError as error:
        raise Refusal(GatewayCode.INVALID_RANGE) from error
