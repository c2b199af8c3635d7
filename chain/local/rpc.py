"""JSON-RPC as CometBFT 0.37 speaks it over HTTP: requests, parameters, answers (05 §6, §9).

Pure: bytes in, values out; what a method does is given as a table.
"""

from __future__ import annotations

import base64
import binascii
import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from greenray.chain.addresses import InvalidAddress, parse_hex
from greenray.protocol import go_json

MAX_BODY_BYTES = 1_000_000
_NO_ID = -1
_INTEGERS = ("int", "int64")
_REQUEST_GO_TYPE = (
    'struct { JSONRPC string "json:\\"jsonrpc\\""; ID interface {} "json:\\"id,omitempty\\"";'
    ' Method string "json:\\"method\\""; Params json.RawMessage "json:\\"params\\"" }'
)
_INTEGER = re.compile(r"^-?[0-9]+$")


class RpcError(Exception):
    """An error answer; ``status`` is that of HTTP, ``request_id`` overrides the request's."""

    def __init__(self, code: int, message: str, data: str = "", status: int = 200) -> None:
        super().__init__(code, message, data, status)
        self.code = code
        self.message = message
        self.data = data
        self.status = status

    def to_json(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data:
            error["data"] = self.data
        return error


def internal_error(data: str) -> RpcError:
    """An error that a method returned."""
    return RpcError(-32603, "Internal error", data)


class GoPanic(Exception):
    """Where the real node's handler panics: HTTP 500 and an answer to id -1."""


@dataclass(frozen=True, slots=True)
class Argument:
    """``kind``: int, int64, bytes (base64), hex, string or bool."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Method:
    """A function of the arguments by position; may be a coroutine function."""

    call: Callable[..., Any]
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class JsonText:
    """A result whose JSON text is there already."""

    text: str


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """``body`` None: nothing to say."""

    status: int
    body: Any | None

    def text(self) -> bytes:
        if self.body is None:
            return b""
        if isinstance(self.body, list):
            return f"[{','.join(map(_text_of, self.body))}]".encode()
        return _text_of(self.body).encode()


def _text_of(answer: Any) -> str:
    """Of the answer to one request."""
    result = answer.get("result")
    if not isinstance(result, JsonText):
        return go_json.dump(answer, sort_keys=False)
    others = {name: value for name, value in answer.items() if name != "result"}
    return f'{go_json.dump(others, sort_keys=False)[:-1]},"result":{result.text}}}'


FallBack = Callable[[str, Any], Awaitable[Any]]
"""Answers a method that is not in the table; raises KeyError when it has none."""


async def answer_post(
    body: bytes, methods: Mapping[str, Method], fall_back: FallBack | None = None
) -> HttpAnswer:
    """The answer to a POST on ``/`` with a body."""
    try:
        requests = _parse_requests(body)
    except RpcError as error:
        return HttpAnswer(error.status, {"jsonrpc": "2.0", "error": error.to_json()})
    answers = []
    for request in requests:
        if request.get("id") is None:
            continue
        try:
            answers.append(await _answer_one(request, methods, fall_back))
        except GoPanic as panic:
            return HttpAnswer(500, _answer(_NO_ID, error=internal_error(str(panic))))
    if not answers:
        return HttpAnswer(200, None)
    return HttpAnswer(200, answers[0] if len(answers) == 1 else answers)


async def answer_get(method: Method, query: Mapping[str, str]) -> HttpAnswer:
    """The answer to ``/method?argument=value``."""
    try:
        arguments = http_arguments(method, query)
        result = await _call(method, arguments)
    except RpcError as error:
        return HttpAnswer(500, _answer(_NO_ID, error=error))
    except GoPanic as panic:
        return HttpAnswer(500, _answer(_NO_ID, error=internal_error(str(panic))))
    return HttpAnswer(200, _answer(_NO_ID, result=result))


def body_too_large() -> HttpAnswer:
    """The answer to a body over MAX_BODY_BYTES."""
    text = "error reading request body: http: request body too large"
    error = RpcError(-32600, "Invalid Request", text)
    return HttpAnswer(400, {"jsonrpc": "2.0", "error": error.to_json()})


async def _answer_one(
    request: Mapping[str, Any], methods: Mapping[str, Method], fall_back: FallBack | None
) -> dict[str, Any]:
    request_id, name = request["id"], request["method"]
    method = methods.get(name)
    try:
        if method is not None:
            arguments = json_arguments(method, request)
            return _answer(request_id, result=await _call(method, arguments))
        if fall_back is not None:
            return _answer(request_id, result=await fall_back(name, request.get("params")))
    except RpcError as error:
        return _answer(request_id, error=error)
    except KeyError:
        pass
    return _answer(request_id, error=RpcError(-32601, "Method not found"))


async def _call(method: Method, arguments: Sequence[Any]) -> Any:
    result = method.call(*arguments)
    return await result if inspect.isawaitable(result) else result


def _answer(
    request_id: Any, *, result: Any = None, error: RpcError | None = None
) -> dict[str, Any]:
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id}
    if error is not None:
        return answer | {"error": error.to_json()}
    return answer | {"result": result}


# --- requests ----------------------------------------------------------------------------------


def _parse_requests(body: bytes) -> list[dict[str, Any]]:
    """Raises RpcError with HTTP status 500."""
    try:
        parsed = parse_json(body.decode(errors="replace"))
    except ValueError as error:
        raise _unreadable(str(error)) from error
    if not isinstance(parsed, list):
        return [_parse_request(parsed)]
    try:
        return [_parse_request(row) for row in parsed]
    except RpcError:
        # What is no list of requests is read again as one request, and that error is told.
        raise _not_a_request(parsed) from None


def _parse_request(content: Any) -> dict[str, Any]:
    """Field names count in any case, the last one wins; without an id there is no answer."""
    if content is None:
        return {"id": None}
    if not isinstance(content, dict):
        raise _not_a_request(content)
    row = {name.lower(): value for name, value in content.items()}
    for name in ("jsonrpc", "method"):
        if not isinstance(row.get(name), str | None):
            raise _unreadable(
                f"json: cannot unmarshal {_go_kind(row[name])} into Go struct field"
                f" .{name} of type string"
            )
    request: dict[str, Any] = {"id": _parse_id(row.get("id")), "method": row.get("method") or ""}
    if "params" in row:
        request["params"] = row["params"]
    return request


def _parse_id(value: Any) -> str | int | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _int64_of(value)
    raise _unreadable(f"json-rpc ID ({_go_value(value)}) is of unknown type ({_go_type(value)})")


def _int64_of(number: float) -> int:
    """Go reads a number as a float, cuts it, and has the lowest integer for what does not fit."""
    try:
        whole = int(float(number))
    except OverflowError:
        return -(2**63)
    return whole if -(2**63) <= whole < 2**63 else -(2**63)


def _not_a_request(content: Any) -> RpcError:
    return _unreadable(
        f"json: cannot unmarshal {_go_kind(content)} into Go value of type {_REQUEST_GO_TYPE}"
    )


def _unreadable(text: str) -> RpcError:
    return RpcError(
        -32700, "Parse error. Invalid JSON", f"error unmarshaling request: {text}", status=500
    )


def _go_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    kinds = {dict: "object", list: "array", str: "string", int: "number", float: "number"}
    return kinds[type(value)]


def _go_type(value: Any) -> str:
    types = {dict: "map[string]interface {}", list: "[]interface {}", bool: "bool"}
    return types[type(value)]


def _go_value(value: Any) -> str:
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_go_value(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(_go_value(item) for item in value) + "]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- JSON with Go's error texts ----------------------------------------------------------------

_KEY_PLACE = "looking for beginning of object key string"
_PLACES = {
    "Expecting value": "looking for beginning of value",
    "Extra data": "after top-level value",
    "Expecting property name enclosed in double quotes": _KEY_PLACE,
    "Illegal trailing comma before end of object": _KEY_PLACE,
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
}


def parse_json(text: str) -> Any:
    """Raises ValueError with the words of Go's encoding/json."""
    try:
        return _without_surrogates(json.loads(text, parse_constant=_refuse_constant))
    except RecursionError as error:
        raise ValueError("exceeded max depth") from error
    except json.JSONDecodeError as error:
        if error.pos >= len(text) or error.msg.startswith("Unterminated"):
            raise ValueError("unexpected end of JSON input") from error
        message = error.msg.split(": ")[0]
        place = _PLACES.get(message, "looking for beginning of value")
        raise ValueError(f"invalid character {text[error.pos]!r} {place}") from error


def _without_surrogates(value: Any) -> Any:
    """Halves of surrogate pairs become U+FFFD, as Go reads them."""
    if isinstance(value, str):
        return go_json.replace_surrogates(value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {
            _without_surrogates(name): _without_surrogates(item) for name, item in value.items()
        }
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"invalid character {name[0]!r} looking for beginning of value")


# --- parameters --------------------------------------------------------------------------------


def json_arguments(method: Method, request: Mapping[str, Any]) -> list[Any]:
    """Arguments of a POSTed request, missing ones None.

    Raises:
        RpcError: -32602 with CometBFT's words.
        GoPanic: no ``params`` for a method that takes arguments.
    """
    if "params" not in request:
        if method.arguments:
            raise GoPanic("reflect: Call with too few input arguments")
        return []
    params = request["params"]
    try:
        if params is None:
            return [None for _ in method.arguments]
        if isinstance(params, dict):
            return [_from_json(a.kind, params.get(a.name)) for a in method.arguments]
        if isinstance(params, list):
            _check_count(method, params)
            pairs = zip(method.arguments, params, strict=True)
            return [_from_json(argument.kind, value) for argument, value in pairs]
        raise ValueError(
            "unknown type for JSON params: json: cannot unmarshal"
            f" {_go_kind(params)} into Go value of type []json.RawMessage. Expected map or array"
        )
    except ValueError as error:
        text = f"error converting json params to arguments: {error}"
        raise RpcError(-32602, "Invalid params", text) from error


def http_arguments(method: Method, query: Mapping[str, str]) -> list[Any]:
    """Arguments of the GET form: strings quoted, bytes as 0x hex, integers bare.

    Raises:
        RpcError: -32602 with CometBFT's words.
    """
    try:
        return [_from_http(argument, query.get(argument.name, "")) for argument in method.arguments]
    except ValueError as error:
        text = f"error converting http params to arguments: {error}"
        raise RpcError(-32602, "Invalid params", text) from error


def _check_count(method: Method, params: list[Any]) -> None:
    if len(params) == len(method.arguments):
        return
    names = " ".join(argument.name for argument in method.arguments)
    raw = [json.dumps(value, separators=(",", ":")).encode() for value in params]
    shown = " ".join("[" + " ".join(str(byte) for byte in item) + "]" for item in raw)
    raise ValueError(
        f"expected {len(method.arguments)} parameters ([{names}]), got {len(params)} ([{shown}])"
    )


def _from_http(argument: Argument, text: str) -> Any:
    if not text:
        return None
    if argument.kind in _INTEGERS and _INTEGER.match(text):
        return _checked_int(text, argument.kind)
    if text.lower().startswith("0x"):
        if argument.kind not in ("string", "bytes", "hex"):
            raise ValueError(f"got a hex string arg, but expected '{argument.kind}'")
        data = _hex(text[2:])
        return data.decode(errors="replace") if argument.kind == "string" else data
    if argument.kind in ("bytes", "hex") and len(text) > 1 and text[0] == text[-1] == '"':
        return str(parse_json(text)).encode()
    if argument.kind in _INTEGERS and not text.startswith('"'):
        raise ValueError(f'invalid 64-bit integer encoding "{text}", expected string')
    return _from_json(argument.kind, parse_json(text))


def _from_json(kind: str, value: Any) -> Any:
    """Raises ValueError with CometBFT's words."""
    if value is None:
        return None
    match kind:
        case "int" | "int64":
            return _json_int(value, kind)
        case "bool":
            return _typed(value, bool, "bool")
        case "string":
            return _typed(value, str, "string")
        case "hex":
            return _hex(_typed(value, str, "string"))
        case _:
            return _base64(_typed(value, str, "[]uint8"))


def _typed(value: Any, expected: type, go_type: str) -> Any:
    if not isinstance(value, expected):
        raise ValueError(
            f"json: cannot unmarshal {_go_kind(value)} into Go value of type {go_type}"
        )
    return value


def _json_int(value: Any, kind: str) -> int:
    """64-bit integers are text in CometBFT's JSON."""
    if not isinstance(value, str):
        shown = json.dumps(value, separators=(",", ":")).replace('"', '\\"')
        raise ValueError(f'invalid 64-bit integer encoding "{shown}", expected string')
    return _checked_int(value, kind)


def _checked_int(text: str, kind: str) -> int:
    number = parse_json(text)
    if number is None:
        return 0
    if type(number) is int and -(2**63) <= number < 2**63:
        return number
    given = f"number {text}" if type(number) in (int, float) else _go_kind(number)
    raise ValueError(f"json: cannot unmarshal {given} into Go value of type {kind}")


def _hex(text: str) -> bytes:
    try:
        return parse_hex(text)
    except InvalidAddress as error:
        raise ValueError(str(error)) from error


def _base64(text: str) -> bytes:
    """Go's decoder ignores line breaks and names the first byte that does not fit."""
    compact = text.replace("\r", "").replace("\n", "")
    for position, character in enumerate(compact):
        allowed = character.isascii() and (character.isalnum() or character in "+/")
        padding = character == "=" and position >= len(compact) - 2 and len(compact) % 4 == 0
        if not allowed and not padding:
            raise ValueError(f"illegal base64 data at input byte {position}")
    if len(compact) % 4:
        raise ValueError(f"illegal base64 data at input byte {len(compact) // 4 * 4}")
    try:
        return base64.b64decode(compact, validate=True)
    except binascii.Error as error:
        raise ValueError("illegal base64 data at input byte 0") from error
