"""The Python API: plain calls, in scripts and notebooks, on a network of storage providers.

Nothing of Ray or asyncio is seen: an event loop thread of its own does the work. A network that
this process started ends with it, whether it is closed, left to the interpreter's end, or killed.
"""

from __future__ import annotations

import atexit
import io
import tempfile
import time
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, ExitStack, aclosing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload
from weakref import WeakSet

from greenray.actors.ports import CollectionReport
from greenray.api.bundles import BundleResult, OpenBundle
from greenray.api.closing import Closing
from greenray.api.inspection import Inspector, PieceTable, RebuiltSegment, SealTransaction
from greenray.api.loop_thread import LoopThread
from greenray.api.many_puts import ManyPuts
from greenray.api.notebook_logging import hide_widget_hints
from greenray.api.results import JobStatus, JobTable, SpaceTable, StoredObject
from greenray.capacity.measurement import measure_stages
from greenray.chain.dialects import Dialect, get_dialect
from greenray.client.bundle_files import BundleSource
from greenray.client.bundle_put import BundleOptions, put_bundle
from greenray.client.bundle_reading import Bundle, open_bundle, verified_bundle
from greenray.client.creation import PutOptions
from greenray.client.deletion import Deletion
from greenray.client.download_sources import OnSources
from greenray.client.network_file import NetworkFile, read_network
from greenray.client.network_health import NetworkHealth, answered, ask_health
from greenray.client.payload_io import PayloadFile, download_target
from greenray.client.put_entries import PutEntry
from greenray.client.put_manifest import opened_manifest
from greenray.client.put_many import ManySettings, PutMany
from greenray.client.put_outcome import PutOutcome
from greenray.client.setbacks import OnSetback
from greenray.client.storage_client import StorageClient, WaitFor
from greenray.client.user import open_client, split_name
from greenray.cluster.attaching import in_use
from greenray.cluster.config.state_dir import StateDir
from greenray.cluster.jobs import (
    OperatorSource,
    attached_operator,
    find_job,
    find_jobs,
    operator_of,
)
from greenray.cluster.scrub import (
    NetworkScrub,
    ScrubReport,
    ScrubSource,
    attached_scrub,
    scrub_order,
)
from greenray.cluster.space import (
    CollectorSource,
    attached_collector,
    collector_of,
    measure_space,
)
from greenray.display.html_table import html_table
from greenray.protocol.bundle_plan import BundleLimits
from greenray.protocol.errors import GreenrayError, InvalidInput, NotRunning
from greenray.protocol.job import JobState
from greenray.protocol.job_outlook import JobFilter
from greenray.protocol.objects import RedundancyType
from greenray.timeline.object_timeline import ObjectTimeline

if TYPE_CHECKING:
    from greenray.capacity.tables import StageTable
    from greenray.cluster.config.settings import Settings
    from greenray.cluster.network import LocalNetwork

T = TypeVar("T")

Payload = bytes | bytearray | memoryview | str | Path | PayloadFile | Sequence[Any]
"""The payload itself, the path of a file, a seekable binary file, or references
(``ray.ObjectRef``) to blocks that make the payload together."""

_WATCH_INTERVAL_S = 0.05


@dataclass(frozen=True, slots=True)
class Orders:
    """Whom who runs the network gives orders to; each is asked for in the loop."""

    operator: OperatorSource
    scrubs: ScrubSource
    collector: CollectorSource


def local_network(
    sps: int = 7,
    *,
    state_dir: str | Path | None = None,
    ray: bool = True,
    new_journal: bool = False,
    accept_rollback: bool = False,
    **settings: Any,
) -> Network:
    """Start a chain and ``sps`` storage providers; they run until the network is closed.

    Args:
        state_dir: where everything is kept and found again; None: a temporary directory, which is
            removed in the end.
        ray: False: all storage providers in threads of this process, the same classes built alike,
            without Ray: up in a second beside the chain, and a debugger stops in each of them. For
            small payloads: nothing runs on several cores but hashing, encoding and writing.
        new_journal: begin a journal in a ``state_dir`` whose own was lost: all objects that were
            stored before are unknown then.
        accept_rollback: go on although the chain of ``state_dir`` was put back to an older copy, or
            lags behind what was seen of it: what it had in later blocks is lost.
        settings: as in greenray.yaml (docs/settings.md), for example
            ``chain={"genesis_params": {"max_segment_size": 65536}}, codec="zfec"``. Ports that are
            not given are any free ones.

    Raises: InvalidSetting, TooFewProviders, AlreadyRunning, SharedMemoryTooSmall, PortInUse,
        JournalDamaged, JournalMissing, AnotherChain, ChainRolledBack, ChainLags, ...
    """
    from greenray.cluster.config.settings_loading import load_settings

    hide_widget_hints()
    with ExitStack() as undo:
        if state_dir is None:
            state_dir = undo.enter_context(tempfile.TemporaryDirectory(prefix="greenray-"))
        given = load_settings(
            sps=sps,
            state_dir=Path(state_dir),
            **{
                **settings,
                "chain": {"port": 0, **settings.get("chain", {})},
                "gateway": {"port": 0, **settings.get("gateway", {})},
            },
        )
        loop = LoopThread("greenray")
        undo.callback(loop.stop)
        start = _start(
            given, undo, loop, ray, new_journal=new_journal, accept_rollback=accept_rollback
        )
        found, network = loop.run(start)
        # Its actors may be started anew, and have another finder then.
        orders = Orders(
            lambda: operator_of(network.finder),
            lambda: NetworkScrub(network.finder, found.scrubbers),
            lambda: collector_of(network.finder),
        )
        return Network(
            found, given.state_dir, loop, undo.pop_all(), orders, lambda: network.failure
        )


async def _start(
    settings: Settings,
    undo: ExitStack,
    loop: LoopThread,
    ray: bool,
    *,
    new_journal: bool,
    accept_rollback: bool,
) -> tuple[NetworkFile, LocalNetwork]:
    from greenray.cluster.in_process import InProcessCarrier
    from greenray.cluster.network import LocalNetwork

    carrier = None if ray else InProcessCarrier(settings)
    network = LocalNetwork(
        settings, carrier, new_journal=new_journal, accept_rollback=accept_rollback
    )
    found = await network.start()
    undo.callback(lambda: loop.run(network.stop()))
    return found, network


def connect(state_dir: str | Path = "~/.greenray") -> Network:
    """The network that ``greenray up`` runs on ``state_dir``; closing leaves it running.

    Raises NotRunning.
    """
    path = Path(state_dir).expanduser()
    found = read_network(path)
    with ExitStack() as undo:
        undo.enter_context(in_use())
        loop = LoopThread("greenray")
        undo.callback(loop.stop)
        orders = Orders(
            lambda: attached_operator(read_network(path)),
            lambda: attached_scrub(read_network(path)),
            lambda: attached_collector(read_network(path)),
        )
        return Network(found, path, loop, undo.pop_all(), orders)


class Network(Closing):
    """A running network and its user. Use it in a ``with`` block, or ``close`` it."""

    def __init__(
        self,
        found: NetworkFile,
        state_dir: Path,
        loop: LoopThread,
        undo: ExitStack,
        orders: Orders,
        failure: Callable[[], GreenrayError | None] = lambda: None,
    ) -> None:
        """``undo`` is closed with this network, after its own connections. ``failure``: why the
        network has ended by itself."""
        self._found = found
        self._orders = orders
        self._failure = failure
        self._journal = StateDir(state_dir).job_store_file
        self.chain_endpoint = found.chain_endpoint
        self.chain_id = found.chain_id
        self.gateways: Mapping[str, str] = found.endpoints()
        """Endpoints by operator address."""
        self.state_dir = state_dir
        self._dialect: Dialect = get_dialect(found.dialect)
        self._loop = loop
        self._closed = False
        self._acts: WeakSet[ManyPuts] = WeakSet()
        with undo:
            connections = AsyncExitStack()
            undo.callback(lambda: loop.run(connections.aclose()))
            self._client: StorageClient = loop.run(_opened(connections, found))
            self._inspector: Inspector = loop.run(
                Inspector.open(connections, found, StateDir(state_dir))
            )
            self._undo = undo.pop_all()
        # Ray registers its own end when it is imported; what is registered later runs earlier.
        atexit.register(self.close)

    def close(self) -> None:
        """Stop what this process started. Idempotent."""
        if not self._closed:
            self._closed = True
            for puts in list(self._acts):
                puts.close()
            atexit.unregister(self.close)
            self._undo.close()

    # --- objects ---------------------------------------------------------------------------------

    def put(
        self,
        source: Payload,
        name: str,
        *,
        wait: str = "sealed",
        replica: bool = False,
        on_setback: OnSetback | None = None,
    ) -> StoredObject:
        """Store a payload as ``bucket/object``; both are created if they do not exist.

        Args:
            source: references (``ray.ObjectRef``) to blocks of bytes stay in the cluster: the
                Uploader takes them from the object store, nothing goes over HTTP. The others are
                sent over HTTP.
            wait: until the object is "sealed", or only "uploaded".
            replica: whole copies instead of erasure coding.
            on_setback: called, in another thread, when a secondary was replaced or a step failed
                and is tried again; ``print`` will do.

        Raises: what ``StorageClient.put`` raises.
        """
        wait_for = WaitFor.parse(wait)
        options = PutOptions(redundancy_type=RedundancyType.of(replica=replica))
        bucket_name, object_name = split_name(name)
        payload = _payload(source, self.state_dir)
        result = self._run(
            lambda: self._client.put(
                payload,
                bucket_name,
                object_name,
                wait=wait_for,
                on_setback=on_setback,
                options=options,
            )
        )
        stages = {stage.value: seconds for stage, seconds in result.seconds.items()}
        return StoredObject(JobStatus.from_json(result.status), stages, result.setbacks)

    def put_many(
        self,
        entries: Iterable[tuple[Payload, str]],
        *,
        wait: str = "sealed",
        replica: bool = False,
        manifest: str | Path | None = None,
        in_the_air: int = 256,
    ) -> ManyPuts:
        """Store many payloads as one act. Iterate the result, with ``for`` or ``async for``: there
        is one ``PutOutcome`` of each entry, as they end. One that fails does not stop the others.

        Args:
            entries: (payload, ``bucket/object``) pairs, taken one by one in another thread.
            wait, replica: as in ``put``.
            manifest: a file that keeps what is sealed. Run again with it, files that have not
                changed are not read again; without one, what is sealed is found on chain.
            in_the_air: how many are hashed, created, uploaded or waited for at a time.

        Raises, while it is iterated: StoreError (the manifest cannot be written), InvalidInput (it
            is no manifest, or another chain's), what ``entries`` raises.
        """
        wait_for = WaitFor.parse(wait)
        if in_the_air < 1:
            raise InvalidInput(f"{in_the_air} is not positive", "in_the_air")
        options = PutOptions(redundancy_type=RedundancyType.of(replica=replica))

        async def outcomes() -> AsyncGenerator[PutOutcome]:
            async with opened_manifest(Path(manifest) if manifest else None, self._client) as found:
                many = PutMany(
                    self._client,
                    options=options,
                    wait=wait_for,
                    manifest=found,
                    settings=ManySettings(in_the_air=in_the_air),
                )
                async with aclosing(
                    many.outcomes(
                        PutEntry(_payload(source, self.state_dir), name) for source, name in entries
                    )
                ) as ended:
                    async for outcome in ended:
                        yield outcome

        puts = ManyPuts(self._loop, outcomes())
        self._acts.add(puts)
        return puts

    @overload
    def get(self, name: str, *, on_sources: OnSources | None = None) -> bytes: ...

    @overload
    def get(
        self, name: str, target: str | Path, *, on_sources: OnSources | None = None
    ) -> Path: ...

    def get(
        self, name: str, target: str | Path | None = None, *, on_sources: OnSources | None = None
    ) -> bytes | Path:
        """The payload of ``bucket/object``, verified against the chain's checksums; as a file at
        ``target``, or in the directory ``target``, if that is given.

        ``on_sources`` is told, in another thread, where the bytes came from: the primary, or pieces
        of secondaries; ``print`` will do.

        Raises: InvalidName, what ``StorageClient.get`` raises."""
        if target is not None:
            path = download_target(Path(target), split_name(name)[1])
            self._get(name, path, on_sources)
            return path
        with tempfile.TemporaryDirectory(prefix="greenray-get-") as directory:
            path = Path(directory) / "payload"
            self._get(name, path, on_sources)
            return path.read_bytes()

    def _get(self, name: str, target: Path, on_sources: OnSources | None) -> None:
        bucket_name, object_name = split_name(name)
        self._run(lambda: self._client.get(bucket_name, object_name, target, on_sources=on_sources))

    @overload
    def status(self) -> NetworkHealth: ...

    @overload
    def status(self, name: str) -> JobStatus: ...

    def status(self, name: str | None = None) -> NetworkHealth | JobStatus:
        """The job behind ``bucket/object``; without a name, how the network is, asked of its
        processes: running, degraded (what), or not answering.

        Raises NoSuchObject, ComponentUnavailable (naming what does not answer within 5 s), ...
        """
        if name is None:
            return self._run(lambda: ask_health(self._found))
        bucket_name, object_name = split_name(name)
        question = partial(self._client.status, bucket_name, object_name)
        return JobStatus.from_json(self._run(lambda: answered(question(), self._found, name)))

    def watch(self, name: str) -> Iterator[JobStatus]:
        """The status now, and again after every change of state, until it is final."""
        shown = None
        while True:
            status = self.status(name)
            if status.state is not shown or status.final:
                shown = status.state
                yield status
            if status.final:
                return
            time.sleep(_WATCH_INTERVAL_S)

    def timeline(self, name: str) -> ObjectTimeline:
        """When each batch of ``bucket/object`` was received, hashed, written, encoded, sent, stored
        and signed, and where cores were idle.

        Raises NoTrace when no process remembers, NoSuchObject, ComponentUnavailable, ...
        """
        document = self._run(lambda: self._client.timeline(*split_name(name)))
        return ObjectTimeline.from_json(document)

    def delete(self, name: str) -> Deletion:
        """Delete ``bucket/object`` on chain; one that is not sealed yet is cancelled. What
        providers have stored of it is removed after ``collector.delay_s``.

        Raises NoSuchObject, AccessDenied, TransactionRefused, ChainUnavailable, ...
        """
        return self._run(lambda: self._client.delete(*split_name(name)))

    def delete_bucket(self, name: str) -> Deletion:
        """Delete an empty bucket on chain. Raises InvalidInput (it is not empty), NoSuchBucket, and
        what ``delete`` raises."""
        return self._run(lambda: self._client.delete_bucket(name))

    # --- bundles ---------------------------------------------------------------------------------

    def put_bundle(
        self,
        source: BundleSource,
        name: str,
        *,
        wait: str = "sealed",
        skip_unreadable: bool = False,
        limits: BundleLimits | None = None,
        spool_dir: str | Path | None = None,
    ) -> BundleResult:
        """Store many small files as one object, ``bucket/object``, or as few when they are large.

        Args:
            source: a directory; paths of files and directories; or contents (bytes, or a ``Path``)
                by entry name.
            wait: until all is "sealed", or only "uploaded".
            skip_unreadable: leave out what cannot be read, instead of storing nothing.
            limits: of one object, instead of 10 000 entries and 256 MiB.
            spool_dir: where the bundle is written before it is sent; None: with temporary files.

        Raises: UnreadableEntries (some files cannot be read, or changed meanwhile), DuplicateEntry,
            EmptyPayload, what ``put`` raises.
        """
        wait_for = WaitFor.parse(wait)
        bucket_name, object_name = split_name(name)
        options = BundleOptions(
            limits or BundleLimits(), Path(spool_dir) if spool_dir else None, skip_unreadable
        )
        stored = self._run(
            lambda: put_bundle(
                self._client, source, bucket_name, object_name, wait=wait_for, options=options
            )
        )
        return BundleResult.of(stored)

    def open_bundle(self, name: str, *, verify: bool = False) -> OpenBundle:
        """The entries of ``bucket/object``, to be read by name: ``bundle["a.jpg"]``.

        What is asked for is read, and whole entries are compared with the bundle's own index.
        ``verify``: read all of it now and compare it with the chain's checksums; use it in a
        ``with`` block then, which removes the copy.

        Raises: NotABundle, BundleDamaged, BundleIncomplete, NoSuchObject, ...
        """
        bucket_name, object_name = split_name(name)
        undo = AsyncExitStack()

        async def opened() -> Bundle:
            if not verify:
                return await open_bundle(self._client, bucket_name, object_name)
            return await undo.enter_async_context(
                verified_bundle(self._client, bucket_name, object_name)
            )

        return OpenBundle(self._run(opened), self._run, undo)

    # --- space, for who runs the network ---------------------------------------------------------

    def du(self, bucket: str | None = None) -> SpaceTable:
        """Bytes stored by all hosted providers, by bucket and by provider, and what of it waits to
        be collected. The state directory, or the S3 bucket, must be within reach.

        Raises NoSuchBucket, JournalError, StoreError.
        """
        return SpaceTable(measure_space(self._journal, self._found.pieces, bucket))

    def collect(self, *, dry_run: bool = False) -> CollectionReport:
        """Remove now what the chain has no more and what has waited for ``collector.delay_s``; with
        ``dry_run`` only say what that would be.

        Raises ChainNotComparable, ChainUnavailable, StoreError, ComponentUnavailable.
        """
        return self._run(lambda: self._orders.collector().collect(dry_run=dry_run))

    # --- jobs, for who runs the network ----------------------------------------------------------

    def jobs(
        self,
        *,
        state: JobState | None = None,
        bucket: str | None = None,
        sp: str | None = None,
        stuck: bool = False,
        finished: bool = False,
    ) -> JobTable:
        """Jobs that fit all of these, oldest first; without ``finished``, those that are neither
        sealed nor given up. The state directory must be on this machine.

        Raises JournalMissing, JournalError.
        """
        wanted = JobFilter(state, bucket, sp, stuck, finished)
        return JobTable(find_jobs(self._journal, wanted))

    def retry_job(self, name: str | int) -> None:
        """Go on with a job now, however long its next retry is off. ``name``: its number, or the
        ``bucket/object`` that it is of.

        Raises NoSuchJob, IllegalTransition (it has ended), StaleJob (somebody is working on it),
        InvalidInput (its payload is not stored), ComponentUnavailable.
        """
        job = find_job(self._journal, str(name))
        self._run(lambda: self._orders.operator().retry_now(job.sp_address, job.job_id))

    def give_up_job(self, name: str | int) -> None:
        """Never try a job again, and reject its object on chain, if the chain lets it.

        Raises NoSuchJob, IllegalTransition (it has ended, or is in no error state), StaleJob,
        ChainUnavailable (it is given up, and not rejected), ComponentUnavailable.
        """
        job = find_job(self._journal, str(name))
        self._run(lambda: self._orders.operator().give_up(job.sp_address, job.job_id))

    # --- columns, for who runs the network -------------------------------------------------------

    def scrub(
        self,
        name: str | None = None,
        *,
        repair: bool = False,
        since: datetime | None = None,
        bandwidth_bytes_s: int = 0,
    ) -> ScrubReport:
        """Read all columns of the hosted SPs, compare them with their records and the chain, and
        return what is the matter with them; with ``repair``, mend what can be mended.

        Args:
            name: only of this ``bucket`` or ``bucket/object``.
            since: only of objects that were created then or later.
            bandwidth_bytes_s: at most so many bytes per second and node; 0: as fast as it goes,
                behind uploads.

        Raises: NoSuchBucket, NoSuchObject, WrongObjectStatus (the object is not sealed),
            InvalidInput, ComponentUnavailable, ...
        """
        order = scrub_order(name, repair, since, bandwidth_bytes_s)
        return self._run(lambda: self._orders.scrubs().run(order))

    def scrub_findings(self) -> ScrubReport:
        """What scrubs have found until now, the background's too, and no later one has seen
        otherwise; nothing is read again. Raises ComponentUnavailable, JournalError."""
        return self._run(lambda: self._orders.scrubs().known())

    # --- what lies beneath -----------------------------------------------------------------------

    def pieces(self, name: str) -> PieceTable:
        """Every column of the object on this machine's disk, hashed and compared with the chain;
        what is missing, or with SPs elsewhere, is shown as missing.

        Raises NoSuchObject, NoSuchPiece (it is not sealed).
        """
        return self._run(lambda: self._inspector.pieces(*split_name(name)))

    def rebuild_segment(self, name: str, segment: int, lost: tuple[int, ...]) -> RebuiltSegment:
        """Decode a segment from its EC pieces, without those of the redundancy indices ``lost``.

        Raises TooFewShards when more than m are lost or missing, NoSuchObject, NoSuchPiece (it is
        not sealed), InvalidInput.
        """
        return self._run(
            lambda: self._inspector.rebuild_segment(*split_name(name), segment, tuple(lost))
        )

    def seal_transaction(self, name: str) -> SealTransaction:
        """The transaction that sealed the object, decoded from the chain's bytes, its signatures
        recovered. Raises NoSuchObject, NoSuchJob (it is not sealed by this network)."""
        status = self.status(name)
        return self._run(lambda: self._inspector.seal_transaction(status.name, status.seal_tx_hash))

    def stage_costs(
        self,
        *,
        large_bytes: int = 256 << 20,
        small_bytes: int = 10_000,
        small_objects: int = 12,
    ) -> StageTable:
        """CPU time by stage, per GB and per object, from putting three large objects and some small
        ones; a local network is best left alone meanwhile.

        Raises: what ``put`` raises; InvalidInput: the objects are of one size, or the network has
            no Ray.
        """
        if not self._found.ray_address:
            raise InvalidInput(
                "without Ray all stages share one process, so their costs cannot be told apart",
                "stage_costs",
                "Start the network on Ray: local_network() without ray=False",
            )
        return measure_stages(
            self._found.pid,
            self.put,
            large_bytes=large_bytes,
            small_bytes=small_bytes,
            small_objects=small_objects,
        )

    def _run(self, call: Callable[[], Awaitable[T]]) -> T:
        if self._closed:
            raise NotRunning(
                "this network is closed", str(self.state_dir), "Start or connect to one"
            )
        if (failure := self._failure()) is not None:
            raise failure

        async def work() -> T:
            return await call()

        return self._loop.run(work())

    def _repr_html_(self) -> str:
        return html_table(
            f"chain {self.chain_id} at {self.chain_endpoint}",
            ("storage provider", "gateway"),
            self.gateways.items(),
        )


async def _opened(connections: AsyncExitStack, found: NetworkFile) -> StorageClient:
    return await connections.enter_async_context(open_client(found))


def _payload(source: Payload, state_dir: Path) -> Path | PayloadFile:
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source)
    if isinstance(source, Sequence) and not isinstance(source, str):
        from greenray.cluster.on_ray.payload import ReferencedBlocks

        return ReferencedBlocks(source, read_network(state_dir))
    return Path(source) if isinstance(source, str) else source
