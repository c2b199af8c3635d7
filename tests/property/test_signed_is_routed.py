"""What is signed of a request is what it is routed by: nobody can turn a captured request into
another one."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenray.actors.gateway.routes import Match, Route, match_route
from greenray.protocol.errors import InvalidName, InvalidQuery
from greenray.protocol.gateway_request import SOURCES_QUERY, GatewayRequest, parse_target
from greenray.protocol.http_auth import canonical_request, encode_path
from greenray.protocol.names import check_bucket_name, check_object_name
from greenray.protocol.percent_encoding import unescape
from greenray.protocol.request_query import MAX_PAIRS, parse_query

DOMAIN = "gnfd.local"
_REFUSED = (Route.WRONG_METHOD, Route.NO_ROUTER)
_ARGUMENTS = ("action", SOURCES_QUERY)

_names = st.sampled_from(["job-status", "upload-progress", "action", SOURCES_QUERY, "a"])
_texts = st.sampled_from(
    ["", "=", "=1", "=%zz", "=%", "=x+y", "=x%20y", ";", "%3B", "=%ff", "=é", "=CreateObject"]
)
_pieces = st.builds(lambda *parts: "".join(parts), _names, _texts)
_odd_names = st.sampled_from(["%6Aob-status", "job%2Dstatus", "%zzjob-status", "job-status;", ""])
_queries = st.lists(_pieces | _odd_names, max_size=4).map("&".join)
_paths = st.sampled_from(
    [
        "/album/photo",
        "/album/%70hoto",
        "/album/a%2Fb",
        "/album/a/b",
        "/album/%ff",
        "/album/%fe",
        "/album/%EF%BF%BD",
        "/album/a+b",
        "/album/a%20b",
        "/greenfield/admin/v1/get-approval",
        "http://album.gnfd.local/photo",
        "http://h/album/photo",
        "/photo",
    ]
)
_hosts = st.sampled_from(["h", "h:80", "album.gnfd.local", "album.gnfd.local:80"])
_ranges = st.sampled_from(
    [
        (),
        ("bytes=0-1",),
        ("bytes=0-1", "bytes=2-3"),
        ("bytes=0-1,bytes=2-3",),
        ("bytes=0-\t1",),
        ("bytes=0- 1",),
        (" bytes=0-1  ",),
    ]
)
_methods = st.sampled_from(["GET", "HEAD", "PUT"])
_requests = st.tuples(_methods, _paths, _queries, _hosts, _ranges)
Sent = tuple[str, str, str, str, tuple[str, ...]]


def received(sent: Sent) -> GatewayRequest | None:
    """As a gateway reads it; None when it refuses it at once."""
    method, raw_path, raw_query, host, ranges = sent
    try:
        target = parse_target(f"{raw_path}?{raw_query}", host)
    except (ValueError, InvalidQuery):
        return None
    headers = tuple(("Range", value) for value in ranges)
    return GatewayRequest("", "", method, target.path, target.query, target.host, headers)


def handled(request: GatewayRequest) -> tuple[Match, tuple[str, ...]] | None:
    """Handler and arguments; None when it is refused."""
    match = match_route(request.method, request.host, request.path, request.query, DOMAIN)
    if match.route in _REFUSED:
        return None
    if match.bucket_name:
        try:
            check_bucket_name(match.bucket_name)
            check_object_name(match.object_name)
        except InvalidName:
            return None
    arguments = tuple(request.query.value(name) for name in _ARGUMENTS)
    return match, (*arguments, request.header("Range"))


@given(st.lists(_requests, min_size=20, max_size=40))
def test_requests_of_one_signature_are_one_request(many: list[Sent]) -> None:
    by_signature: dict[bytes, set[object]] = {}
    for request in filter(None, map(received, many)):
        by_signature.setdefault(request.canonical(), set()).add(handled(request))
    assert [done for done in by_signature.values() if len(done - {None}) > 1] == []


@given(_paths, _ranges)
def test_no_two_queries_of_one_signature_are_handled_differently(
    path: str, ranges: tuple[str, ...]
) -> None:
    by_signature: dict[bytes, set[object]] = {}
    words = ["job-status", "%6Aob-status", "action=", "action=%zz", "a=%", "", "a=x+y", "a=x%20y"]
    for pair in product(words, repeat=2):
        request = received(("GET", path, "&".join(pair), "h", ranges))
        if request is not None:
            by_signature.setdefault(request.canonical(), set()).add(handled(request))
    assert all(len(done - {None}) <= 1 for done in by_signature.values())


@given(st.text(alphabet="abj%zZ0f=&+é/", max_size=30), _ranges)
def test_what_a_client_signs_is_what_a_gateway_checks(
    raw_query: str, ranges: tuple[str, ...]
) -> None:
    request = received(("GET", "/album/photo", raw_query, "h", ranges))
    assert request is not None
    headers = [("Range", value) for value in ranges]
    assert request.canonical() == canonical_request("GET", "/album/photo", raw_query, headers, "h")


@given(st.binary(max_size=60).filter(lambda data: b"/" not in data))
def test_escapes_are_read_as_they_are_written(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    assert unescape("".join(f"%{byte:02x}" for byte in data)) == text
    if all(not 0xDC80 <= ord(char) <= 0xDCFF for char in text):
        assert unescape(encode_path(text)) == text


def test_as_many_pairs_as_are_taken_and_one_more() -> None:
    assert len(parse_query("&".join(["a"] * MAX_PAIRS)).pairs) == MAX_PAIRS
    with pytest.raises(InvalidQuery, match="100 pairs"):
        parse_query("&".join(["a"] * (MAX_PAIRS + 1)))
