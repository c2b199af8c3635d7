"""JSON-RPC parsing and parameters, without a server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from greenray.chain.local.evm import whole_bytes_hex
from greenray.chain.local.rpc import (
    Argument,
    FallBack,
    GoPanic,
    Method,
    RpcError,
    answer_get,
    answer_post,
    http_arguments,
    json_arguments,
    parse_json,
)

ECHO = Method(
    lambda height, tx, data, text, flag: [height, tx, data, text, flag],
    (
        Argument("height", "int64"),
        Argument("tx", "bytes"),
        Argument("data", "hex"),
        Argument("text", "string"),
        Argument("flag", "bool"),
    ),
)
PING = Method(lambda: "pong")


async def post(body: object, fall_back: FallBack | None = None) -> tuple[int, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await answer_post(raw, {"ping": PING}, fall_back)
    return answer.status, answer.body


async def test_a_batch_is_answered_in_order_and_notifications_are_not() -> None:
    batch = [
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "method": "ping"},
        {"jsonrpc": "2.0", "id": "b", "method": "nope"},
    ]
    status, body = await post(batch)
    assert status == 200
    assert [answer["id"] for answer in body] == [1, "b"]
    assert body[1]["error"]["code"] == -32601


async def test_one_remaining_answer_of_a_batch_stands_alone() -> None:
    _, body = await post([{"id": 3, "method": "ping"}, {"method": "ping"}])
    assert body == {"jsonrpc": "2.0", "id": 3, "result": "pong"}


@pytest.mark.parametrize("body", [[], None, {"id": None, "method": "ping"}])
async def test_what_asks_for_nothing_gets_an_empty_answer(body: object) -> None:
    assert await post(body) == (200, None)


async def test_names_of_fields_count_in_any_case_and_null_in_a_batch_asks_for_nothing() -> None:
    _, body = await post([None, {"ID": 1, "Method": "ping", "JSONRPC": "1.0"}])
    assert body == {"jsonrpc": "2.0", "id": 1, "result": "pong"}


@pytest.mark.parametrize(
    ("given", "shown"), [(1.9, 1), (-0.5, 0), (2**53 + 1, 2**53), (10**30, -(2**63))]
)
async def test_an_id_is_read_as_go_reads_a_number(given: float, shown: int) -> None:
    _, body = await post({"id": given, "method": "ping"})
    assert body["id"] == shown


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"id": 1, "method": 5}, "number into Go struct field .method of type string"),
        ({"id": 1, "jsonrpc": []}, "array into Go struct field .jsonrpc of type string"),
        ([{"id": {}, "method": "ping"}], "json: cannot unmarshal array into Go value of type str"),
        (True, "json: cannot unmarshal bool into Go value of type struct"),
    ],
)
async def test_fields_of_a_wrong_kind_are_named_in_gos_words(body: object, text: str) -> None:
    status, answer = await post(body)
    assert status == 500
    assert text in answer["error"]["data"]


async def test_an_answer_is_escaped_as_go_escapes_it() -> None:
    halves = {"ping": Method(lambda: "<a&b>\u2028")}
    answer = await answer_post(b'{"id":"\\ud800","method":"ping"}', halves)
    assert answer.text() == (
        '{"jsonrpc":"2.0","id":"\ufffd","result":"\\u003ca\\u0026b\\u003e\\u2028"}'.encode()
    )


@pytest.mark.parametrize("body", [b"{", b"hello", b"5", b'["x"]', b"[" * 100_000])
async def test_what_is_not_a_request_is_a_parse_error(body: object) -> None:
    status, answer = await post(body)
    assert status == 500
    assert answer["error"]["code"] == -32700
    assert "id" not in answer


async def test_unknown_methods_are_asked_of_the_fall_back() -> None:
    async def fall_back(method: str, params: object) -> str:
        return {"eth_chainId": "0x2328"}[method]

    _, known = await post({"id": 1, "method": "eth_chainId"}, fall_back)
    _, unknown = await post({"id": 1, "method": "eth_call"}, fall_back)
    assert known["result"] == "0x2328"
    assert unknown["error"]["message"] == "Method not found"


def test_arguments_are_read_by_name_and_by_position() -> None:
    params = {"height": "-3", "tx": "YWJj", "data": "0aFF", "text": "t", "flag": True}
    expected = [-3, b"abc", b"\x0a\xff", "t", True]
    assert json_arguments(ECHO, {"params": params}) == expected
    assert json_arguments(ECHO, {"params": list(params.values())}) == expected
    assert json_arguments(ECHO, {"params": {"other": 1}}) == [None] * 5


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"height": 3}, 'invalid 64-bit integer encoding "3", expected string'),
        ({"height": "abc"}, "invalid character 'a' looking for beginning of value"),
        ({"height": "1.5"}, "cannot unmarshal number 1.5 into Go value of type int64"),
        ({"height": "true"}, "cannot unmarshal bool into Go value of type int64"),
        ({"height": "007"}, "invalid character '0' after top-level value"),
        ({"height": "9" * 20}, "cannot unmarshal number 9{20} into Go value of type int64"),
        ({"height": ""}, "unexpected end of JSON input"),
        ({"tx": "***"}, "illegal base64 data at input byte 0"),
        ({"data": "0x"}, "encoding/hex: invalid byte: U\\+0078 'x'"),
        ({"text": 5}, "cannot unmarshal number into Go value of type string"),
        (["1"], r"expected 5 parameters \(\[height tx data text flag\]\), got 1"),
    ],
)
def test_wrong_parameters_are_refused_in_the_nodes_words(params: object, text: str) -> None:
    with pytest.raises(RpcError, match=text):
        json_arguments(ECHO, {"params": params})


def test_arguments_without_params_panic_as_the_node_does() -> None:
    with pytest.raises(GoPanic):
        json_arguments(ECHO, {})


def test_the_get_form_reads_bare_integers_quoted_text_and_hex() -> None:
    query = {"height": "7", "tx": "0x616263", "data": '"abc"', "text": '"t"', "flag": "true"}
    assert http_arguments(ECHO, query) == [7, b"abc", b"abc", "t", True]


async def test_a_refused_get_is_an_http_error_for_id_minus_one() -> None:
    answer = await answer_get(ECHO, {"height": "abc"})
    assert answer.status == 500
    assert answer.body is not None
    assert answer.body["id"] == -1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "unexpected end of JSON input"),
        ('{"a"', "unexpected end of JSON input"),
        ("6B", "invalid character 'B' after top-level value"),
        ("NaN", "invalid character 'N' looking for beginning of value"),
        ("{a}", "invalid character 'a' looking for beginning of object key string"),
    ],
)
def test_json_errors_have_gos_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_json(text)


@pytest.mark.parametrize(("number", "text"), [(0, "0x00"), (5, "0x05"), (9000, "0x2328")])
def test_evm_numbers_have_whole_bytes(number: int, text: str) -> None:
    assert whole_bytes_hex(number) == text
