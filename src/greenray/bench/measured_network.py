"""A running network and its client, in processes of their own, and what the servers cost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

from greenray.bench.accounting import PeakMemory, ProcessTrees
from greenray.bench.child import Child
from greenray.bench.client_process import (
    AskParams,
    AskTimeline,
    GetFromFloor,
    GetObject,
    PutAct,
    PutObjects,
    PutTimes,
    PutToFloor,
    UploadAnswered,
    UploadBegins,
    client_service,
    user_service,
)
from greenray.bench.network_process import (
    BeginScrub,
    BreakObject,
    EndScrub,
    NetworkQuestion,
    RemoveColumns,
    RepairAwaited,
    ScrubObject,
    network_service,
)
from greenray.bench.uploads import BUCKET, PATH_OF_NO_OBJECT, ObjectTimes
from greenray.chain.crypto import address_of
from greenray.client.coins import sent_coins
from greenray.client.network_file import NetworkFile
from greenray.client.user import open_chain, user_key
from greenray.cluster.config.settings import Settings
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.objects import StorageParams
from greenray.storage.ports import PieceStore

_COINS = 10**20
"""Of another user, in wei: enough for a million objects."""
_WARM_UP_SAMPLING_S = 0.2
_SAMPLING_S = 1.0
"""While something is timed: about 4 % of one core."""


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Seconds since the first payload byte was sent."""

    servers_s: float
    client_s: float


@dataclass(frozen=True, slots=True)
class PutCost:
    """Objects put together: their times, and what was spent from the first byte to the last seal.

    ``answered_cpu_s``: of the servers, until the last upload was answered.
    """

    times: PutTimes
    cpu: CpuTimes
    answered_cpu_s: float
    peak_memory_bytes: int
    first_object_peak_bytes: int
    """Until it was answered."""
    last_object_peak_bytes: int
    """From its first byte to its seal."""
    spilled_bytes: int
    """By the object store, to disk."""

    @property
    def uploading_at(self) -> float:
        return min(times.uploading_at for times in self.times.objects)

    @property
    def last(self) -> ObjectTimes:
        """When the last object got as far, stage by stage."""
        stages = [astuple(times) for times in self.times.objects]
        return ObjectTimes(*map(max, zip(*stages, strict=True)))

    @property
    def upload_to_sealed_s(self) -> float:
        return self.last.sealed_at - self.uploading_at

    @property
    def put_answered_s(self) -> float:
        return self.last.answered_at - self.uploading_at


@dataclass(frozen=True, slots=True)
class ActCost:
    """Of many objects that were created, uploaded and sealed together."""

    seconds: float
    cpu: CpuTimes


@dataclass(frozen=True, slots=True)
class OtherClient:
    """A client process, and where it puts its objects."""

    child: Child
    bucket_name: str


class MeasuredNetwork:
    """Only the tree of the network's process counts as what the servers cost."""

    def __init__(self, network: Child, client: Child, found: NetworkFile, folder: Path) -> None:
        """``folder``: for logs of more clients."""
        self._network = network
        self._client = client
        self._trees = ProcessTrees([network.pid])
        self._client_trees = ProcessTrees([client.pid])
        self._numbers = count(1)
        self._found = found
        self._folder = folder
        self.pid = network.pid
        self.params: StorageParams = client.ask(AskParams())

    def new_names(self, names: int) -> tuple[str, ...]:
        """Of objects that are not there yet."""
        return tuple(f"object-{next(self._numbers)}" for _ in range(names))

    def put(
        self,
        source: Path,
        object_names: Sequence[str],
        *,
        at_once: int,
        warm_up: bool,
        laid_out: bool = False,
    ) -> PutCost:
        """The same payload as all these objects; ``laid_out``: it is in the object store before. A
        warm-up samples memory more densely.

        Raises what a put raises.
        """
        told: dict[type, CpuTimes] = {}

        def on_told(message: UploadBegins | UploadAnswered) -> None:
            told[type(message)] = self._cpu()

        spilled_before_bytes = self.spilled_bytes()
        with PeakMemory(self._trees, _WARM_UP_SAMPLING_S if warm_up else _SAMPLING_S) as memory:
            message = PutObjects(source, tuple(object_names), at_once, laid_out)
            times: PutTimes = self._client.ask(message, on_told)
            sealed = self._cpu()
        first, last = times.objects[0], times.objects[-1]
        began, answered = told[UploadBegins], told[UploadAnswered]
        cpu = CpuTimes(sealed.servers_s - began.servers_s, sealed.client_s - began.client_s)
        return PutCost(
            times,
            cpu,
            answered.servers_s - began.servers_s,
            memory.bytes,
            memory.bytes_between(first.uploading_at, first.answered_at),
            memory.bytes_between(last.uploading_at, last.sealed_at),
            self.spilled_bytes() - spilled_before_bytes,
        )

    def put_acts(self, source: Path, objects: int, others: Sequence[OtherClient] = ()) -> ActCost:
        """The same payload as ``objects`` new ones, as one act with their creation; with ``others``
        each client puts its part, all at the same time. Raises what a put raises."""
        buckets = [(self._client, BUCKET), *((one.child, one.bucket_name) for one in others)]
        parts = [objects // len(buckets)] * len(buckets)
        parts[0] += objects % len(buckets)
        acts = [
            partial(child.ask, PutAct(source, self.new_names(part), bucket_name))
            for (child, bucket_name), part in zip(buckets, parts, strict=True)
        ]
        clients = ProcessTrees([child.pid for child, _ in buckets])
        servers_before_s, clients_before_s = self._trees.cpu_s(), clients.cpu_s()
        began_at = perf_counter()
        with ThreadPoolExecutor(len(acts)) as pool:
            for done in [pool.submit(act) for act in acts]:
                done.result()
        seconds = perf_counter() - began_at
        servers_s = self._trees.cpu_s() - servers_before_s
        return ActCost(seconds, CpuTimes(servers_s, clients.cpu_s() - clients_before_s))

    @contextmanager
    def another_client(self, *, of_another_user: bool) -> Iterator[OtherClient]:
        """A client process beside the first, of the same user or of one with coins of its own."""
        name = f"client-{next(self._numbers)}"
        key = os.urandom(32) if of_another_user else None
        if key is not None:
            asyncio.run(_given_coins(self._found, address_of(key)))
        bucket_name = f"{BUCKET}-{name}" if of_another_user else BUCKET
        log_file = self._folder / f"{name}.log"
        with Child(name, user_service, self._found, key, log_file=log_file) as child:
            yield OtherClient(child, bucket_name)

    def get(self, object_name: str, size_bytes: int) -> tuple[float, str, float]:
        """(seconds, SHA-256 as hex, CPU seconds of the servers) of a download."""
        before_s = self._trees.cpu_s()
        seconds, digest = self._client.ask(GetObject(object_name, size_bytes))
        return seconds, digest, self._trees.cpu_s() - before_s

    def timeline(self, object_name: str) -> Mapping[str, Any]:
        """Of an object that was put, as JSON. Raises NoTrace."""
        document: Mapping[str, Any] = self._client.ask(AskTimeline(object_name))
        return document

    def put_to_floor(self, endpoint: str, source: Path, size_bytes: int) -> float:
        """Seconds, of the same client."""
        seconds: float = self._client.ask(PutToFloor(endpoint, source, size_bytes))
        return seconds

    def get_from_floor(
        self, endpoint: str, size_bytes: int, path: str = PATH_OF_NO_OBJECT
    ) -> tuple[float, str]:
        """(seconds, SHA-256 as hex), of the same client."""
        answer: tuple[float, str] = self._client.ask(GetFromFloor(endpoint, size_bytes, path))
        return answer

    def _cpu(self) -> CpuTimes:
        return CpuTimes(self._trees.cpu_s(), self._client_trees.cpu_s())

    def remove_columns(self, object_ids: Sequence[int]) -> None:
        """Of sealed objects that nobody will read."""
        columns = range(SEGMENTS, self.params.n)
        self._network.ask(RemoveColumns(tuple(object_ids), columns))

    def break_object(self, damage: BreakObject) -> None:
        """Take parts of an object from the stores; see ``BreakObject``."""
        self._network.ask(damage)

    def await_repair(self, damage: BreakObject) -> None:
        """Return when a download's repair has brought back what was broken at the primary."""
        self._network.ask(RepairAwaited(damage))

    def stores(self) -> tuple[PieceStore, ...]:
        """Of all SPs, opened here."""
        holders = [gateway.operator_address for gateway in self._found.gateways]
        return tuple(self._found.pieces.open(holders).values())

    def scrub(self, object_name: str) -> tuple[int, float, float]:
        """(bytes of all columns, seconds, CPU seconds of the servers) of a scrub of one object."""
        before_s = self._trees.cpu_s()
        size_bytes, seconds = self._network.ask(ScrubObject(BUCKET, object_name))
        return size_bytes, seconds, self._trees.cpu_s() - before_s

    @contextmanager
    def scrubbing(self, bandwidth_bytes_s: int) -> Iterator[None]:
        """A scrub of everything goes on meanwhile."""
        self._network.ask(BeginScrub(bandwidth_bytes_s))
        try:
            yield
        finally:
            self._network.ask(EndScrub())

    def spilled_bytes(self) -> int:
        spilled: int = self._network.ask(NetworkQuestion.SPILLED_BYTES)
        return spilled


@contextmanager
def started_network(settings: Settings, root: Path) -> Iterator[MeasuredNetwork]:
    """A network that lives in ``root``, on free ports, and a client beside it."""
    given = settings.model_dump(exclude_unset=True)
    given["state_dir"] = root / "network"
    for section in ("chain", "gateway"):
        given.setdefault(section, {})["port"] = 0
    with ExitStack() as stack:
        network = stack.enter_context(
            Child("network", network_service, given, log_file=root / "network.log")
        )
        found = network.ask(NetworkQuestion.WHERE)
        client = stack.enter_context(
            Child("client", client_service, found, log_file=root / "client.log")
        )
        yield MeasuredNetwork(network, client, found, root)


async def _given_coins(network: NetworkFile, receiver: str) -> None:
    """By the network's own user."""
    async with open_chain(network) as chain:
        await sent_coins(chain, user_key(network, None), receiver, _COINS)
