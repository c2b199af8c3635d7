"""Which handler a request belongs to (protocol 06 §1)."""

from __future__ import annotations

import pytest

from greenray.actors.gateway.routes import Match, Route, allowed_methods, match_route
from greenray.protocol.request_query import RequestQuery, parse_query

APPROVAL = "/greenfield/admin/v1/get-approval"
RECORDS = "max-records=1&start-timestamp=0&end-timestamp=9"
REPLICATE = "/greenfield/receiver/v1/replicate-piece"


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("PUT", "/bucket/a/b c", "", Match(Route.PUT_OBJECT, "bucket", "a/b c")),
        ("GET", "/bucket/o", "", Match(Route.GET_OBJECT, "bucket", "o")),
        ("GET", "/bucket/o", "upload-progress", Match(Route.UPLOAD_PROGRESS, "bucket", "o")),
        ("GET", "/bucket/o", "upload-progress=", Match(Route.UPLOAD_PROGRESS, "bucket", "o")),
        ("GET", "/bucket/o", "job-status", Match(Route.JOB_STATUS, "bucket", "o")),
        ("GET", "/bucket/o", "job-timeline=", Match(Route.JOB_TIMELINE, "bucket", "o")),
        ("GET", "/bucket/o", "download-sources=7", Match(Route.DOWNLOAD_SOURCES, "bucket", "o")),
        ("GET", "/bucket/o", "object-meta", Match(Route.OBJECT_META, "bucket", "o")),
        ("GET", "/bucket", "", Match(Route.LIST_OBJECTS, "bucket")),
        ("GET", "/bucket/", "max-keys=3&prefix=a", Match(Route.LIST_OBJECTS, "bucket")),
        ("GET", "/bucket/", "bucket-meta", Match(Route.BUCKET_META, "bucket")),
        ("GET", "/bucket/", "read-quota", Match(Route.LIST_OBJECTS, "bucket")),
        ("GET", "/bucket", "year-month=2023-05&read-quota", Match(Route.READ_QUOTA, "bucket")),
        ("GET", "/bucket/", f"list-read-record&{RECORDS}", Match(Route.READ_RECORDS, "bucket")),
        ("GET", "/bucket/", "list-read-record", Match(Route.LIST_OBJECTS, "bucket")),
        ("POST", "/bucket", "read-quota&year-month=", Match(Route.WRONG_METHOD, "bucket")),
        ("GET", "/", "", Match(Route.USER_BUCKETS)),
        ("GET", APPROVAL, "action=CreateObject", Match(Route.GET_APPROVAL)),
        ("PUT", REPLICATE, "", Match(Route.REPLICATE_PIECE)),
        ("GET", "/greenfield/admin/v1/challenge", "", Match(Route.CHALLENGE)),
        ("GET", "/download/b/o/p", "", Match(Route.DOWNLOAD_LINK, "b", "o/p")),
        ("HEAD", "/view/b/o", "", Match(Route.VIEW_LINK, "b", "o")),
        ("GET", "/view//o", "", Match(Route.VIEW_LINK, "", "o")),
        ("GET", "/view/b/", "", Match(Route.GET_OBJECT, "view", "b/")),
        ("PUT", "/download/b/o", "", Match(Route.PUT_OBJECT, "download", "b/o")),
        ("GET", "/greenfield/x", "", Match(Route.GET_OBJECT, "greenfield", "x")),
        ("HEAD", "/bucket/o", "", Match(Route.GET_OBJECT, "bucket", "o")),
        ("POST", "/bucket", "", Match(Route.WRONG_METHOD, "bucket")),
        ("PUT", "/", "", Match(Route.WRONG_METHOD)),
        ("POST", APPROVAL, "action=x", Match(Route.WRONG_METHOD, "greenfield", APPROVAL[12:])),
        ("GET", "//", "", Match(Route.NO_ROUTER)),
    ],
)
def test_path_style_requests_find_their_route(
    method: str, path: str, query: str, expected: Match
) -> None:
    assert match_route(method, "127.0.0.1:9033", path, parse_query(query)) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("my.bucket.gnfd.local:9033", Match(Route.PUT_OBJECT, "my.bucket", "a/b")),
        ("b.GNFD.local", Match(Route.PUT_OBJECT, "b", "a/b")),
        ("gnfd.local", Match(Route.PUT_OBJECT, "a", "b")),
        ("b.gnfd.local", Match(Route.PUT_OBJECT, "b", "a/b")),
        ("bgnfd.local", Match(Route.PUT_OBJECT, "a", "b")),
    ],
)
def test_the_bucket_of_a_virtual_hosted_request_is_in_its_host(host: str, expected: Match) -> None:
    assert match_route("PUT", host, "/a/b", RequestQuery(), "gnfd.local") == expected


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/o", "", Match(Route.GET_OBJECT, "b", "o")),
        ("HEAD", "/o", "", Match(Route.GET_OBJECT, "b", "o")),
        ("GET", "/o", "upload-progress", Match(Route.UPLOAD_PROGRESS, "b", "o")),
        ("GET", "/", "read-quota&year-month=2023-05", Match(Route.READ_QUOTA, "b")),
        ("GET", "/", f"list-read-record&{RECORDS}", Match(Route.READ_RECORDS, "b")),
        ("GET", "/download/x/y", "", Match(Route.GET_OBJECT, "b", "download/x/y")),
    ],
)
def test_every_route_of_a_bucket_has_the_virtual_hosted_style(
    method: str, path: str, query: str, expected: Match
) -> None:
    assert match_route(method, "b.gnfd.local", path, parse_query(query), "gnfd.local") == expected


def test_without_a_domain_there_is_no_virtual_hosting() -> None:
    match = match_route("PUT", "b.gnfd.local", "/a/b", RequestQuery())
    assert match == Match(Route.PUT_OBJECT, "a", "b")


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/bucket/o", "", ("GET", "HEAD", "PUT")),
        ("/bucket/o", "job-status", ("GET", "HEAD", "PUT")),
        ("/bucket", "", ("GET", "HEAD")),
        (APPROVAL, "action=CreateObject", ("GET", "HEAD", "PUT")),
        (REPLICATE, "", ("GET", "HEAD", "PUT")),
        ("//", "", ()),
    ],
)
def test_what_a_target_can_be_asked_by_is_told_from_its_routes(
    path: str, query: str, expected: tuple[str, ...]
) -> None:
    assert allowed_methods("h", path, parse_query(query)) == expected
