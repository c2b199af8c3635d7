"""Gateway: the HTTP front of a node (protocol 06). One listening port per hosted SP.

Plain code in the Uploader's process: payload bytes go from the socket into the Uploader's columns
without a call to another process. A request is matched, authorized, and handed to one method.
"""

from __future__ import annotations

import errno
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from aiohttp import web

from greenray.actors.at_once import both
from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.chain_view.seal_funds import SealFunds
from greenray.actors.credit.ending import Ending
from greenray.actors.credit.lending import Borrower
from greenray.actors.credit.lending_pool import LendingPool
from greenray.actors.credit.places import TakenPlace
from greenray.actors.downloader.actor import Downloader
from greenray.actors.gateway.admission import Admission, Admitted
from greenray.actors.gateway.approval import Approver
from greenray.actors.gateway.auth import Granted, PermissionChecks
from greenray.actors.gateway.authenticator import Authenticator
from greenray.actors.gateway.browser_keys import BrowserKeys
from greenray.actors.gateway.challenge import ChallengeAnswers
from greenray.actors.gateway.cors import allowed_origins, cors_headers, preflight_headers
from greenray.actors.gateway.downloads import ObjectDownloads
from greenray.actors.gateway.errors import GatewayCode, Refusal, refusal_for
from greenray.actors.gateway.job_status import job_status
from greenray.actors.gateway.links import ObjectLinks
from greenray.actors.gateway.lists import ListAnswers
from greenray.actors.gateway.object_head import REQUEST_ID_HEADER
from greenray.actors.gateway.reads import ReadMeter
from greenray.actors.gateway.refusals import (
    answer_to_fault,
    json_refusal_answer,
    refusal_answer,
    shown_target,
)
from greenray.actors.gateway.replicate import replicate_piece
from greenray.actors.gateway.request_body import (
    ask_for_body,
    body_chunks,
    check_expectation,
    taken_over,
)
from greenray.actors.gateway.request_names import check_names
from greenray.actors.gateway.routes import Match, Route, allowed_methods, match_route
from greenray.actors.gateway.settings import GatewaySettings
from greenray.actors.ports import ObjectSpace, ReceiverPort, SignerPort
from greenray.actors.receiver.group_intake import GroupIntake
from greenray.actors.uploader.actor import Uploader
from greenray.actors.uploader.payload_source import (
    ChunkedPayload,
    PayloadSource,
    ReferencedPayload,
    WatchedPayload,
)
from greenray.chain.dialect import Dialect
from greenray.chain.ports import ChainClient
from greenray.listening.connections import Connections
from greenray.listening.limits import ListenLimits
from greenray.listening.listener import HttpListener, bound_sockets
from greenray.listening.server import BoundedServer
from greenray.logs.request_ids import logging_request
from greenray.protocol.collection import unseen_error
from greenray.protocol.errors import (
    GreenrayError,
    InvalidInput,
    InvalidSetting,
    NoSuchObject,
    Overloaded,
    PortInUse,
    WrongObjectStatus,
)
from greenray.protocol.gateway_request import (
    GatewayRequest,
    parse_target,
)
from greenray.protocol.job import JobContext
from greenray.protocol.job_table import progress_text
from greenray.protocol.objects import ObjectInfo, ObjectStatus, StorageParams
from greenray.seam.fault_points import NO_FAULTS, FaultPoint, FaultPoints
from greenray.storage.ports import JobStore
from greenray.storage.read_ledger import ReadLedger
from greenray.storage.user_key_store import UserKeyStore
from greenray.timeline.collection import TraceCollector
from greenray.timeline.job_timeline import job_timeline
from greenray.timeline.stage_trace import TraceClock, TraceSource

_SERVER_ERROR = 500
"""HTTP statuses from this one on are no fault of who asked."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Binding:
    """Where one SP listens. Port 0 takes a free one; without a domain there is path style only."""

    sp_address: str
    host: str = "127.0.0.1"
    port: int = 0
    domain: str = ""
    any_port: bool = False
    """Take any free port when this one is taken."""


class Gateway:
    """Serves all ``bindings`` from ``start`` until ``close``."""

    def __init__(
        self,
        *,
        bindings: Sequence[Binding],
        chain: ChainClient,
        uploader: Uploader,
        downloader: Downloader,
        job_store: JobStore,
        ledger: ReadLedger,
        user_keys: UserKeyStore,
        signer: SignerPort,
        dialect: Dialect,
        challenges: ChallengeAnswers | None = None,
        lists: ListAnswers | None = None,
        receiver: ReceiverPort | None = None,
        receiver_space: ObjectSpace | None = None,
        traces: Mapping[str, TraceSource] | None = None,
        settings: GatewaySettings | None = None,
        fault_points: FaultPoints = NO_FAULTS,
    ) -> None:
        """``challenges``: None when this node gives no pieces out; ``lists``: None when it has no
        index; ``receiver``: None when it takes no replicate groups; ``receiver_space``: where their
        columns go when the receiver is in another process; ``traces``: all processes that work on
        objects of these SPs, by name."""
        self._settings = settings or GatewaySettings()
        self._points = fault_points
        self._bindings = tuple(bindings)
        self._chain = chain
        self._uploader = uploader
        self._jobs = job_store
        self._challenges = challenges
        self._lists = lists
        self._receiver = receiver
        self._receiver_space = receiver_space
        self._traces = TraceCollector(traces or {})
        self._origins = allowed_origins(self._settings.cors_origins)
        self._limits = _listen_limits(self._settings)
        self._connections = Connections(self._limits)
        served = replace(self._settings, max_connections=self._connections.bounds.served)
        self._admission = Admission(served, job_store, time.monotonic)
        self._groups = GroupIntake(
            LendingPool(
                self._settings.wire_groups_bytes,
                self._settings.lending,
                what="replicate groups",
                least_bytes_per_s=self._settings.least_group_bytes_per_s,
            )
        )
        providers = ProviderBook(chain, time.time)
        funds = SealFunds(chain, providers, dialect.seal_cost, time.time)
        self._approver = Approver(chain, signer, dialect, funds)
        self._checks = {b.sp_address: PermissionChecks(chain, b.sp_address) for b in bindings}
        self._keys = BrowserKeys(user_keys, self._checks, time.time)
        self._authenticator = Authenticator(self._keys, time.time)
        self._meter = ReadMeter(
            ledger, self._authenticator, self._checks, self._settings.free_read_quota_bytes
        )
        self._downloads = ObjectDownloads(
            authenticator=self._authenticator,
            checks=self._checks,
            downloader=downloader,
            meter=self._meter,
            admission=self._admission,
            idle_timeout_s=self._settings.idle_timeout_s,
        )
        self._links = ObjectLinks(
            chain=chain, checks=self._checks, providers=providers, downloads=self._downloads
        )
        self._listeners: list[HttpListener] = []
        self._ports: dict[str, int] = {}

    # --- life ------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the ports of all bindings; once they are open it does nothing.

        Raises: PortInUse, InvalidSetting; nothing is left open then.
        """
        if self._listeners:
            return
        try:
            for binding in self._bindings:
                await self._listen(binding)
        except BaseException:
            await self._stop_listening()
            raise

    async def close(self) -> None:
        """Stop listening, let running requests end, close connections. Not to be used again."""
        await self._stop_listening()
        await self._meter.close()

    async def _stop_listening(self) -> None:
        for listener in self._listeners:
            await listener.close()
        self._listeners.clear()

    def port(self, sp_address: str) -> int:
        """The port an SP listens on, once it does."""
        return self._ports[sp_address]

    async def _listen(self, binding: Binding) -> None:
        try:
            sockets = await bound_sockets(binding.host, binding.port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise InvalidSetting(
                    f"nothing can listen there ({error.strerror})",
                    f"{binding.host}:{binding.port}",
                    "Set gateway.host to an address of every node or to 0.0.0.0, and gateway.port "
                    "to ports that you may use",
                ) from error
            if binding.any_port:
                await self._listen(replace(binding, port=0, any_port=False))
                return
            raise PortInUse(
                "the port is taken by another program",
                f"{binding.host}:{binding.port}",
                "Stop that program, or choose another gateway port.",
            ) from error
        server = BoundedServer(
            self._limits,
            self._connections,
            partial(self._answer, binding),
            self._answer_to_fault,
            self._dress,
        )
        listener = HttpListener(server, sockets)
        self._listeners.append(listener)
        self._ports[binding.sp_address] = listener.port
        await listener.start()

    def _answer_to_fault(self, fault: BaseException) -> web.Response:
        return answer_to_fault(fault, self._limits.max_request_line_bytes)

    def _dress(self, raw: web.BaseRequest, response: web.StreamResponse) -> None:
        response.headers.update(cors_headers(self._origins, raw.headers.get("Origin", "")))

    # --- a request -------------------------------------------------------------------------------

    async def _answer(self, binding: Binding, raw: web.BaseRequest) -> web.StreamResponse:
        request_id = str(secrets.randbits(64))
        with logging_request(request_id):
            return await self._answer_as(request_id, binding, raw)

    async def _answer_as(
        self, request_id: str, binding: Binding, raw: web.BaseRequest
    ) -> web.StreamResponse:
        try:
            self._admission.check_connections(self._connections.open_connections)
            return await self._dispatch(binding, request_id, raw)
        except Refusal as refusal:
            return refusal_answer(refusal, request_id)
        except GreenrayError as error:
            answer = refusal_for(error)
            if answer.code.status >= _SERVER_ERROR:
                log.error(
                    "request %s (%s %s): %s", request_id, raw.method, shown_target(raw), error
                )
            return refusal_answer(answer, request_id)
        except ConnectionError:
            raise  # the client is gone; there is nobody to answer
        except Exception:
            log.exception("%s %s", raw.method, shown_target(raw))
            return refusal_answer(Refusal(GatewayCode.INTERNAL_ERROR), request_id)

    async def _dispatch(
        self, binding: Binding, request_id: str, raw: web.BaseRequest
    ) -> web.StreamResponse:
        if (raw.method, raw.raw_path) == ("OPTIONS", "*"):
            return web.Response(status=204)
        try:
            target = parse_target(raw.raw_path, raw.headers.get("Host", ""))
        except ValueError:
            return web.Response(status=400, text="400 Bad Request")
        request = GatewayRequest(
            binding.sp_address,
            request_id,
            raw.method,
            target.path,
            target.query,
            target.host,
            tuple((_text(name), _text(value)) for name, value in raw.raw_headers),
        )
        check_expectation(raw)
        if raw.method == "OPTIONS":
            return self._options(request, binding.domain)
        match = match_route(raw.method, target.host, target.path, target.query, binding.domain)
        match match.route:
            case Route.PUT_OBJECT:
                return await self._put_object(request, match, raw)
            case Route.GET_OBJECT:
                async with self._admission.download() as place:
                    return await self._downloads.get_object(place, request, match, raw)
            case Route.DOWNLOAD_LINK | Route.VIEW_LINK:
                async with self._admission.download() as place:
                    return await self._links.open(place, request, match, raw)
            case Route.READ_QUOTA:
                return await self._meter.quota(request, match)
            case Route.READ_RECORDS:
                return await self._meter.records(request, match)
            case Route.UPLOAD_PROGRESS:
                return await self._upload_progress(request, match)
            case Route.JOB_STATUS:
                return await self._job_status(request, match)
            case Route.JOB_TIMELINE:
                return await self._job_timeline(request, match)
            case Route.DOWNLOAD_SOURCES:
                return await self._downloads.sources(request, match)
            case Route.GET_APPROVAL:
                return await self._get_approval(request)
            case Route.CHALLENGE:
                if self._challenges is None:
                    raise Refusal(GatewayCode.NO_COMPONENT)
                signer = await self._authenticator.signer(request)
                checks = self._checks[request.sp_address]
                return await self._challenges.answer(request, signer, checks, self._meter)
            case Route.REQUEST_NONCE:
                return await self._keys.request_nonce(request)
            case Route.UPDATE_KEY:
                return await self._keys.update_key(request)
            case Route.REPLICATE_PIECE:
                ahead_bytes = self._settings.read_bufsize_bytes
                async with aclosing(body_chunks(raw, self._settings, ahead_bytes)) as body:
                    return await replicate_piece(
                        self._receiver,
                        request,
                        body,
                        self._receiver_space,
                        self._groups,
                        Borrower(address=raw.remote or ""),
                    )
            case Route.USER_BUCKETS | Route.LIST_OBJECTS | Route.BUCKET_META | Route.OBJECT_META:
                if self._lists is None:
                    return json_refusal_answer(Refusal(GatewayCode.NO_COMPONENT), request_id)
                async with self._admission.download():
                    return await self._lists.answer(request, match)
            case Route.WRONG_METHOD:
                return web.Response(
                    status=405, headers={"Allow": self._allowed(request, binding.domain)}
                )
            case Route.NO_ROUTER:
                # The Go provider has no request id here.
                return refusal_answer(Refusal(GatewayCode.NO_ROUTER), "")

    def _options(self, request: GatewayRequest, domain: str) -> web.StreamResponse:
        """What may be asked here; a page of another origin asks before it sends anything else."""
        headers = {"Allow": self._allowed(request, domain)}
        if not request.header("Access-Control-Request-Method"):
            return web.Response(status=204, headers=headers)
        more = preflight_headers(self._origins, request.header("Origin"))
        if more is None:
            return web.Response(status=405, headers=headers)
        return web.Response(status=204, headers={**headers, **more})

    def _allowed(self, request: GatewayRequest, domain: str) -> str:
        """The value of an Allow header."""
        methods = allowed_methods(request.host, request.path, request.query, domain)
        return ", ".join((*methods, "OPTIONS"))

    async def _put_object(
        self, request: GatewayRequest, match: Match, raw: web.BaseRequest
    ) -> web.StreamResponse:
        async with self._admission.upload() as place:
            response = await self._receive_object(place, request, match, raw)
            where = Route.PUT_OBJECT.name.lower()
            return await self._points.pass_(FaultPoint.ANSWER_LEAVING, where, response)

    async def _receive_object(
        self, place: TakenPlace, request: GatewayRequest, match: Match, raw: web.BaseRequest
    ) -> web.StreamResponse:
        granted, params = await self._may_put(request, match)
        borrower = Borrower(granted.signer, raw.remote or "")
        if request.header("If-Match"):  # there is nothing yet that could match
            raise Refusal(GatewayCode.PRECONDITION_FAILED)
        with self._admission.share(Admitted.UPLOAD, borrower):
            ingest = partial(
                self._ingest, place, borrower, request.sp_address, granted.object, params
            )
            response = web.Response(headers={REQUEST_ID_HEADER: request.request_id})
            return await self._receive_from(raw, ingest, response)

    async def _receive_from(
        self,
        raw: web.BaseRequest,
        ingest: Callable[[PayloadSource], Awaitable[None]],
        response: web.Response,
    ) -> web.StreamResponse:
        await ask_for_body(raw)
        connection = taken_over(raw, self._settings)
        if connection is None:
            async with aclosing(body_chunks(raw, self._settings)) as body:
                await ingest(ChunkedPayload(body))
            return response
        try:
            await ingest(connection)
        finally:
            if connection.give_back():
                raw.content.feed_eof()
        response.force_close()  # the HTTP library has lost count of what came on it
        return response

    async def _ingest(
        self,
        place: TakenPlace,
        borrower: Borrower,
        sp_address: str,
        info: ObjectInfo,
        params: StorageParams,
        source: PayloadSource,
    ) -> None:
        """Raises what ``Uploader.ingest`` raises; Overloaded, when the place went to others."""
        payload = WatchedPayload(source)
        ending = Ending()
        give_way = partial(ending.end, _gave_way(info))
        with ending, place.may_be_ended(payload.pace, give_way):
            await self._uploader.ingest(sp_address, info, params, payload, borrower)

    async def put_payload(self, request: GatewayRequest, payload: ReferencedPayload) -> None:
        """PutObject for a payload that does not come over HTTP; ``request`` is what its user would
        have sent, signed.

        Raises what ``Uploader.ingest`` raises, and why the request is refused.
        """
        match = match_route(request.method, request.host, request.path, request.query)
        if match.route is not Route.PUT_OBJECT:
            raise InvalidInput(f"is not PutObject: {request.method}", request.path)
        async with self._admission.upload():
            try:
                granted, params = await self._may_put(request, match)
            except Refusal as refusal:
                raise refusal.cause or InvalidInput(refusal.code.message, request.path) from None
            await self._uploader.ingest(request.sp_address, granted.object, params, payload)

    async def _may_put(
        self, request: GatewayRequest, match: Match
    ) -> tuple[Granted, StorageParams]:
        granted, params = await both(self._may_upload(request, match), self._chain.storage_params())
        if granted.object.object_status is not ObjectStatus.OBJECT_STATUS_CREATED:
            raise WrongObjectStatus(
                f"the object is {granted.object.object_status.name}, not created",
                granted.object.name,
                "Only a created object takes a payload.",
            )
        return granted, params

    async def _upload_progress(self, request: GatewayRequest, match: Match) -> web.StreamResponse:
        granted = await self._may_upload(request, match)
        sealed = granted.object.object_status is ObjectStatus.OBJECT_STATUS_SEALED
        job = (
            None if sealed else await self._jobs.job_of(request.sp_address, granted.object.identity)
        )
        text = progress_text(job.state if job else None, sealed)
        return web.Response(
            body=(
                '<QueryUploadProgress version="1.0"><ProgressDescription>'
                f"{text}</ProgressDescription></QueryUploadProgress>"
            ).encode(),
            content_type="application/xml",
            headers={REQUEST_ID_HEADER: request.request_id},
        )

    async def _job_status(self, request: GatewayRequest, match: Match) -> web.StreamResponse:
        try:
            info = (await self._may_upload(request, match)).object
            job = await self._jobs.job_of(request.sp_address, info.identity)
        except NoSuchObject:
            job = await self._job_of_a_gone_object(request, match)
            if job is None:
                raise
            info = job.object_info
        return web.json_response(
            job_status(info, job), headers={REQUEST_ID_HEADER: request.request_id}
        )

    async def _job_of_a_gone_object(
        self, request: GatewayRequest, match: Match
    ) -> JobContext | None:
        """An object that is given up is removed from the chain; its owner may still ask why."""
        job = await self._jobs.find_job(match.bucket_name, match.object_name)
        if job is None or job.sp_address != request.sp_address:
            return None
        if await self._authenticator.signer(request) != job.object_info.owner:
            return None
        # What the Collector will write into the row once it has seen it.
        return job if job.error is not None else replace(job, error=unseen_error(job.object_id))

    async def _job_timeline(self, request: GatewayRequest, match: Match) -> web.StreamResponse:
        granted = await self._may_upload(request, match)
        info = granted.object
        job = await self._jobs.job_of(request.sp_address, info.identity)
        trace = await self._traces.collect(info.id)
        timeline = job_timeline(info, job, trace, TraceClock.here(), self._checks)
        return web.json_response(timeline, headers={REQUEST_ID_HEADER: request.request_id})

    async def _get_approval(self, request: GatewayRequest) -> web.StreamResponse:
        signer = await self._authenticator.signer(request)
        await self._checks[request.sp_address].check_account(signer)
        signed = await self._approver.approve(request)
        return web.Response(
            headers={REQUEST_ID_HEADER: request.request_id, "X-Gnfd-Signed-Msg": signed.hex()}
        )

    async def _may_upload(self, request: GatewayRequest, match: Match) -> Granted:
        check_names(match)
        signer = await self._authenticator.signer(request)
        checks = self._checks[request.sp_address]
        return await checks.may_upload(signer, match.bucket_name, match.object_name)


def _listen_limits(settings: GatewaySettings) -> ListenLimits:
    return ListenLimits(
        max_connections=settings.max_connections,
        max_connections_per_address=settings.max_connections_per_address,
        keepalive_timeout_s=settings.keepalive_timeout_s,
        head_timeout_s=settings.head_timeout_s,
        max_head_bytes=settings.max_head_bytes,
        max_request_line_bytes=settings.max_request_line_bytes,
        heads_budget_bytes=settings.heads_budget_bytes,
        answer_timeout_s=2 * settings.idle_timeout_s,  # a download's own comes first
    )


def _gave_way(info: ObjectInfo) -> Overloaded:
    return Overloaded(
        "others wait, and its sender is slow", info.name, "Send the payload again later."
    )


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
