"""Refusals as HTTP answers."""

from __future__ import annotations

import json
import math

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from greenray.actors.gateway.errors import GatewayCode, Refusal, error_json, error_xml
from greenray.actors.gateway.object_head import REQUEST_ID_HEADER
from greenray.listening.heads import HeadPutOff, HeadTooLong, HeadTooSlow
from greenray.protocol.errors import Overloaded
from greenray.protocol.foreign_text import printable

ERROR_HEADER = "X-Greenray-Error"
"""Ours: why a request was refused, as JSON {reason, message, retryable}."""
_RETRY_AFTER_S = 1.0
_SHOWN_CHARACTERS = 300


def shown_target(raw: web.BaseRequest) -> str:
    """What a request asks for, for the log."""
    return printable(raw.raw_path, _SHOWN_CHARACTERS)


def refusal_answer(refusal: Refusal, request_id: str) -> web.Response:
    code = refusal.code
    return _dressed(
        web.Response(
            status=code.status, body=error_xml(code, request_id), content_type="application/xml"
        ),
        refusal,
        request_id,
    )


def json_refusal_answer(refusal: Refusal, request_id: str) -> web.Response:
    """Of the routes that answer with JSON."""
    code = refusal.code
    return _dressed(
        web.Response(
            status=code.status, body=error_json(code, request_id), content_type="application/json"
        ),
        refusal,
        request_id,
    )


def _dressed(response: web.Response, refusal: Refusal, request_id: str) -> web.Response:
    code, cause = refusal.code, refusal.cause
    if request_id:
        response.headers[REQUEST_ID_HEADER] = request_id
    if code.retry_after_s is not None:
        response.headers["Retry-After"] = str(code.retry_after_s)
    if cause is not None:
        # Without ``where``: it may name files of this machine.
        message = f"{cause.what}. {cause.next_step}" if cause.next_step else cause.what
        response.headers[ERROR_HEADER] = json.dumps(
            {"reason": cause.reason, "message": message, "retryable": cause.retryable}
        )
    if isinstance(cause, Overloaded):
        response.headers["Retry-After"] = str(math.ceil(cause.retry_after_s))
        response.force_close()
    return response


def answer_to_fault(fault: BaseException, max_request_line_bytes: int) -> web.Response:
    """To what could not be read as a request; it has no id."""
    return refusal_answer(_refusal_of(fault, max_request_line_bytes), "")


def _refusal_of(fault: BaseException, max_request_line_bytes: int) -> Refusal:
    match fault:
        case LineTooLong(args=(_, limit, _)) if limit == max_request_line_bytes:
            return Refusal(GatewayCode.URI_TOO_LONG)
        case LineTooLong() | HeadTooLong():
            return Refusal(GatewayCode.HEADERS_TOO_LARGE)
        case HeadTooSlow():
            return Refusal(GatewayCode.REQUEST_TIMEOUT)
        case HeadPutOff():
            why = Overloaded(str(fault.message), "gateway", "Try again later", _RETRY_AFTER_S)
            return Refusal(GatewayCode.SLOW_DOWN, why)
        case _:
            return Refusal(GatewayCode.INVALID_REQUEST)
