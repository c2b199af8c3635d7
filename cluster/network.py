"""A network of SPs, on Ray or in this process alone, with the embedded chain or a given one."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from greenray.actors import names
from greenray.actors.gateway.server import Binding
from greenray.chain.dialects import get_dialect
from greenray.chain.keystore import KeyRing
from greenray.chain.secrets import taken_secrets
from greenray.client.network_file import GatewayAddress, NetworkFile
from greenray.client.network_health import NetworkHealth
from greenray.cluster.config.node_config import NodeConfig
from greenray.cluster.config.private_files import check_keys
from greenray.cluster.config.settings import Settings
from greenray.cluster.config.state_dir import StateDir
from greenray.cluster.config.topology import Topology
from greenray.cluster.existing_chain import check_existing_chain, check_providers
from greenray.cluster.journal import check_chain_database, leave_in_order, prepare_journal
from greenray.cluster.local_chain import keys as local_keys
from greenray.cluster.local_chain.genesis import write_local_genesis
from greenray.cluster.local_chain.process import (
    CHAIN_MODULE,
    ChainOptions,
    ChainProcess,
    ask_node,
)
from greenray.cluster.local_ports import HOST, free_ports, gateway_ports, is_free, port_in_use
from greenray.cluster.lost_ends import begin_lost_ends_again
from greenray.cluster.processes import ProcessRecord, children_started
from greenray.cluster.roles import launch_names
from greenray.cluster.roles.carrier import Carrier
from greenray.cluster.seal_accounts import low_seal_accounts, tell
from greenray.cluster.supervision.pulse import Pulse
from greenray.cluster.supervision.rules import Kind
from greenray.cluster.supervision.status_port import StatusPort
from greenray.cluster.supervision.supervisor import Supervisor
from greenray.logs.files import LogFile, logging_ours
from greenray.protocol.errors import (
    ComponentUnavailable,
    GreenrayError,
    InvalidSetting,
    NetworkFailed,
    NoSpaceLeft,
)
from greenray.seam.finder import Finder
from greenray.storage.direct_io import store_errors
from greenray.storage.piece_location import PieceLocation

T = TypeVar("T")

log = logging.getLogger(__name__)

_ALL_ADDRESSES = ("0.0.0.0", "::")
_RESTART_PAUSE_S = 0.2
_LONGEST_RESTART_PAUSE_S = 5.0
_RECORD_INTERVAL_S = 0.2
_NOTE_INTERVAL_S = 5.0
_NOTE_TIMEOUT_S = 2.0
_SEAL_ACCOUNTS_INTERVAL_S = 15.0
_FULL_BELOW_BYTES = 1024 * 1024
"""With less than this, whatever went wrong at a start did so for want of space, and what came up
would not stay up: the chain and the journal write as long as they run."""


class LocalNetwork:
    """``start`` brings everything up and claims unfinished jobs, ``stop`` takes it down."""

    def __init__(
        self,
        settings: Settings,
        carrier: Carrier | None = None,
        *,
        new_journal: bool = False,
        accept_rollback: bool = False,
    ) -> None:
        """``carrier``: None: Ray. ``new_journal``: begin one where there is none, whatever the
        network has done before. ``accept_rollback``: go on with a chain that went back to an older
        copy."""
        if carrier is None:
            from greenray.cluster.on_ray.carrier import RayCarrier  # costs a second

            carrier = RayCarrier(settings)
        self._settings = settings
        self._carrier = carrier
        self._new_journal = new_journal
        self._accept_rollback = accept_rollback
        self._went_back_to: int | None = None
        self.state = StateDir(settings.state_dir)
        self._record = ProcessRecord(self.state.root / "processes.json")
        self._undo = AsyncExitStack()
        self._chain_process: ChainProcess | None = None
        self._chain_pulse: Pulse | None = None
        self._launch: _Launch | None = None
        self._found: NetworkFile | None = None
        """What clients are told now."""
        self._serving: list[asyncio.Task[None]] = []
        """What calls actors, as long as they are those of one runtime."""
        self._lasting: list[asyncio.Task[None]] = []
        self._supervisor = Supervisor(self, settings.supervision.told)
        self._failure: asyncio.Future[GreenrayError] | None = None

    async def start(self) -> NetworkFile:
        """Raises AlreadyRunning, PortInUse, SharedMemoryTooSmall, ChainUnavailable, NoSpaceLeft,
        TooFewProviders, JournalDamaged, JournalMissing, ...; whatever was started before the
        failure is stopped again."""
        try:
            network_file = await self._start()
        except BaseException as error:
            is_full = self._is_full()
            await self.stop()
            if is_full and isinstance(error, GreenrayError):
                raise self._no_space(f"{type(error).__name__}: {error}") from error
            raise
        if self._is_full():
            await self.stop()
            raise self._no_space(f"less than {_FULL_BELOW_BYTES} bytes")
        return network_file

    def _is_full(self) -> bool:
        return self.state.free_bytes() < _FULL_BELOW_BYTES

    def _no_space(self, why: str) -> NoSpaceLeft:
        return NoSpaceLeft(
            f"no space left for the network's state ({why})",
            str(self.state.root),
            "Free some space, or choose another place with --state-dir",
        )

    async def _start(self) -> NetworkFile:
        self.state.lock()
        self._undo.callback(self.state.unlock)
        log_file = LogFile(self.state.log_dir, "network", self._settings.logs.told)
        self._undo.enter_context(logging_ours(log_file))
        with store_errors(self.state.root, "write the network's state"):
            return await self._start_here()

    async def _start_here(self) -> NetworkFile:
        """The state directory is ours."""
        left = await asyncio.to_thread(self._record.end_all)
        if left:
            log.warning("ended %d processes that a crashed network had left", left)
        pieces = self._settings.pieces.location(self.state.pieces, self._settings.durable)
        await asyncio.to_thread(pieces.probe)
        hosted = await asyncio.to_thread(self._hosted_before_the_start)
        endpoint = self._settings.chain.endpoint
        if endpoint is not None:
            await check_existing_chain(
                self._settings, endpoint, hosted, self.state, accept_rollback=self._accept_rollback
            )
        await asyncio.to_thread(self._prepare_databases, pieces, hosted)
        recording = asyncio.create_task(self._record_processes())
        try:
            return await self._start_processes(pieces)
        finally:
            recording.cancel()
            await asyncio.gather(recording, return_exceptions=True)

    def _prepare_databases(self, pieces: PieceLocation, hosted: Sequence[str]) -> None:
        """Before anybody opens them. Raises StoreError, JournalDamaged, JournalMissing."""
        prepare_journal(self.state, pieces, hosted, new=self._new_journal)
        self._undo.callback(leave_in_order, self.state)
        if self._settings.chain.endpoint is None:
            check_chain_database(self.state.chain_database)

    def _hosted_before_the_start(self) -> tuple[str, ...]:
        """Operator addresses whose keys are there already."""
        chain = self._settings.chain
        keys = self.state.keys_file if chain.endpoint is None else chain.keys
        if chain.endpoint is None and not self.state.keys_file.exists():
            return ()
        ring = KeyRing.open(keys, taken_secrets())
        if keys is not None:
            check_keys(keys)
        return ring.sp_addresses

    async def _start_processes(self, pieces: PieceLocation) -> NetworkFile:
        chain_task = asyncio.create_task(self._chain())
        carrier_task = asyncio.create_task(self._start_carrier())
        results = await asyncio.gather(chain_task, carrier_task, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        endpoint, keys = chain_task.result()
        topology = self._carrier.topology()
        if self._settings.address is not None:
            topology.check(pieces, self._settings.budget.object_store_bytes)
        ring = KeyRing.open(keys, taken_secrets())
        config = NodeConfig.of(
            self._settings,
            state_root=self.state.root,
            chain_endpoint=endpoint,
            keys=keys,
            hosted=self._hosted(ring),
            pieces=pieces,
            uploaders=len(topology.ingesting),
            nodes=len(topology.nodes),
        )
        self._carrier.create(config, topology)
        chain_id = await self._check_chain()
        bindings = await self._bindings(config)
        launch = _Launch(config, ring, chain_id, await self._open_status_port())
        bound = await self._ready(config, topology, bindings)
        self._launch = replace(launch, bindings=bound[0])
        self._record_started()
        self._found = self._announce(self._launch, self._gateways(topology, bound))
        await self._watch_seal_accounts(config)
        self._failure = asyncio.get_running_loop().create_future()
        self._begin_supervision(self._failure)
        return self._found

    async def _watch_seal_accounts(self, config: NodeConfig) -> None:
        await self._note_seal_accounts(config)
        self._keep(self._keep_watching_seal_accounts(config))

    async def _note_seal_accounts(self, config: NodeConfig) -> None:
        """Tell clients of the seal accounts as they are now."""
        found = self._found
        assert found is not None
        cost = get_dialect(config.dialect).seal_cost
        try:
            low = await low_seal_accounts(self._carrier.finder, config.hosted, cost)
        except GreenrayError as error:
            log.warning("the seal accounts could not be looked at: %s", error)
            return
        tell(found.low_seal_accounts, low)
        if low != found.low_seal_accounts:
            self._found = replace(found, low_seal_accounts=low)
            self.state.write_network(self._found)

    async def _keep_watching_seal_accounts(self, config: NodeConfig) -> None:
        while True:
            await asyncio.sleep(_SEAL_ACCOUNTS_INTERVAL_S)
            await self._note_seal_accounts(config)

    async def _open_status_port(self) -> int:
        """Where the network tells how it is; returns the port."""
        port = StatusPort(self._supervisor.health)
        await port.open()
        self._undo.push_async_callback(port.close)
        return port.number

    def _begin_supervision(self, failure: asyncio.Future[GreenrayError]) -> None:
        self._chain_pulse = self._pulse_of_chain()
        if self._chain_process is not None:
            self._lasting.append(asyncio.create_task(self._chain_process.keep()))
        supervising = asyncio.create_task(self._supervisor.run())
        supervising.add_done_callback(partial(_failed, failure))
        self._lasting.append(supervising)

    async def failed(self) -> GreenrayError:
        """Return the reason once the network that has started cannot go on, and is to be stopped:
        NetworkFailed, StateLost, ClusterLost."""
        assert self._failure is not None
        return await asyncio.shield(self._failure)

    @property
    def failure(self) -> GreenrayError | None:
        """What ``failed`` waits for, once it is there."""
        is_there = self._failure is not None and self._failure.done()
        return self._failure.result() if self._failure is not None and is_there else None

    async def health(self) -> NetworkHealth:
        """Of now: every process is asked."""
        return await self._supervisor.health()

    async def stop(self) -> None:
        """Stop what was started, last first. Unfinished jobs go on at the next start."""
        await _ended(self._lasting)
        await _ended(self._serving)
        await self._undo.aclose()

    # --- as its supervisor sees it (``Supervised``) ----------------------------------------------

    def pulses(self) -> Sequence[Pulse]:
        """See ``Supervised.pulses``."""
        try:
            self._record_started()
        except OSError as error:  # a full disk ends nothing
            log.warning("the record of processes could not be written: %s", error)
        chain = () if self._chain_pulse is None else (self._chain_pulse,)
        return (*chain, *self._carrier.pulses())

    def check_place(self) -> None:
        """See ``Supervised.check_place``."""
        self.state.check_lock()

    async def renew(self) -> None:
        """See ``Supervised.renew``."""
        launch = self._launch
        assert launch is not None
        await _ended(self._serving)
        await self._carrier.renew()
        self._record_started()
        topology = self._carrier.topology()
        self._carrier.create(launch.config, topology)
        bound = await self._unless_lost(self._ready(launch.config, topology, launch.bindings))
        self._record_started()
        low = () if self._found is None else self._found.low_seal_accounts
        found = self._announce(launch, self._gateways(topology, bound))
        self._found = replace(found, low_seal_accounts=low)
        await self._watch_seal_accounts(launch.config)

    async def _unless_lost(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` returns or raises; ComponentUnavailable when the carrier dies meanwhile,
        which not every call to one of its actors would notice."""
        task = asyncio.create_task(work)
        try:
            while not task.done():
                await asyncio.wait([task], timeout=self._settings.supervision.told.interval_s)
                if not task.done() and (lost := self._carrier.lost()) is not None:
                    raise ComponentUnavailable(lost, "Ray")
            return task.result()
        finally:
            task.cancel()

    def _pulse_of_chain(self) -> Pulse:
        process, settings = self._chain_process, self._settings
        if process is not None:
            return Pulse("chain", Kind.CHAIN, ask=process.ask, process_id=lambda: process.pid)
        assert settings.chain.endpoint is not None
        return Pulse("chain", Kind.NODE, ask=partial(ask_node, settings.chain.endpoint))

    # --- the record of processes -----------------------------------------------------------------

    async def _record_processes(self) -> None:
        """While processes are being started: a crash at any moment must not leave unknown ones."""
        while True:
            self._record_started()
            await asyncio.sleep(_RECORD_INTERVAL_S)

    def _record_started(self) -> None:
        self._record.write(children_started(self._is_ours))

    def _is_ours(self, command: Sequence[str]) -> bool:
        is_chain = CHAIN_MODULE in command and str(self.state.chain_home) in command
        return is_chain or self._carrier.started(command)

    # --- chain and carrier ---------------------------------------------------------------------

    async def _chain(self) -> tuple[str, Path | None]:
        """(endpoint, where the keys are) of the chain, started if it is ours."""
        chain = self._settings.chain
        if chain.endpoint is not None:
            return chain.endpoint, chain.keys
        if chain.port != 0 and not is_free(chain.port):
            raise port_in_use(chain.port, "chain.port")
        if not self.state.genesis_file.exists():
            self._make_genesis()
        options = ChainOptions(
            home=self.state.chain_home,
            genesis=self.state.genesis_file,
            port=chain.port,
            block_interval_s=chain.block_interval_s,
            dialect=chain.dialect,
            log_file=self.state.log_dir / "chain.log",
            logs=self._settings.logs.told,
        )
        process = await ChainProcess.start(options)
        self._chain_process = process
        self._undo.push_async_callback(process.stop)
        return process.endpoint, self.state.keys_file

    async def _check_chain(self) -> str:
        """The id of the chain, which is the one that the journal tells of. Raises AnotherChain,
        ChainRolledBack, ChainLags."""
        chain = self._carrier.finder.find(launch_names.CHAIN_IDENTITY)
        chain_id = await chain.chain_id()
        self.state.check_chain(chain_id, await chain.first_block_hash())
        if self._accept_rollback:
            self._went_back_to = await chain.accept_rollback()
        if self._went_back_to is None:
            self.state.remember_chain(await chain.known_chain())
        self._undo.push_async_callback(self._note_blocks)
        return chain_id

    async def _note_blocks(self) -> None:
        """So that a later start knows a recent block. At the end as well, when whoever asks the
        chain may be stopped."""
        if self._went_back_to is not None:
            return  # a start that fails now leaves its work to the next one, which has to see why
        chain = self._carrier.finder.find(launch_names.CHAIN_IDENTITY)
        try:
            async with asyncio.timeout(_NOTE_TIMEOUT_S):
                known = await chain.known_chain()
            await asyncio.to_thread(self.state.remember_chain, known)
        except (GreenrayError, OSError, TimeoutError) as error:
            log.warning("the chain's recent blocks could not be noted: %s", error)

    async def _keep_noting_blocks(self) -> None:
        while True:
            await asyncio.sleep(_NOTE_INTERVAL_S)
            await self._note_blocks()

    def _make_genesis(self) -> None:
        """Keys, gateway ports and genesis of a new local network, written once."""
        ports = gateway_ports(self._settings.gateway.port, self._settings.sps)
        write_local_genesis(
            self.state.keys_file,
            self.state.genesis_file,
            [f"http://{HOST}:{port}" for port in ports],
            self._settings.chain.dialect,
            self._settings.chain.genesis_params,
        )

    async def _start_carrier(self) -> None:
        await self._carrier.start(self._undo, self._recorded_end)

    @contextmanager
    def _recorded_end(self) -> Iterator[None]:
        """While the carrier ends what it has started: what it leaves is ended after it."""
        try:
            self._record_started()
        except OSError as error:  # a full disk must not keep Ray running
            log.warning("the record of processes could not be written: %s", error)
        yield
        self._record.end_all()

    # --- actors --------------------------------------------------------------------------------

    def _hosted(self, ring: KeyRing) -> tuple[str, ...]:
        """Operator addresses of the SPs whose keys we have."""
        hosted = ring.sp_addresses
        if self._settings.chain.endpoint is None and len(hosted) != self._settings.sps:
            raise InvalidSetting(
                f"this state directory holds a network of {len(hosted)} storage providers, "
                f"not {self._settings.sps}",
                str(self.state.root),
                "Start it with that number, or choose another --state-dir",
            )
        return hosted

    async def _bindings(self, config: NodeConfig) -> tuple[Binding, ...]:
        """Where each hosted SP's gateway listens: where the chain says, if that can be."""
        chain = self._carrier.finder.find(names.CHAIN)
        providers = await chain.storage_providers()
        params = await chain.storage_params()
        check_providers(providers, params, config.hosted, config.chain_endpoint)
        on_chain = {provider.operator_address: provider for provider in providers}
        gateway = self._settings.gateway
        bindings = []
        for address in config.hosted:
            port = self._port_of(on_chain[address].endpoint)
            bindings.append(Binding(address, gateway.host, port, gateway.domain))
        return tuple(bindings)

    def _port_of(self, endpoint: str) -> int:
        """The port announced on chain; if that is taken, any free one where one may choose: on
        someone else's chain, and when the settings leave the port open."""
        port = urlsplit(endpoint).port or 0
        must_be_this = self._settings.chain.endpoint is None and self._settings.gateway.port != 0
        if must_be_this or (port and is_free(port)):
            return port
        return free_ports(1)[0]

    async def _ready(
        self, config: NodeConfig, topology: Topology, bindings: tuple[Binding, ...]
    ) -> list[tuple[Binding, ...]]:
        """Constructors are through and gateways listen; then unfinished jobs are claimed. Returns
        where they listen, by the index of their Uploader."""
        await self._carrier.built()
        find = self._carrier.finder.find
        # We hold the state directory's lock, so whoever owned a job is gone.
        await find(names.JOB_STORE).release_all()
        if self._went_back_to is not None:
            log.warning("the chain went back to block %d; later ones are lost", self._went_back_to)
            deadline_s = config.uploader.deadline_s
            await begin_lost_ends_again(self._carrier.finder, self._went_back_to, deadline_s)
            self.state.remember_chain(await find(launch_names.CHAIN_IDENTITY).known_chain())
            self._went_back_to = None
        elsewhere = tuple(replace(binding, any_port=True) for binding in bindings)
        gateways = [find(launch_names.gateways(index)) for index in range(config.uploaders)]
        bound = [
            await each.listen(bindings if node is topology.home else elsewhere)
            for each, node in zip(gateways, topology.ingesting, strict=True)
        ]
        self._supervise(names.TASK_WAKER.actor, find(launch_names.JOB_RUNNER).run)
        for index in range(config.receivers):
            scrubber = find(launch_names.scrub_runner(index))
            self._supervise(names.scrubber(index).actor, scrubber.run)
        self._supervise(names.COLLECTOR.actor, find(launch_names.COLLECTOR_RUNNER).run)
        self._keep(self._sweep(config))
        self._keep(self._keep_noting_blocks())
        for index, (each, listening) in enumerate(zip(gateways, bound, strict=True)):
            self._supervise(names.uploader(index).actor, partial(each.run, listening))
        return bound

    def _gateways(
        self, topology: Topology, bound: list[tuple[Binding, ...]]
    ) -> tuple[GatewayAddress, ...]:
        """What clients are told."""
        gateways = []
        for index, (node, bindings) in enumerate(zip(topology.ingesting, bound, strict=True)):
            for binding in bindings:
                host = node.address if binding.host in _ALL_ADDRESSES else binding.host
                endpoint = f"http://{host}:{binding.port}"
                uploader = names.uploader(index).actor
                address = GatewayAddress(binding.sp_address, endpoint, uploader, node.node_id)
                gateways.append(address)
        return tuple(gateways)

    @property
    def finder(self) -> Finder:
        """Of its actors, once it has started."""
        return self._carrier.finder

    async def process_id(self, actor: str) -> int:
        """Of the process that hosts the actor, once all that it hosts is built; raises why not."""
        return await self._carrier.process_id(actor)

    async def _sweep(self, config: NodeConfig) -> None:
        """Now and then, have the Receivers remove groups that no primary will come back for."""
        lifetime_s = self._settings.replication.unfinished_group_lifetime_s
        receivers = [launch_names.sweeper(index) for index in range(config.receivers)]
        while True:
            for receiver in receivers:
                try:
                    await self._carrier.finder.find(receiver).sweep(lifetime_s)
                except GreenrayError as error:
                    log.warning("%s could not sweep: %s", receiver.actor, error)
            await asyncio.sleep(lifetime_s / 4)

    def _supervise(self, actor: str, run: Callable[[], Awaitable[None]]) -> None:
        self._keep(self._run_across_restarts(actor, run))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        """As long as the actors are those of this runtime."""
        self._serving.append(asyncio.create_task(work))

    async def _run_across_restarts(self, actor: str, run: Callable[[], Awaitable[None]]) -> None:
        """Keep an actor's ``run`` running across restarts of its process, whose jobs the next one
        need not wait for."""
        jobs = self._carrier.finder.find(names.JOB_STORE)
        process = ""
        pause_s = _RESTART_PAUSE_S
        while True:
            try:
                if process:
                    await jobs.release_process(process)
                process = await self._carrier.process_name(actor)
                pause_s = _RESTART_PAUSE_S
                await run()
                return
            except GreenrayError as error:
                log.warning("%s does not run, and is called again: %s", actor, error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_RESTART_PAUSE_S)

    def _announce(self, launch: _Launch, gateways: tuple[GatewayAddress, ...]) -> NetworkFile:
        config = launch.config
        network = NetworkFile(
            pid=os.getpid(),
            chain_endpoint=config.chain_endpoint,
            chain_id=launch.chain_id,
            dialect=config.dialect,
            gateways=gateways,
            keys=str(config.keys.absolute()) if config.keys else "",
            user_key_name=_default_user(launch.ring),
            started_at=launch.started_at,
            scrubbers=config.receivers,
            pieces=config.pieces,
            ray_address=self._carrier.ray_address,
            ray_namespace=self._carrier.ray_namespace,
            status_port=launch.status_port,
            logs=str(self.state.log_dir),
            ray_logs=self._carrier.ray_logs,
        )
        self.state.write_network(network)
        self._undo.callback(self.state.remove_network)
        return network


@dataclass(frozen=True, slots=True)
class _Launch:
    """What stays when all actors are started anew."""

    config: NodeConfig
    ring: KeyRing
    chain_id: str
    status_port: int
    bindings: tuple[Binding, ...] = ()
    """Where the gateways of the first node listen."""
    started_at: float = field(default_factory=time.time)


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel them, and forget them once they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    tasks.clear()


def _failed(failure: asyncio.Future[GreenrayError], supervising: asyncio.Task[None]) -> None:
    if supervising.cancelled() or failure.done():
        return
    error = supervising.exception()
    if not isinstance(error, GreenrayError):
        log.error("the supervision broke down", exc_info=error)
        error = NetworkFailed(f"its supervision broke down ({error!r})", "supervision")
    log.error("the network ends: %s", error)
    failure.set_result(error)


def _default_user(ring: KeyRing) -> str:
    """Whose key clients use when they are not told."""
    if local_keys.USER_KEY_NAME in ring.users:
        return local_keys.USER_KEY_NAME
    return next(iter(ring.users), "")
