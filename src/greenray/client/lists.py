"""Lists of buckets and objects, asked of a gateway page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from greenray.chain.crypto import to_checksum_address
from greenray.client.gateway_session import GatewaySession
from greenray.client.patience import patiently
from greenray.protocol.errors import BadAnswer, InvalidInput
from greenray.protocol.foreign_text import printable
from greenray.protocol.listing import (
    LARGEST_PAGE,
    WITHOUT_REMOVED_QUERY,
    BucketMeta,
    ObjectPage,
    ObjectQuery,
    buckets_from_json,
    page_from_json,
    token_of,
)
from greenray.protocol.names import check_bucket_name

USER_ADDRESS_HEADER = "X-Gnfd-User-Address"


async def listed_buckets(
    session: GatewaySession, owner: str, patience_s: float = 0.0
) -> tuple[BucketMeta, ...]:
    """See ``StorageClient.list_buckets``. ``patience_s``: how long what passes is waited for."""
    headers = {USER_ADDRESS_HEADER: to_checksum_address(owner)}
    document = await patiently(lambda: _document(session, "/", "", headers), patience_s)
    with _bad_answer(session):
        return buckets_from_json(document)


async def listed_objects(
    session: GatewaySession, query: ObjectQuery, patience_s: float = 0.0
) -> AsyncIterator[ObjectPage]:
    """The pages from ``query.start`` on; see ``StorageClient.list_objects``. ``patience_s``: how
    long what passes is waited for, before each."""
    check_bucket_name(query.bucket_name)
    if not 0 < query.page_size <= LARGEST_PAGE:
        raise InvalidInput(
            f"{query.page_size} is not between 1 and {LARGEST_PAGE}", "page size", "Choose another"
        )
    token = token_of(query.start) if query.start else ""
    while True:
        path, asked = f"/{query.bucket_name}/", _query_text(query, token)
        document = await patiently(partial(_document, session, path, asked, {}), patience_s)
        with _bad_answer(session):
            page = page_from_json(document)
        yield page
        if not page.next_token:
            return
        if page.next_token == token:
            raise BadAnswer("the pages of the list go round in a circle", session.endpoint)
        token = page.next_token


def _query_text(query: ObjectQuery, token: str) -> str:
    asked = {"max-keys": str(query.page_size)}
    if not query.with_removed:
        asked[WITHOUT_REMOVED_QUERY] = ""
    for name, value in (
        ("prefix", query.prefix),
        ("delimiter", query.delimiter),
        ("continuation-token", token),
    ):
        if value:
            asked[name] = value
    return urlencode(asked, quote_via=quote, safe="")


async def _document(
    session: GatewaySession, path: str, query: str, headers: Mapping[str, str]
) -> Any:
    async with session.request("GET", path, query, headers) as answer:
        return await answer.plain_document()


@contextmanager
def _bad_answer(session: GatewaySession) -> Iterator[None]:
    try:
        yield
    except InvalidInput as error:
        raise BadAnswer(
            f"the list cannot be read: {printable(error.what)}",
            session.endpoint,
            "See that it is the gateway of a storage provider of v0.2.",
        ) from error
