"""GetObject: an object is sent as it is read, and counted before its first byte leaves."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import aclosing
from functools import partial

from aiohttp import web

from greenray.actors.at_once import both
from greenray.actors.credit.lending import Borrower
from greenray.actors.credit.places import TakenPlace
from greenray.actors.downloader.actor import Downloader
from greenray.actors.gateway.admission import Admission, Admitted
from greenray.actors.gateway.auth import Granted, PermissionChecks
from greenray.actors.gateway.authenticator import Authenticator
from greenray.actors.gateway.body_sender import BodySender
from greenray.actors.gateway.object_head import REQUEST_ID_HEADER, ObjectHead, object_head
from greenray.actors.gateway.reads import ReadMeter
from greenray.actors.gateway.recent_downloads import RecentDownloads
from greenray.actors.gateway.refusals import shown_target
from greenray.actors.gateway.request_names import check_names
from greenray.actors.gateway.routes import Match
from greenray.protocol.errors import GreenrayError
from greenray.protocol.gateway_request import SOURCES_HEADER, SOURCES_QUERY, GatewayRequest

log = logging.getLogger(__name__)


class ObjectDownloads:
    """For all SPs of a Gateway."""

    def __init__(
        self,
        *,
        authenticator: Authenticator,
        checks: Mapping[str, PermissionChecks],
        downloader: Downloader,
        meter: ReadMeter,
        admission: Admission,
        idle_timeout_s: float,
    ) -> None:
        """``checks``: by operator address."""
        self._authenticator = authenticator
        self._checks = checks
        self._downloader = downloader
        self._meter = meter
        self._admission = admission
        self._idle_timeout_s = idle_timeout_s
        self._recent = RecentDownloads()

    async def get_object(
        self, place: TakenPlace, request: GatewayRequest, match: Match, raw: web.BaseRequest
    ) -> web.StreamResponse:
        """GetObject, and the same by HEAD, in a place that may be taken back.

        Raises: Refusal, why the request is refused, and what ``send`` raises.
        """
        granted = await self._may_read(request, match)
        return await self.send(place, request, granted, object_head(request, granted.object), raw)

    async def send(
        self,
        place: TakenPlace,
        request: GatewayRequest,
        granted: Granted,
        head: ObjectHead,
        raw: web.BaseRequest,
    ) -> web.StreamResponse:
        """What ``head`` tells, of an object that the client may read, counted if there is a body.

        Raises: QuotaExceeded, Overloaded, SegmentLost, CorruptPiece, StoreError, ChainError, before
        the head is sent.
        """
        borrower = Borrower(granted.signer, raw.remote or "")
        wanted = head.wanted
        with self._admission.share(Admitted.DOWNLOAD, borrower):
            if wanted is None:
                return web.Response(status=head.status, headers=head.headers)
            reader, _ = await both(
                self._downloader.open(request.sp_address, granted.object, borrower),
                self._meter.count(request.sp_address, granted, wanted.size_bytes),
            )
            sources = self._recent.remember(request.request_id, granted.object.id, reader.sources)
            response = web.StreamResponse(
                status=head.status, headers={**head.headers, SOURCES_HEADER: sources}
            )
            response.content_length = wanted.size_bytes
            async with aclosing(reader.segments(wanted)) as segments:
                # The first segment is verified before the status is sent.
                first = await anext(segments)
                await response.prepare(raw)
                sender = BodySender(raw, response, self._idle_timeout_s)
                try:
                    with place.may_be_ended(sender.pace, partial(_break_off, raw)):
                        await sender.send(first)
                        async for segment in segments:
                            await sender.send(segment)
                except (GreenrayError, TimeoutError) as error:
                    log.error("%s breaks off: %s", shown_target(raw), error)
                    _break_off(raw)
            return response

    async def sources(self, request: GatewayRequest, match: Match) -> web.StreamResponse:
        """Where the bytes of a download came from. Raises NoTrace, and why it is refused."""
        granted = await self._may_read(request, match)
        asked_for = request.query.value(SOURCES_QUERY)
        sources = self._recent.of(asked_for, granted.object.id)
        return web.json_response(
            {"object_id": granted.object.id, **sources.to_json()},
            headers={REQUEST_ID_HEADER: request.request_id},
        )

    async def _may_read(self, request: GatewayRequest, match: Match) -> Granted:
        check_names(match)
        signer = await self._authenticator.signer(request, anonymous_allowed=True)
        checks = self._checks[request.sp_address]
        return await checks.may_read(signer, match.bucket_name, match.object_name)


def _break_off(raw: web.BaseRequest) -> None:
    """Reset the connection: the missing bytes must not look like the end of the object."""
    if raw.transport is not None:
        raw.transport.abort()
