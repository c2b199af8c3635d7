"""Lists of buckets and objects, and what the provider knows of one of them (docs/http.md).

Answered from the index, in the JSON of the v0.2 provider: also errors are JSON here. Nothing is
signed and nobody is asked who they are: the chain tells everybody the same.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from contextlib import suppress

from aiohttp import web

from greenray.actors.gateway.errors import GatewayCode, Refusal, refusal_for
from greenray.actors.gateway.object_head import REQUEST_ID_HEADER
from greenray.actors.gateway.refusals import json_refusal_answer
from greenray.actors.gateway.routes import Match, Route
from greenray.actors.ports import IndexFollower
from greenray.chain.crypto import to_checksum_address
from greenray.chain.ports import StreamRecords
from greenray.protocol import go_json
from greenray.protocol.errors import GreenrayError, InvalidInput, InvalidName
from greenray.protocol.gateway_request import GatewayRequest
from greenray.protocol.listing import (
    DEFAULT_PAGE,
    LARGEST_BUCKET_LIST,
    LARGEST_PAGE,
    WITHOUT_REMOVED_QUERY,
    ObjectQuery,
    document_of,
    name_of_token,
    token_of,
)
from greenray.protocol.names import check_bucket_name, check_object_name, is_object_prefix
from greenray.protocol.request_query import RequestQuery
from greenray.storage.object_index import IndexPage, ObjectIndex

log = logging.getLogger(__name__)

USER_ADDRESS_HEADER = "X-Gnfd-User-Address"
_ADDRESS = re.compile(r"(0[xX])?[0-9a-fA-F]{40}")
_NUMBER = re.compile(r"[0-9]{1,20}")
_MAX_UINT64 = 2**64 - 1
_SERVER_ERROR = 500
_FRESHNESS_TIMEOUT_S = 2.0
"""How long a list waits for the newest blocks; then it tells what it has."""


class ListAnswers:
    """Of all SPs of a Gateway."""

    def __init__(self, index: ObjectIndex, follower: IndexFollower, records: StreamRecords) -> None:
        self._index = index
        self._records = records
        self._newest = _NewestBlocks(follower)

    async def answer(self, request: GatewayRequest, match: Match) -> web.Response:
        """What can be refused is."""
        try:
            body = await self._body(request, match)
        except Refusal as refusal:
            return json_refusal_answer(refusal, request.request_id)
        except GreenrayError as error:
            answer = refusal_for(error)
            if answer.code.status >= _SERVER_ERROR:
                log.error("request %s (%s): %s", request.request_id, match.route.value, error)
            return json_refusal_answer(answer, request.request_id)
        return web.Response(
            body=body,
            content_type="application/json",
            headers={REQUEST_ID_HEADER: request.request_id},
        )

    async def _body(self, request: GatewayRequest, match: Match) -> bytes:
        if match.route is Route.USER_BUCKETS:
            return await self._buckets(request)
        _check_bucket(match)
        if match.route is Route.LIST_OBJECTS:
            return await self._objects(match.bucket_name, request.query)
        if match.route is Route.OBJECT_META:
            return await self._object_meta(match)
        return await self._bucket_meta(match)

    async def _buckets(self, request: GatewayRequest) -> bytes:
        address = request.header(USER_ADDRESS_HEADER)
        if not _ADDRESS.fullmatch(address):
            raise Refusal(GatewayCode.INVALID_ADDRESS)
        await self._newest.take()
        documents = await self._index.list_buckets(
            to_checksum_address(address), LARGEST_BUCKET_LIST
        )
        return b'{"buckets":[' + documents + b"]}"

    async def _objects(self, bucket_name: str, asked: RequestQuery) -> bytes:
        query = object_query(bucket_name, asked)
        if not asked.value("continuation-token"):
            await self._newest.take()
        return page_json(query, await self._index.list_objects(query))

    async def _object_meta(self, match: Match) -> bytes:
        try:
            check_object_name(match.object_name)
        except InvalidName as error:
            raise Refusal(GatewayCode.INVALID_KEY, error) from error
        await self._newest.take()
        document = await self._index.object_document(match.bucket_name, match.object_name)
        if not document:
            raise Refusal(GatewayCode.NO_SUCH_KEY)
        return b'{"object":' + document + b"}"

    async def _bucket_meta(self, match: Match) -> bytes:
        await self._newest.take()
        document = await self._index.bucket_document(match.bucket_name)
        if not document:
            raise Refusal(GatewayCode.NO_SUCH_BUCKET)
        payment_address = json.loads(document)["bucket_info"]["payment_address"]
        record = await self._records.stream_record(payment_address)
        paid = document_of(record) if record is not None else b"null"
        return b"".join((b'{"bucket":', document, b',"stream_record":', paid, b"}"))


class _NewestBlocks:
    """Has the index follow the chain before it is asked, so that what was put or deleted a moment
    ago is told so. Those who come while it does wait for the next time together."""

    def __init__(self, follower: IndexFollower) -> None:
        self._follower = follower
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def take(self) -> None:
        """Returns when the index has the blocks of now, or cannot have them soon."""
        if self._next is None:
            self._next = asyncio.create_task(self._follow_after(self._running))
        await asyncio.wait([self._next], timeout=_FRESHNESS_TIMEOUT_S)

    async def _follow_after(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        with suppress(GreenrayError):  # the index is asked all the same
            await self._follower.follow()


def object_query(bucket_name: str, asked: RequestQuery) -> ObjectQuery:
    """Pure. Raises Refusal, in the provider's order."""
    page_size = _page_size(asked.value("max-keys"))
    start = asked.value("start-after")
    if start:
        _check_name(start, GatewayCode.INVALID_START_AFTER)
    prefix = asked.value("prefix")
    token = asked.value("continuation-token")
    if token:
        start = _start_of(token, prefix)
    if not is_object_prefix(prefix):
        raise Refusal(GatewayCode.INVALID_PREFIX)
    with_removed = not asked.has(WITHOUT_REMOVED_QUERY)
    return ObjectQuery(
        bucket_name, prefix, asked.value("delimiter"), start, page_size, with_removed
    )


def page_json(query: ObjectQuery, page: IndexPage) -> bytes:
    """The answer to ListObjectsByBucketName. Pure."""
    rest = go_json.dump(
        {
            "key_count": str(page.object_count + len(page.common_prefixes)),
            "max_keys": str(query.page_size),
            "is_truncated": bool(page.next_name),
            "next_continuation_token": token_of(page.next_name),
            "name": query.bucket_name,
            "prefix": query.prefix,
            "delimiter": query.delimiter,
            "common_prefixes": list(page.common_prefixes),
            "continuation_token": token_of(query.start),
        },
        sort_keys=False,
    )
    return b"".join((b'{"objects":[', page.documents, b"],", rest[1:].encode()))


def _page_size(text: str) -> int:
    if not text:
        return DEFAULT_PAGE
    if not _NUMBER.fullmatch(text) or not 0 < int(text) <= _MAX_UINT64:
        raise Refusal(GatewayCode.INVALID_MAX_KEYS)
    return min(int(text), LARGEST_PAGE)


def _start_of(token: str, prefix: str) -> str:
    code = GatewayCode.INVALID_CONTINUATION_TOKEN
    try:
        name = name_of_token(token)
    except InvalidInput as error:
        raise Refusal(code, error) from error
    _check_name(name, code)
    if not name.startswith(prefix):
        raise Refusal(code)
    return name


def _check_name(name: str, code: GatewayCode) -> None:
    try:
        check_object_name(name)
    except InvalidName as error:
        raise Refusal(code, error) from error


def _check_bucket(match: Match) -> None:
    try:
        check_bucket_name(match.bucket_name)
    except InvalidName as error:
        raise Refusal(GatewayCode.INVALID_BUCKET_NAME, error) from error
