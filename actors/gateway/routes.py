"""Which handler a request belongs to, decided from method, host, path and query (06 §1). Pure.

The path and the query are the parsed ones that the signature is checked with.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from greenray.actors.downloader.pieces import CHALLENGE_PATH
from greenray.protocol.gateway_request import SOURCES_QUERY
from greenray.protocol.request_query import RequestQuery

APPROVAL_PATH = "/greenfield/admin/v1/get-approval"
REPLICATE_PATH = "/greenfield/receiver/v1/replicate-piece"
_METHODS = ("GET", "HEAD", "POST", "PUT")
MONTH_QUERY = "year-month"
RECORDS_QUERIES = ("max-records", "start-timestamp", "end-timestamp")


class Route(Enum):
    PUT_OBJECT = "PutObject"
    GET_OBJECT = "GetObject"
    UPLOAD_PROGRESS = "QueryUploadProgress"
    JOB_STATUS = "QueryJobStatus"
    """Ours: the job behind an upload, as JSON."""
    JOB_TIMELINE = "QueryJobTimeline"
    """Ours: when its batches were worked on, as JSON."""
    DOWNLOAD_SOURCES = "QueryDownloadSources"
    """Ours: where the bytes of a download came from, as JSON."""
    DOWNLOAD_LINK = "DownloadObjectByUniversalEndpoint"
    VIEW_LINK = "ViewObjectByUniversalEndpoint"
    READ_QUOTA = "GetBucketReadQuota"
    READ_RECORDS = "ListBucketReadRecord"
    GET_APPROVAL = "GetApproval"
    CHALLENGE = "Challenge"
    REQUEST_NONCE = "RequestNonce"
    UPDATE_KEY = "UpdateUserPublicKey"
    REPLICATE_PIECE = "ReplicateObjectPiece"
    USER_BUCKETS = "GetUserBuckets"
    LIST_OBJECTS = "ListObjectsByBucketName"
    BUCKET_META = "GetBucketMeta"
    OBJECT_META = "GetObjectMeta"
    WRONG_METHOD = "WrongMethod"
    NO_ROUTER = "NoRouter"


_BUCKET_QUERIES = (
    (("read-quota", MONTH_QUERY), Route.READ_QUOTA),
    (("list-read-record", *RECORDS_QUERIES), Route.READ_RECORDS),
)


@dataclass(frozen=True, slots=True)
class Match:
    route: Route
    bucket_name: str = ""
    object_name: str = ""


def allowed_methods(host: str, path: str, query: RequestQuery, domain: str = "") -> tuple[str, ...]:
    """The methods by which this target can be asked for; see ``match_route``."""
    nowhere = (Route.WRONG_METHOD, Route.NO_ROUTER)
    return tuple(
        method
        for method in _METHODS
        if match_route(method, host, path, query, domain).route not in nowhere
    )


def match_route(method: str, host: str, path: str, query: RequestQuery, domain: str = "") -> Match:
    """Match in the order of the table: virtual-hosted, admin, receiver, path-style. HEAD goes where
    GET goes.

    Args:
        host: the Host header, with or without a port.
        path: the decoded path.
        domain: the gateway's domain; empty switches virtual hosting off.
    """
    if method == "HEAD":
        method = "GET"
    bucket_name = _virtual_bucket(host, domain)
    wrong_method = False
    if bucket_name:
        match = _bucket_route(method, bucket_name, path.removeprefix("/"), query)
        if match.route is not Route.WRONG_METHOD:
            return match
        wrong_method = True
    if path in ("", "/"):
        return Match(Route.USER_BUCKETS if method == "GET" else Route.WRONG_METHOD)
    for fixed_path, fixed_method, needed, route in (
        (APPROVAL_PATH, "GET", "action", Route.GET_APPROVAL),
        (CHALLENGE_PATH, "GET", None, Route.CHALLENGE),
        (REPLICATE_PATH, "PUT", None, Route.REPLICATE_PIECE),
        ("/auth/request_nonce", "GET", None, Route.REQUEST_NONCE),
        ("/auth/update_key", "POST", None, Route.UPDATE_KEY),
    ):
        if path == fixed_path and (needed is None or query.has(needed)):
            if method == fixed_method:
                return Match(route)
            wrong_method = True
    if method == "GET" and (link := _link(path)):
        return link
    bucket_name, _, object_name = path.removeprefix("/").partition("/")
    if not bucket_name:
        return Match(Route.WRONG_METHOD if wrong_method else Route.NO_ROUTER)
    return _bucket_route(method, bucket_name, object_name, query)


def _bucket_route(method: str, bucket_name: str, object_name: str, query: RequestQuery) -> Match:
    if not object_name:
        if method != "GET":
            return Match(Route.WRONG_METHOD, bucket_name)
        if query.has("bucket-meta"):
            return Match(Route.BUCKET_META, bucket_name)
        for names, route in _BUCKET_QUERIES:
            if all(map(query.has, names)):
                return Match(route, bucket_name)
        return Match(Route.LIST_OBJECTS, bucket_name)
    if method == "PUT":
        return Match(Route.PUT_OBJECT, bucket_name, object_name)
    if method != "GET":
        return Match(Route.WRONG_METHOD, bucket_name, object_name)
    for asked_for, route in (
        ("upload-progress", Route.UPLOAD_PROGRESS),
        ("job-status", Route.JOB_STATUS),
        ("job-timeline", Route.JOB_TIMELINE),
        (SOURCES_QUERY, Route.DOWNLOAD_SOURCES),
        ("object-meta", Route.OBJECT_META),
    ):
        if query.has(asked_for):
            return Match(route, bucket_name, object_name)
    return Match(Route.GET_OBJECT, bucket_name, object_name)


def _link(path: str) -> Match | None:
    for prefix, route in (("/download/", Route.DOWNLOAD_LINK), ("/view/", Route.VIEW_LINK)):
        bucket_name, _, object_name = path.removeprefix(prefix).partition("/")
        if path.startswith(prefix) and object_name:
            return Match(route, bucket_name, object_name)
    return None


def _virtual_bucket(host: str, domain: str) -> str:
    name, _, _ = host.partition(":")
    suffix = f".{domain.lower()}"
    return name[: -len(suffix)] if domain and name.lower().endswith(suffix) else ""
