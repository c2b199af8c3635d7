"""The user's side: put, get and status over HTTP and the chain. No Ray here."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenray.chain.crypto import address_of
from greenray.chain.dialects import Dialect, get_dialect
from greenray.chain.ports import ChainClient, ChainHistory
from greenray.client.admission import admitted
from greenray.client.creation import OBJECT_EXISTS, Creator, PutOptions
from greenray.client.deletion import Deleter, Deletion
from greenray.client.download_sources import DownloadSources, OnSources
from greenray.client.gateway_session import ANSWER_LIMITS, GatewaySession, error_for_reason
from greenray.client.job_document import checked_sources, checked_status, checked_timeline
from greenray.client.lists import listed_buckets, listed_objects
from greenray.client.patience import Patience, passes, patiently
from greenray.client.payload_io import (
    DirectPayload,
    OutgoingPayload,
    PayloadFile,
    VerifiedDownload,
    opened,
    size_of,
)
from greenray.client.progress import Activity, OnProgress, ProgressReporter
from greenray.client.seal_news import SealNews
from greenray.client.sealed_object import SealedObject
from greenray.client.setbacks import OnSetback, Setback
from greenray.peer.session import AnswerLimits
from greenray.protocol.content_type import check_content_type, served_content_type
from greenray.protocol.errors import (
    AlreadyUploaded,
    AnotherObject,
    ChainLags,
    ChainUnavailable,
    ComponentUnavailable,
    GreenrayError,
    IntegrityHashMismatch,
    InvalidInput,
    NoSuchBucket,
    NoSuchObject,
    NoTrace,
    PayloadSizeMismatch,
    PayloadTooLarge,
    SealTimeout,
    TransactionRefused,
    UnknownStorageProvider,
    WrongObjectStatus,
)
from greenray.protocol.gateway_request import SOURCES_HEADER, SOURCES_QUERY
from greenray.protocol.job import JobState
from greenray.protocol.job_table import UPLOADER_STATES
from greenray.protocol.listing import LARGEST_PAGE, BucketMeta, ObjectPage, ObjectQuery
from greenray.protocol.names import check_bucket_name, check_object_name
from greenray.protocol.objects import (
    BucketInfo,
    ObjectInfo,
    ObjectStatus,
    RedundancyType,
    StorageParams,
    Visibility,
)

if TYPE_CHECKING:
    from greenray.coding.checksums import PayloadChecksums
    from greenray.coding.codec import Codec

log = logging.getLogger(__name__)

_HASHED_AT_ONCE = 2
"""Each uses all cores; two, so that one reads while the other one computes."""
_MAX_STATUS_PER_S = 40.0
"""How often a gateway is asked how jobs are, while many wait."""
_PARTIAL_CONTENT = 206
_QUIET_PAUSE_S = 5.0
"""The same, where blocks are expected to tell."""
_OTHER_PAYLOAD = "Choose another name; or cancel it, or put again with --replace-created."
_SOURCES_QUERY = re.compile(rf"{SOURCES_QUERY}=[0-9]{{1,20}}", re.ASCII)


class WaitFor(Enum):
    UPLOADED = "uploaded"
    SEALED = "sealed"

    @classmethod
    def parse(cls, text: str) -> WaitFor:
        """Raises InvalidInput."""
        try:
            return cls(text)
        except ValueError:
            raise InvalidInput(f"{text!r} is neither 'sealed' nor 'uploaded'", "wait") from None


@dataclass(frozen=True, slots=True)
class ClientSettings:
    poll_interval_s: float = 0.25
    wait_timeout_s: float = 24 * 3600.0
    """How long ``put`` waits for the asked-for state; the upload goes on without it."""
    outage_s: float = 60.0
    """How long the gateway, or what it needs, may be away: it is being restarted."""
    answer_limits: AnswerLimits = ANSWER_LIMITS
    """With one answer of a gateway."""


@dataclass(frozen=True, slots=True)
class PutResult:
    """``status``: the job-status document when ``put`` returned. Times in seconds. ``setbacks``:
    what went wrong meanwhile, in the order it was seen."""

    object_info: ObjectInfo
    status: Mapping[str, Any]
    seconds: Mapping[Activity, float]
    setbacks: tuple[Setback, ...] = ()


@dataclass(frozen=True, slots=True)
class PreparedPut:
    """An object that is on chain and waits for its payload, unless it is sealed. ``is_new``: we
    have created it. ``sp_address``: its primary's, whose gateway ``session`` is."""

    info: ObjectInfo
    is_new: bool
    session: GatewaySession
    sp_address: str
    secondary_count: int
    column_bytes: int
    """What each secondary gets."""

    @property
    def is_sealed(self) -> bool:
        return self.info.object_status is ObjectStatus.OBJECT_STATUS_SEALED


class StorageClient:
    """One user at one network. Objects of a bucket go to and come from the bucket's primary SP;
    new buckets go to the SP behind ``gateway_endpoint``."""

    def __init__(
        self,
        chain: ChainClient,
        gateway_endpoint: str,
        private_key: bytes,
        *,
        sp_address: str = "",
        endpoints: Mapping[str, str] | None = None,
        history: ChainHistory | None = None,
        dialect: Dialect | None = None,
        codec: Codec | None = None,
        settings: ClientSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``sp_address``: the operator address behind ``gateway_endpoint``; looked up on chain by
        the endpoint when it is empty. ``endpoints``: where SPs can be reached, by operator address,
        when that is not what the chain says. ``history``: of the same chain, where seals are seen
        without asking for each object."""
        self._chain = chain
        self._history = history
        self._settings = settings or ClientSettings()
        self._seals = SealNews(history, self._settings.poll_interval_s)
        self._waiting = 0
        self._creating_bucket = asyncio.Lock()
        self._hashing = asyncio.Semaphore(_HASHED_AT_ONCE)
        self._gateway = GatewaySession(
            gateway_endpoint, private_key, clock=clock, limits=self._settings.answer_limits
        )
        self._private_key = private_key
        self._address = address_of(private_key)
        self._sp_address = sp_address
        self._endpoints = dict(endpoints or {})
        self._codec = codec
        self._clock = clock
        self._creator = Creator(
            chain,
            dialect or get_dialect(),
            private_key,
            outage_s=self._settings.outage_s,
            poll_interval_s=self._settings.poll_interval_s,
        )
        self._deleter = Deleter(chain, dialect or get_dialect(), private_key)
        self._others: dict[str, GatewaySession] = {}

    @property
    def address(self) -> str:
        """The user's account."""
        return self._address

    async def close(self) -> None:
        await self._creator.close()
        await self._deleter.close()
        await self._seals.close()
        for session in (self._gateway, *self._others.values()):
            await session.close()

    async def chain_identity(self) -> tuple[str, str]:
        """The chain's id, and the hash of its first block, by which chains of one id are told
        apart; empty where nobody can say. Raises ChainError."""
        first = await self._history.first_block_hash() if self._history is not None else ""
        return await self._chain.chain_id(), first

    # --- put -------------------------------------------------------------------------------------

    async def put(
        self,
        source: Path | PayloadFile,
        bucket_name: str,
        object_name: str,
        *,
        wait: WaitFor = WaitFor.SEALED,
        on_progress: OnProgress | None = None,
        on_setback: OnSetback | None = None,
        options: PutOptions | None = None,
    ) -> PutResult:
        """Store a payload. A bucket or object that does not exist is created; an object that is
        created already is continued if its checksums are those of the payload.

        ``on_progress`` and ``on_setback`` are called in the event loop's thread; ``on_setback`` for
        each secondary that was replaced, and each step that failed and is tried again.

        Raises:
            UnreadableFile, InvalidName, PayloadTooLarge, InvalidInput (the content
                type): nothing was done.
            WrongObjectStatus: the object is sealed (or discontinued) already.
            PayloadSizeMismatch, IntegrityHashMismatch: the object on chain is another payload.
            TransactionRefused, TransactionFailed, ChainError: it could not be created.
            SealTimeout: not sealed in time; it goes on without us.
            AnotherObject: the chain, or the gateway, speaks of another object.
            InsufficientFunds: the user's account cannot pay; SealAccountWithoutFunds: the storage
                provider cannot seal. Nothing was created.
            BadAnswer, ComponentUnavailable, or what the gateway names, or why the job failed.
        """
        check_bucket_name(bucket_name)
        check_object_name(object_name)
        options = options or PutOptions()
        check_content_type(options.content_type)
        reporter = ProgressReporter(on_progress, on_setback)
        watch = _StopWatch(self._clock)
        with opened(source) as (file, name):
            prepared = await self.prepare(
                file, name, bucket_name, object_name, options, reporter, on_lap=watch.lap
            )
            await self.send_payload(prepared, file, reporter)
        watch.lap(Activity.UPLOAD)
        status = await self._wait(prepared, wait, reporter)
        if wait is WaitFor.SEALED:
            await self._confirm_sealed(prepared.info)
        watch.lap(Activity.SEAL)
        return PutResult(prepared.info, status, watch.seconds, reporter.setbacks)

    # --- the parts of a put, for who puts many ---------------------------------------------------

    async def prepare(
        self,
        file: PayloadFile,
        source: str,
        bucket_name: str,
        object_name: str,
        options: PutOptions,
        reporter: ProgressReporter,
        *,
        skip_sealed: bool = False,
        on_lap: Callable[[Activity], None] = lambda activity: None,
    ) -> PreparedPut:
        """Compute the checksums of ``file``, and see that its object is on chain. ``skip_sealed``:
        one that is sealed already with these checksums is fine. Names are valid.

        Raises: as ``put``.
        """
        size_bytes = size_of(file)
        params = await self._chain.storage_params()
        _check_size(size_bytes, params, source)
        existing = await self._existing(bucket_name, object_name, skip_sealed)
        if existing is not None and existing.payload_size != size_bytes:
            await self._cancel_if_asked(existing, options, size_bytes, source)
            existing = None
        kind = existing.redundancy_type if existing else options.redundancy_type
        checksums = await self._hash(file, size_bytes, params, kind, reporter)
        on_lap(Activity.HASHING)
        bucket = await self._bucket(bucket_name, options, reporter)
        session = await self._session(bucket)
        if existing is not None and _may_be_cancelled(existing, options, checksums):
            await self._cancel_if_asked(existing, options, size_bytes, source)
            existing, options = None, replace(options, redundancy_type=kind)
        if existing is not None:
            _check_same_payload(existing, checksums)
            info, is_new = existing, False
        else:
            reporter.report(Activity.CREATING, 1, 2, detail=f"object {object_name}")
            info, is_new = await self._created(
                session, bucket_name, object_name, checksums, options, source
            )
            reporter.report(Activity.CREATING, 2, 2)
        on_lap(Activity.CREATING)
        is_ec = info.redundancy_type is RedundancyType.REDUNDANCY_EC_TYPE
        column_bytes = -(-info.payload_size // params.k) if is_ec else info.payload_size
        return PreparedPut(info, is_new, session, bucket.primary_sp_address, params.n, column_bytes)

    async def _created(
        self,
        session: GatewaySession,
        bucket_name: str,
        object_name: str,
        checksums: PayloadChecksums,
        options: PutOptions,
        source: str,
    ) -> tuple[ObjectInfo, bool]:
        """The object, and whether we have created it. Another process of this user may have done so
        meanwhile, or this one in a life before, whose transaction came late."""
        try:
            return await self._creator.create_object(
                session, bucket_name, object_name, checksums, options
            ), True
        except TransactionRefused as error:
            if OBJECT_EXISTS not in error.what:
                raise
            existing = await self._existing(bucket_name, object_name, False)
            if existing is None:
                raise
            _check_same_payload(existing, checksums)
            return existing, False

    async def _cancel_if_asked(
        self, existing: ObjectInfo, options: PutOptions, size_bytes: int, source: str
    ) -> None:
        """Make room for another payload. Raises PayloadSizeMismatch: it was not asked for, or the
        object is sealed."""
        if not options.replace_created or _is_sealed(existing):
            raise PayloadSizeMismatch(
                f"the object on chain has {existing.payload_size} bytes, {source} has {size_bytes}",
                existing.name,
                _OTHER_PAYLOAD,
            )
        await self._deleter.delete_object(existing.bucket_name, existing.object_name)

    async def send_payload(
        self, prepared: PreparedPut, file: PayloadFile, reporter: ProgressReporter
    ) -> None:
        """Upload what was prepared; of an empty object, which the chain has sealed as it was
        created, there is nothing. Raises: as ``put``."""
        size_bytes = prepared.info.payload_size
        if size_bytes:
            await self._upload(prepared, file, reporter)
        reporter.report(Activity.UPLOAD, size_bytes, size_bytes)

    async def wait_for_seal(self, prepared: PreparedPut, reporter: ProgressReporter) -> None:
        """Return when the chain has sealed what was sent: a block says so, or its job.

        Raises: as ``put``.
        """
        if not prepared.info.payload_size:
            return
        with self._expecting_seal(prepared.info) as sealed:
            await self._pause(sealed, _QUIET_PAUSE_S)
            if not sealed.is_set():
                await self._watched(
                    prepared, WaitFor.SEALED, reporter, sealed, pause_s=_QUIET_PAUSE_S
                )
        await self._confirm_sealed(prepared.info)

    async def sealed_already(
        self, source: Path | PayloadFile, bucket_name: str, object_name: str
    ) -> ObjectInfo | None:
        """The object of this name, if it is sealed and has this payload.

        Raises: NoSuchObject, UnreadableFile, ChainError.
        """
        info = await self._chain.head_object(bucket_name, object_name)
        with opened(source) as (file, _):
            is_sealed = info.object_status is ObjectStatus.OBJECT_STATUS_SEALED
            if not is_sealed or size_of(file) != info.payload_size:
                return None
            params = await self._chain.storage_params()
            checksums = await self._hash(
                file, info.payload_size, params, info.redundancy_type, ProgressReporter(None)
            )
        return info if checksums.integrity_hashes == info.checksums else None

    async def _existing(
        self, bucket_name: str, object_name: str, skip_sealed: bool
    ) -> ObjectInfo | None:
        try:
            info = await self._chain.head_object(bucket_name, object_name)
        except NoSuchObject:
            return None
        sealed = info.object_status is ObjectStatus.OBJECT_STATUS_SEALED
        if info.object_status is not ObjectStatus.OBJECT_STATUS_CREATED and not (
            sealed and skip_sealed
        ):
            raise WrongObjectStatus(
                f"the object is {info.object_status.name} already",
                info.name,
                "Choose another name.",
            )
        return info

    async def _hash(
        self,
        file: PayloadFile,
        size_bytes: int,
        params: StorageParams,
        redundancy_type: RedundancyType,
        reporter: ProgressReporter,
    ) -> PayloadChecksums:
        # numpy takes longer to load than the rest of a client, and only a put needs it.
        from greenray.coding.checksums import hash_payload
        from greenray.coding.codec import get_codec

        loop = asyncio.get_running_loop()

        def on_progress(done_bytes: int) -> None:
            loop.call_soon_threadsafe(reporter.report, Activity.HASHING, done_bytes, size_bytes)

        async with self._hashing:
            checksums = await asyncio.to_thread(
                lambda: hash_payload(
                    file,
                    params.max_segment_size_bytes,
                    params.k,
                    params.m,
                    self._codec or get_codec(),
                    replica=redundancy_type is RedundancyType.REDUNDANCY_REPLICA_TYPE,
                    on_progress=on_progress,
                )
            )
        reporter.report(Activity.HASHING, size_bytes, size_bytes)
        return checksums

    async def _bucket(
        self, bucket_name: str, options: PutOptions, reporter: ProgressReporter
    ) -> BucketInfo:
        with suppress(NoSuchBucket):
            return await self._chain.head_bucket(bucket_name)
        # Of many puts into a new bucket one creates it.
        async with self._creating_bucket:
            with suppress(NoSuchBucket):
                return await self._chain.head_bucket(bucket_name)
            reporter.report(Activity.CREATING, 0, 2, detail=f"bucket {bucket_name}")
            return await self._creator.create_bucket(
                self._gateway, bucket_name, await self._own_sp(), options
            )

    async def _upload(
        self, prepared: PreparedPut, file: PayloadFile, reporter: ProgressReporter
    ) -> None:
        """Send the payload if it is wanted, as that of a new object is, and again when who took it
        went away."""
        patience = Patience(self._settings.outage_s)
        broke_off = False
        while True:
            try:
                is_wanted = prepared.is_new and not broke_off
                if is_wanted or _needs_payload(await self._status_of(prepared)):
                    await self._send(prepared, file, reporter)
                return
            except GreenrayError as error:
                # An upload whose process has died is over once somebody has seen that.
                is_ours = broke_off and isinstance(error, AlreadyUploaded)
                if not passes(error) and not is_ours:
                    raise
                broke_off = True
                await patience.wait_after(error)

    async def _send(
        self, prepared: PreparedPut, file: PayloadFile, reporter: ProgressReporter
    ) -> None:
        session, info = prepared.session, prepared.info
        size_bytes = info.payload_size
        reporter.report(Activity.UPLOAD, 0, size_bytes)
        content_type = served_content_type(info.content_type)
        headers = {"Content-Length": str(size_bytes), "Content-Type": content_type}
        if isinstance(file, DirectPayload):
            request = session.signed_request(prepared.sp_address, "PUT", f"/{info.name}", headers)
            await admitted(lambda: file.send(session.endpoint, request), info.name)
            return
        # The last byte counts once the gateway has stored everything.
        payload = OutgoingPayload(
            file, size_bytes, lambda sent: reporter.report(Activity.UPLOAD, sent - 1, size_bytes)
        )
        try:
            async with session.request("PUT", f"/{info.name}", "", headers, payload):
                pass
        except ComponentUnavailable as error:
            if payload.failure is not None:
                raise payload.failure from error
            # The gateway closes the connection of a payload that it refuses: ask it why.
            status = await self._status_of(prepared)
            if status["error"] is None or status["state_number"] != JobState.UPLOAD_OBJECT_ERROR:
                raise
            raise error_for_reason(
                status["error"]["reason"], status["error"]["message"], info.name
            ) from error

    # --- waiting ---------------------------------------------------------------------------------

    async def _wait(
        self, prepared: PreparedPut, wait: WaitFor, reporter: ProgressReporter
    ) -> Mapping[str, Any]:
        pause_s = self._settings.poll_interval_s
        with self._expecting_seal(prepared.info) as sealed:
            return await self._watched(prepared, wait, reporter, sealed, pause_s=pause_s)

    @contextmanager
    def _expecting_seal(self, info: ObjectInfo) -> Iterator[asyncio.Event]:
        self._waiting += 1
        try:
            with self._seals.expected(info.id) as sealed:
                yield sealed
        finally:
            self._waiting -= 1

    async def _watched(
        self,
        prepared: PreparedPut,
        wait: WaitFor,
        reporter: ProgressReporter,
        sealed: asyncio.Event,
        *,
        pause_s: float,
    ) -> Mapping[str, Any]:
        """The job's status once it is as far."""
        info = prepared.info
        give_up_at = time.monotonic() + self._settings.wait_timeout_s
        patience = Patience(self._settings.outage_s)
        while True:
            try:
                status = await self._status_of(prepared)
            except GreenrayError as error:
                if not passes(error):
                    raise
                await patience.wait_after(error)
            else:
                patience.restart()
                reporter.report_job(status, prepared.secondary_count, prepared.column_bytes)
                if _reached(status, wait):
                    return status
                _raise_final(status, info)
            if time.monotonic() > give_up_at:
                raise SealTimeout(
                    f"not {wait.value} within {self._settings.wait_timeout_s:g} s",
                    info.name,
                    f"It goes on without this command; see greenray status {info.name}.",
                )
            await self._pause(sealed, pause_s)

    async def _pause(self, sealed: asyncio.Event, least_s: float) -> None:
        """Until the gateway is asked again: the more wait, the longer, unless a block says that
        there is something to hear."""
        if sealed.is_set():
            await asyncio.sleep(self._settings.poll_interval_s)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(least_s, self._waiting / _MAX_STATUS_PER_S)):
                await sealed.wait()

    async def _confirm_sealed(self, info: ObjectInfo) -> None:
        """See on chain that this very object is sealed: what a gateway says is no proof.

        Raises: AnotherObject, SealTimeout, ChainError.
        """
        give_up_at = time.monotonic() + self._settings.wait_timeout_s
        answered_at = time.monotonic()
        while True:
            try:
                if await self._is_sealed(info):
                    return
            except (ChainUnavailable, ChainLags):
                if time.monotonic() - answered_at > self._settings.outage_s:
                    raise
            else:
                answered_at = time.monotonic()
            if time.monotonic() > give_up_at:
                raise SealTimeout(
                    "the gateway says that it is sealed, the chain does not",
                    info.name,
                    f"See greenray status {info.name}",
                )
            await asyncio.sleep(self._settings.poll_interval_s)

    async def _is_sealed(self, info: ObjectInfo) -> bool:
        found = await self._chain.head_object_by_id(info.id)
        if found.identity != info.identity:
            raise AnotherObject(
                f"{info.identity} is gone, its id belongs to {found.identity}",
                info.name,
                "The chain was put back to an older copy: put it again",
            )
        return found.object_status is ObjectStatus.OBJECT_STATUS_SEALED

    async def status(self, bucket_name: str, object_name: str) -> Mapping[str, Any]:
        """The job-status document of an object (the JSON of ``greenray status --json``); its owner
        gets that of an object too that was given up, and is no longer on chain.

        Raises: NoSuchBucket, NoSuchObject, AccessDenied, ComponentUnavailable, BadAnswer.
        """
        session = await self._session(await self._chain.head_bucket(bucket_name))
        try:
            return await _job_status(session, f"{bucket_name}/{object_name}")
        except NoSuchObject:
            # In the words of every other command, if the chain does not have it either.
            await self._chain.head_object(bucket_name, object_name)
            raise

    async def _status_of(self, prepared: PreparedPut) -> Mapping[str, Any]:
        return _of(prepared.info, await _job_status(prepared.session, prepared.info.name))

    async def timeline(self, bucket_name: str, object_name: str) -> Mapping[str, Any]:
        """When each batch of an object was worked on (the JSON of ``greenray status --timeline``).

        Raises: NoTrace, and what ``status`` raises.
        """
        info = await self._chain.head_object(bucket_name, object_name)
        session = await self._session(await self._chain.head_bucket(bucket_name))
        async with session.request("GET", f"/{info.name}", "job-timeline=") as answer:
            return _of(info, checked_timeline(await answer.document(), session.endpoint))

    # --- get -------------------------------------------------------------------------------------

    async def get(
        self,
        bucket_name: str,
        object_name: str,
        target: Path,
        *,
        on_progress: OnProgress | None = None,
        on_sources: OnSources | None = None,
        replacing: bool = True,
    ) -> ObjectInfo:
        """Download a sealed object to ``target``, which appears only complete and verified; with
        ``replacing`` it takes the place of a file that is there, else that stays.

        What came of a download that broke off, or was cancelled, is kept beside ``target`` from 8
        MiB on; the next one goes on from there, and verifies all of it.

        ``on_sources`` is told afterwards where its bytes came from, by a gateway that can tell.

        Raises:
            NoSuchBucket, NoSuchObject, AccessDenied, WrongObjectStatus: it cannot be had.
            IntegrityHashMismatch, PayloadSizeMismatch: what came is not the object.
            UnreadableFile, NoSpaceLeft: it cannot be written. ComponentUnavailable, BadAnswer.
        """
        reporter = ProgressReporter(on_progress)
        bucket = await self._chain.head_bucket(bucket_name)
        info = await self._chain.head_object(bucket_name, object_name)
        _check_sealed(info)
        params = await self._chain.storage_params()
        session = await self._session(bucket)

        async def attempt() -> str:
            download = VerifiedDownload(target, params.max_segment_size_bytes, replacing=replacing)
            try:
                if info.payload_size == 0:
                    await asyncio.to_thread(download.commit, info.checksums[0])
                    return ""
                await asyncio.to_thread(download.go_on, info.checksums[0], info.payload_size)
                sources_query = await self._download(session, info, download, reporter)
                await asyncio.to_thread(download.commit, info.checksums[0])
            except (asyncio.CancelledError, ComponentUnavailable):
                download.keep()
                raise
            finally:
                download.abort()
            return sources_query

        sources_query = await patiently(attempt, self._settings.outage_s)
        if on_sources is not None and _SOURCES_QUERY.fullmatch(sources_query):
            await _tell_sources(session, info, sources_query, on_sources)
        return info

    async def _download(
        self,
        session: GatewaySession,
        info: ObjectInfo,
        download: VerifiedDownload,
        reporter: ProgressReporter,
    ) -> str:
        """Returns the query that asks for its sources; empty where nobody can tell."""
        reporter.report(Activity.DOWNLOAD, download.size_bytes, info.payload_size)
        if download.size_bytes == info.payload_size:
            return ""
        wanted = {"Range": f"bytes={download.size_bytes}-"} if download.size_bytes else {}
        async with session.request("GET", f"/{info.name}", "", wanted) as answer:
            sources_query = answer.headers.get(SOURCES_HEADER, "")
            if wanted and answer.status != _PARTIAL_CONTENT:
                await asyncio.to_thread(download.start_anew)
            async for block in answer.blocks(info.payload_size - download.size_bytes):
                await asyncio.to_thread(download.write, block)
                reporter.report(Activity.DOWNLOAD, download.size_bytes, info.payload_size)
        if download.size_bytes != info.payload_size:
            raise PayloadSizeMismatch(
                f"{download.size_bytes} bytes arrived of {info.payload_size}",
                info.name,
                "Get it again.",
            )
        return sources_query

    async def open(self, bucket_name: str, object_name: str) -> SealedObject:
        """A sealed object, to be read by ranges.

        Raises: NoSuchBucket, NoSuchObject, WrongObjectStatus, ChainError.
        """
        bucket = await self._chain.head_bucket(bucket_name)
        info = await self._chain.head_object(bucket_name, object_name)
        _check_sealed(info)
        return SealedObject(await self._session(bucket), info, self._settings.outage_s)

    # --- lists -----------------------------------------------------------------------------------

    async def list_buckets(self, owner: str = "") -> AsyncIterator[tuple[BucketMeta, ...]]:
        """Buckets of an account, ours by default, newest first, page by page.

        Raises: InvalidInput (it is not an address), BadAnswer, ComponentUnavailable.
        """
        yield await listed_buckets(self._gateway, owner or self._address, self._settings.outage_s)

    async def list_objects(
        self,
        bucket_name: str,
        prefix: str = "",
        *,
        delimiter: str = "",
        start: str = "",
        page_size: int = LARGEST_PAGE,
    ) -> AsyncIterator[ObjectPage]:
        """Objects of a bucket whose names begin with ``prefix``, in the order of their names'
        bytes, from the name ``start`` on. With a ``delimiter``, names that have it behind the
        prefix are told by what they have in common up to it.

        Pages of ``page_size`` at most; what is put or deleted meanwhile makes no other object come
        twice, or not at all.

        Raises: InvalidName, InvalidInput, NoSuchBucket, BadAnswer, ComponentUnavailable,
        ChainError.
        """
        session = await self._session(await self._chain.head_bucket(bucket_name))
        query = ObjectQuery(bucket_name, prefix, delimiter, start, page_size, with_removed=False)
        async for page in listed_objects(session, query, self._settings.outage_s):
            yield page

    # --- buckets and what is known of objects ----------------------------------------------------

    async def head_bucket(self, bucket_name: str) -> BucketInfo:
        """Raises: NoSuchBucket, ChainError."""
        return await self._chain.head_bucket(bucket_name)

    async def head_object(self, bucket_name: str, object_name: str) -> ObjectInfo:
        """Raises: NoSuchBucket, NoSuchObject, ChainError."""
        await self._chain.head_bucket(bucket_name)
        return await self._chain.head_object(bucket_name, object_name)

    async def make_bucket(self, bucket_name: str, options: PutOptions | None = None) -> BucketInfo:
        """Create a bucket. Raises: InvalidName, InvalidInput (there is one), TransactionRefused,
        TransactionFailed, ChainError, BadAnswer."""
        check_bucket_name(bucket_name)
        with suppress(NoSuchBucket):
            found = await self._chain.head_bucket(bucket_name)
            whose = "yours" if found.owner == self._address else f"that of {found.owner}"
            raise InvalidInput(f"the bucket exists, it is {whose}", bucket_name, "Choose another")
        return await self._creator.create_bucket(
            self._gateway, bucket_name, await self._own_sp(), options or PutOptions()
        )

    async def gateway_of(self, bucket_name: str) -> str:
        """The endpoint that serves a bucket. Raises: NoSuchBucket, UnknownStorageProvider,
        ChainError."""
        session = await self._session(await self._chain.head_bucket(bucket_name))
        return session.endpoint

    async def set_visibility(
        self, bucket_name: str, object_name: str, visibility: Visibility
    ) -> str:
        """Say who may read an object; the hash of the transaction. Raises:
        ``Deleter.set_visibility``."""
        return await self._deleter.set_visibility(bucket_name, object_name, visibility)

    async def max_payload_bytes(self) -> int:
        """How large an object may be on this chain. Raises ChainError."""
        return (await self._chain.storage_params()).max_payload_size_bytes

    # --- delete ----------------------------------------------------------------------------------

    async def cancel(self, bucket_name: str, object_name: str) -> Deletion:
        """Take back the creation of an object that waits for its payload. Raises: what
        ``Deleter.delete_object`` raises."""
        return await self._deleter.delete_object(bucket_name, object_name, only_created=True)

    async def delete(self, bucket_name: str, object_name: str) -> Deletion:
        """Delete an object; one that is not sealed yet is cancelled. What providers have stored of
        it goes some time later. Raises: what ``Deleter.delete_object`` raises."""
        return await self._deleter.delete_object(bucket_name, object_name)

    async def delete_bucket(self, bucket_name: str) -> Deletion:
        """Delete an empty bucket. Raises: what ``Deleter.delete_bucket`` raises."""
        return await self._deleter.delete_bucket(bucket_name)

    async def discontinue(
        self, bucket_name: str, object_name: str | None, reason: str = ""
    ) -> Deletion:
        """Stop to serve an object or a bucket, as its primary SP. Raises: what
        ``Deleter.discontinue`` raises."""
        return await self._deleter.discontinue(bucket_name, object_name, reason)

    # --- who serves what -------------------------------------------------------------------------

    async def _own_sp(self) -> str:
        """The SP behind the configured gateway."""
        if not self._sp_address:
            providers = await self._chain.storage_providers()
            for provider in providers:
                if provider.endpoint.rstrip("/") == self._gateway.endpoint.rstrip("/"):
                    self._sp_address = provider.operator_address
                    break
            else:
                raise UnknownStorageProvider(
                    "no storage provider on chain has this endpoint",
                    self._gateway.endpoint,
                    "Use the endpoint of a registered provider, or name its operator address.",
                )
        return self._sp_address

    async def _session(self, bucket: BucketInfo) -> GatewaySession:
        """The gateway of the bucket's primary."""
        primary = bucket.primary_sp_address
        if primary == self._sp_address:
            return self._gateway
        if primary in self._others:
            return self._others[primary]
        endpoint = self._endpoints.get(primary) or await self._endpoint_on_chain(primary, bucket)
        if endpoint.rstrip("/") == self._gateway.endpoint.rstrip("/"):
            self._sp_address = primary
            return self._gateway
        session = GatewaySession(
            endpoint, self._private_key, clock=self._clock, limits=self._settings.answer_limits
        )
        self._others[primary] = session
        return session

    async def _endpoint_on_chain(self, primary: str, bucket: BucketInfo) -> str:
        for provider in await self._chain.storage_providers():
            if provider.operator_address == primary:
                return provider.endpoint
        raise UnknownStorageProvider(f"the primary {primary} is not on chain", bucket.bucket_name)


class _StopWatch:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()
        self.seconds: dict[Activity, float] = {}

    def lap(self, activity: Activity) -> None:
        now = self._clock()
        self.seconds[activity] = now - self._last
        self._last = now


def _check_size(size_bytes: int, params: StorageParams, name: str) -> None:
    if size_bytes > params.max_payload_size_bytes:
        raise PayloadTooLarge(
            f"{size_bytes} bytes are more than the chain takes ({params.max_payload_size_bytes})",
            name,
            "Split it into several objects.",
        )


async def _tell_sources(
    session: GatewaySession, info: ObjectInfo, query: str, on_sources: OnSources
) -> None:
    try:
        async with session.request("GET", f"/{info.name}", query) as answer:
            document = checked_sources(await answer.document(), session.endpoint)
    except NoTrace as error:  # the gateway was restarted in between
        log.warning("where the bytes came from is not known: %s", error)
    else:
        on_sources(DownloadSources.from_json(document))


async def _job_status(session: GatewaySession, name: str) -> Mapping[str, Any]:
    async with session.request("GET", f"/{name}", "job-status=") as answer:
        return checked_status(await answer.document(), session.endpoint)


def _of(info: ObjectInfo, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document if it is about this object, and not about another with its id or its name."""
    told = document["object_id"], document.get("create_at"), document.get("integrity_hash")
    meant = info.id, info.create_at, info.checksums[0].hex() if info.checksums else ""
    # Not every gateway says all of it.
    if any(said not in (None, own) for said, own in zip(told, meant, strict=True)):
        raise AnotherObject(
            f"the gateway speaks of object {told[0]} of {told[1]}, it is object {info.id} of "
            f"{info.create_at} on chain",
            info.name,
            "Look at the chain, then put it again",
        )
    return document


def _check_sealed(info: ObjectInfo) -> None:
    """Raises WrongObjectStatus."""
    if info.object_status is ObjectStatus.OBJECT_STATUS_SEALED:
        return
    gone = info.object_status is ObjectStatus.OBJECT_STATUS_DISCONTINUED
    raise WrongObjectStatus(
        f"the object is {info.object_status.name}, not sealed",
        info.name,
        "Its storage provider has discontinued it; it will be deleted."
        if gone
        else "Wait until it is sealed.",
    )


def _check_same_payload(existing: ObjectInfo, checksums: PayloadChecksums) -> None:
    if not _is_of(existing, checksums):
        raise IntegrityHashMismatch(
            "the object on chain has other checksums than the file",
            existing.name,
            _OTHER_PAYLOAD,
        )


def _may_be_cancelled(
    existing: ObjectInfo, options: PutOptions, checksums: PayloadChecksums
) -> bool:
    is_waiting = options.replace_created and not _is_sealed(existing)
    return is_waiting and not _is_of(existing, checksums)


def _is_of(existing: ObjectInfo, checksums: PayloadChecksums) -> bool:
    return existing.checksums == checksums.integrity_hashes


def _is_sealed(info: ObjectInfo) -> bool:
    return info.object_status is ObjectStatus.OBJECT_STATUS_SEALED


def _needs_payload(status: Mapping[str, Any]) -> bool:
    return status["state_number"] in UPLOADER_STATES


def _reached(status: Mapping[str, Any], wait: WaitFor) -> bool:
    if wait is WaitFor.UPLOADED:
        return not _needs_payload(status)
    return bool(status["state_number"] == JobState.SEAL_OBJECT_DONE)


def _raise_final(status: Mapping[str, Any], info: ObjectInfo) -> None:
    """A job that nobody will touch again has failed for good."""
    if not status["final"] or status["error"] is None:
        return
    error = status["error"]
    raise error_for_reason(
        error["reason"],
        f"{status['state']}: {error['message']}",
        info.name,
        "The object was given up; put it again under another name.",
    )
