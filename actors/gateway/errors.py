"""The error answers of the gateway (protocol 06 §5.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from greenray.protocol.errors import (
    AccessDenied,
    AlreadyUploaded,
    ChainLags,
    ChainUnavailable,
    ComponentUnavailable,
    EmptyPayload,
    GreenrayError,
    InvalidHeader,
    InvalidQuery,
    NoSpaceLeft,
    NoSuchAccount,
    NoSuchBucket,
    NoSuchObject,
    NoTrace,
    Overloaded,
    QuotaExceeded,
    SignatureError,
    StoreUnavailable,
    WrongObjectStatus,
)
from greenray.protocol.go_xml import element

RETRY_AFTER_S = 2
"""An actor is there again after so long, most of the time."""


class GatewayCode(Enum):
    """(code on the wire, HTTP status, message on the wire)."""

    INVALID_HEADER = ("InvalidHeader", 400, "The headers are invalid.")
    INVALID_REQUEST = ("InvalidRequest", 400, "The request is malformed.")
    INVALID_QUERY = ("InvalidQuery", 400, "The queries are invalid.")
    INVALID_BUCKET_NAME = ("InvalidBucketName", 400, "The specified bucket is not valid.")
    INVALID_KEY = ("InvalidKey", 400, "Object key is illegal")
    INVALID_PAYLOAD = ("InvalidPayload", 400, "Payload is empty")
    INVALID_RANGE = ("InvalidRange", 400, "Range is invalid")
    INVALID_ADDRESS = ("InvalidAddress", 400, "Address is illegal")
    INVALID_MAX_KEYS = ("InvalidMaxKeys", 400, "MaxKeys is illegal")
    INVALID_START_AFTER = ("InvalidStartAfter", 400, "StartAfter is illegal")
    INVALID_CONTINUATION_TOKEN = (
        "InvalidContinuationToken",
        400,
        "ContinuationToken is illegal",
    )
    INVALID_PREFIX = ("InvalidPrefix", 400, "Prefix is illegal")
    INVALID_OBJECT_STATE = ("InvalidObjectState", 403, "Object state is invalid")
    SIGNATURE_DOES_NOT_MATCH = ("SignatureDoesNotMatch", 403, "SignatureDoesNotMatch")
    ACCESS_DENIED = ("AccessDenied", 403, "Access Denied")
    OUT_OF_QUOTA = ("AccessDenied", 403, "Out of Quota")
    INVALID_REG_NONCE = (
        "InvalidRegNonceHeader",
        400,
        "The X-Gnfd-App-Reg-Nonce header is incorrect.",
    )
    SIGNED_TEXT_OTHER_HEADERS = (
        "SigMsgNotMatchHeaders",
        400,
        "The signed message in Authorization does not match the content in headers.",
    )
    SIGNED_TEXT_OTHER_SP = (
        "SignedMsgNotMatchSPAddr",
        400,
        "The signed message in Authorization is not for the this SP.",
    )
    SIGNED_TEXT_NO_TEMPLATE = (
        "SignedMsgNotMatchTemplate",
        400,
        "The signed message in Authorization does not match the template.",
    )
    INVALID_EXPIRY_DATE = (
        "InvalidExpiryDateHeader",
        400,
        "The X-Gnfd-App-Reg-Expiry-Date header is incorrect. The expiry date is expected to be "
        "within 604800 seconds and formatted in YYYY-DD-MM HH:MM:SS 'GMT'Z, e.g. 2023-04-20 "
        "16:34:12 GMT+08:00 . ",
    )
    REQUEST_TIMEOUT = ("RequestTimeout", 408, "The request was not sent in time.")
    PRECONDITION_FAILED = ("PreconditionFailed", 412, "A precondition of the request is not met.")
    URI_TOO_LONG = ("URITooLong", 414, "The request line is too long.")
    EXPECTATION_FAILED = ("ExpectationFailed", 417, "The expectation is not supported.")
    HEADERS_TOO_LARGE = ("RequestHeaderSectionTooLarge", 431, "The headers are too large.")
    NO_SUCH_KEY = ("NoSuchKey", 404, "The specified key does not exist.")
    NO_SUCH_BUCKET = ("NoSuchBucket", 404, "The specified bucket does not exist.")
    NO_ROUTER = ("NoRouter", 404, "The request can not route any handlers")
    INTERNAL_ERROR = ("InternalError", 500, "Internal Server Error")
    SLOW_DOWN = ("SlowDown", 503, "Please reduce your request rate.")
    SERVICE_UNAVAILABLE = ("ServiceUnavailable", 503, "Service Unavailable")
    INSUFFICIENT_STORAGE = ("InsufficientStorage", 507, "Insufficient Storage")
    NOT_IMPLEMENTED = ("NotImplementedError", 501, "Not Implemented Error")
    NO_COMPONENT = ("NotExistComponentError", 501, "Not Existed Component Error")

    @property
    def retry_after_s(self) -> int | None:
        """When a client may come again; None: a later request fares no better by itself."""
        return RETRY_AFTER_S if self is GatewayCode.SERVICE_UNAVAILABLE else None

    @property
    def code(self) -> str:
        return self.value[0]

    @property
    def status(self) -> int:
        return self.value[1]

    @property
    def message(self) -> str:
        return self.value[2]

    @classmethod
    def of(cls, code: str) -> GatewayCode:
        """By its code on the wire."""
        return next(member for member in cls if member.code == code)


_CODES: Mapping[type[GreenrayError], GatewayCode] = MappingProxyType(
    {
        InvalidHeader: GatewayCode.INVALID_HEADER,
        InvalidQuery: GatewayCode.INVALID_QUERY,
        EmptyPayload: GatewayCode.INVALID_PAYLOAD,
        SignatureError: GatewayCode.SIGNATURE_DOES_NOT_MATCH,
        AccessDenied: GatewayCode.ACCESS_DENIED,
        QuotaExceeded: GatewayCode.OUT_OF_QUOTA,
        NoSuchAccount: GatewayCode.ACCESS_DENIED,
        NoSuchBucket: GatewayCode.NO_SUCH_BUCKET,
        NoSuchObject: GatewayCode.NO_SUCH_KEY,
        NoTrace: GatewayCode.NO_SUCH_KEY,
        WrongObjectStatus: GatewayCode.INVALID_OBJECT_STATE,
        AlreadyUploaded: GatewayCode.INVALID_OBJECT_STATE,
        Overloaded: GatewayCode.SLOW_DOWN,
        # What passes by itself: somebody is being started again, or a store is busy.
        ComponentUnavailable: GatewayCode.SERVICE_UNAVAILABLE,
        ChainUnavailable: GatewayCode.SERVICE_UNAVAILABLE,
        ChainLags: GatewayCode.SERVICE_UNAVAILABLE,
        StoreUnavailable: GatewayCode.SERVICE_UNAVAILABLE,
        NoSpaceLeft: GatewayCode.INSUFFICIENT_STORAGE,
    }
)


class Refusal(Exception):
    """A request is answered with ``code``; ``cause`` says why, when there is more to say."""

    def __init__(self, code: GatewayCode, cause: GreenrayError | None = None) -> None:
        super().__init__(code, cause)
        self.code = code
        self.cause = cause


def refusal_for(error: GreenrayError) -> Refusal:
    """The documented mapping of internal errors; everything else is an InternalError."""
    for kind in type(error).__mro__:
        if kind in _CODES:
            return Refusal(_CODES[kind], error)
    return Refusal(GatewayCode.INTERNAL_ERROR, error)


def error_json(code: GatewayCode, request_id: str) -> bytes:
    """The body of an error answer of the routes that answer with JSON."""
    answer = {"code": code.code, "message": code.message, "requestID": request_id}
    return json.dumps(answer, separators=(",", ":")).encode()


def error_xml(code: GatewayCode, request_id: str) -> bytes:
    """The body of an error answer; it has no declaration and no newline."""
    return (
        f"<Error>{element('Code', code.code)}{element('Message', code.message)}"
        f"{element('RequestId', request_id)}</Error>"
    ).encode()
