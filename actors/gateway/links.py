"""Links to public objects that a browser opens without a signature: /download/ and /view/, at any
gateway (protocol 06 §1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.credit.places import TakenPlace
from greenray.actors.gateway.auth import ANONYMOUS, PermissionChecks
from greenray.actors.gateway.downloads import ObjectDownloads
from greenray.actors.gateway.errors import GatewayCode, Refusal
from greenray.actors.gateway.object_head import REQUEST_ID_HEADER, ObjectHead, object_head
from greenray.actors.gateway.request_names import check_names
from greenray.actors.gateway.routes import Match, Route
from greenray.actors.replication.secondary_http import endpoint_url
from greenray.chain.ports import ChainClient
from greenray.protocol.content_disposition import shown_or_stored, stored_as
from greenray.protocol.content_type import served_content_type
from greenray.protocol.errors import (
    AccessDenied,
    NoSuchBucket,
    NoSuchObject,
    UnknownStorageProvider,
)
from greenray.protocol.gateway_request import GatewayRequest
from greenray.protocol.http_auth import encode_path
from greenray.protocol.objects import ObjectInfo


class ObjectLinks:
    """For all SPs of a Gateway."""

    def __init__(
        self,
        *,
        chain: ChainClient,
        checks: Mapping[str, PermissionChecks],
        providers: ProviderBook,
        downloads: ObjectDownloads,
    ) -> None:
        """``checks``: by operator address."""
        self._chain = chain
        self._checks = checks
        self._providers = providers
        self._downloads = downloads

    async def open(
        self, place: TakenPlace, request: GatewayRequest, match: Match, raw: web.BaseRequest
    ) -> web.StreamResponse:
        """The object, or a redirection to the gateway of its bucket's primary.

        Raises: Refusal, as the Go provider without telling what there is to whom it is not shown;
        WrongObjectStatus, and what ``ObjectDownloads.send`` raises.
        """
        check_names(match)
        try:
            bucket = await self._chain.head_bucket(match.bucket_name)
        except NoSuchBucket as error:
            raise Refusal(GatewayCode.INVALID_KEY, error) from error
        if bucket.primary_sp_address != request.sp_address:
            return await self._elsewhere(request, bucket.primary_sp_address)
        checks = self._checks[request.sp_address]
        try:
            granted = await checks.may_read(ANONYMOUS, match.bucket_name, match.object_name)
        except (NoSuchObject, AccessDenied) as error:
            why = NoSuchObject("there is no public object of that name", bucket.bucket_name)
            raise Refusal(GatewayCode.INVALID_KEY, why) from error
        head = _disposed(object_head(request, granted.object), granted.object, match.route)
        return await self._downloads.send(place, request, granted, head, raw)

    async def _elsewhere(self, request: GatewayRequest, primary: str) -> web.Response:
        try:
            endpoint = (await self._providers.get(primary)).endpoint
        except UnknownStorageProvider as error:
            raise Refusal(GatewayCode.INVALID_ADDRESS, error) from error
        if not endpoint:
            raise Refusal(GatewayCode.INVALID_ADDRESS)
        return web.Response(
            status=302,
            headers={
                "Location": endpoint_url(endpoint) + encode_path(request.path),
                REQUEST_ID_HEADER: request.request_id,
            },
        )


def _disposed(head: ObjectHead, info: ObjectInfo, route: Route) -> ObjectHead:
    name = info.object_name
    content_type = served_content_type(info.content_type)
    stored = route is Route.DOWNLOAD_LINK
    value = stored_as(name) if stored else shown_or_stored(content_type, name)
    return replace(head, headers={**head.headers, "Content-Disposition": value})
