"""Ports over Ray: actor handles as ports, the object store as the object space, encode tasks."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import ray
from ray import exceptions as ray_errors

from greenray.cluster.config.node_config import host_of
from greenray.cluster.on_ray.call_groups import (
    COLUMN_CALLS,
    QUICK_CALLS,
    CallGroups,
    ColumnCallGroups,
)
from greenray.cluster.on_ray.placing import PlacedBytes, Placing
from greenray.cluster.on_ray.spliced_columns import Recipe, SplicedColumn, packed, rows, unpacked
from greenray.cluster.on_ray.worker_process import settle, work_behind_uploads
from greenray.protocol.errors import ComponentUnavailable, GreenrayError, NoSuchPiece, StoreError
from greenray.timeline.stage_trace import Stopwatch, WorkTime

if TYPE_CHECKING:
    from greenray.actors.ports import BlockSlice, Column, ColumnRef, ColumnRuns

log = logging.getLogger(__name__)

T = TypeVar("T")

_LOST_OBJECT = (
    ray_errors.ObjectLostError,
    ray_errors.OwnerDiedError,
    ray_errors.ObjectFetchTimedOutError,
    ray_errors.ReferenceCountingAssertionError,
    ray_errors.ObjectReconstructionFailedError,
)


def translate(error: Exception, where: str) -> Exception:
    """Ray's exception as ours: what the method raised, a dead actor, or a lost object."""
    cause = error.cause if isinstance(error, ray_errors.RayTaskError) else error
    if isinstance(cause, GreenrayError):
        return cause
    if isinstance(cause, _LOST_OBJECT):
        return NoSuchPiece(f"the object store lost a column ({type(cause).__name__})", where)
    if isinstance(cause, ray_errors.ObjectStoreFullError | ray_errors.OutOfDiskError):
        return StoreError(
            f"the object store is full ({type(cause).__name__})",
            where,
            "Raise budget.memory_bytes, or upload less at a time",
        )
    if isinstance(cause, ray_errors.RayActorError | ray_errors.WorkerCrashedError):
        return ComponentUnavailable(f"the process is away ({type(cause).__name__})", where)
    return cause if isinstance(cause, Exception) else error


async def call_host(handle: Any, where: str, method: str, *args: Any, **kwargs: Any) -> Any:
    """Call a method of the process that hosts an actor; raises our errors."""
    try:
        return await getattr(handle, method).remote(*args, **kwargs)
    except ray_errors.RayError as error:
        raise translate(error, where) from None


async def call_actor(handle: Any, name: str, method: str, *args: Any, **kwargs: Any) -> Any:
    """Call a method of an actor in the process that hosts it; raises our errors."""
    return await call_host(handle, f"{name}.{method}", "call", name, method, *args, **kwargs)


_actors_here: dict[str, Callable[[str], Any]] = {}
"""By name of an actor that lives in this process, who knows it."""


def take_calls_here(names: Iterable[str], actor_of: Callable[[str], Any]) -> None:
    """This process hosts these actors: its ports call them without Ray."""
    _actors_here.update(dict.fromkeys(names, actor_of))


class NamedPort:
    """Makes a named actor look like the plain class behind it: methods can be awaited and raise
    our errors. References given as arguments stay top-level, so that Ray resolves them.

    An actor of this process is called as it is; a call goes on to its end though its caller may go
    away, as from afar. Another's process is looked up at the first call, and the handle stays valid
    when Ray starts it again. Quick calls to one process that are made together travel together
    (``greenray.cluster.on_ray.call_groups``).
    """

    def __init__(self, name: str) -> None:
        self._name = name
        role = name.partition("-")[0]
        self._quick = QUICK_CALLS.get(role, frozenset())
        self._with_column = COLUMN_CALLS.get(role, frozenset())
        self._way = _way_to(host_of(name))

    def __getattr__(self, method: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        if method.startswith("_"):  # copying and pickling probe for these
            raise AttributeError(method)

        async def call(*args: Any, **kwargs: Any) -> Any:
            if (actor_of := _actors_here.get(self._name)) is not None:
                return await _call_here(getattr(actor_of(self._name), method)(*args, **kwargs))
            if method in self._quick:
                return await self._way.groups.call(self._name, method, args, kwargs)
            if method in self._with_column:
                return await self._way.column_groups.call(self._name, method, *args)
            return await self._way.call(self._name, method, *args, **kwargs)

        return call


_called_here: set[asyncio.Task[Any]] = set()


async def _call_here(call: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(call)
    _called_here.add(task)
    task.add_done_callback(_ended_here)
    return await asyncio.shield(task)


def _ended_here(task: asyncio.Task[Any]) -> None:
    _called_here.discard(task)
    if not task.cancelled():
        task.exception()  # seen, even when its caller has gone away


class _Way:
    """From this process to the one that hosts some actors."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._handle: Any = None
        self.groups = CallGroups(self._send_group)
        self.column_groups = ColumnCallGroups(self._send_column_group)

    async def call(self, name: str, method: str, *args: Any, **kwargs: Any) -> Any:
        return await call_actor(await self._found(name), name, method, *args, **kwargs)

    async def _send_group(self, group: bytes) -> bytes:
        handle = await self._found(self._host)
        answers: bytes = await call_host(handle, self._host, "answer_group", group)
        return answers

    async def _send_column_group(self, group: bytes, *columns: ColumnRef) -> bytes:
        handle = await self._found(self._host)
        answers: bytes = await call_host(handle, self._host, "answer_column_group", group, *columns)
        return answers

    async def _found(self, asked_for: str) -> Any:
        if self._handle is None:
            try:
                self._handle = await asyncio.to_thread(ray.get_actor, self._host)
            except ValueError:
                raise ComponentUnavailable("is not there yet", asked_for) from None
        return self._handle


_way_to = cache(_Way)


def named_port(name: str) -> Any:
    """The actor ``name`` as whatever port it implements."""
    return NamedPort(name)


@cache
def process_name() -> str:
    """A name for this process that no other has ever had: leases belong to it."""
    return f"process-{os.getpid()}-{uuid.uuid4().hex[:8]}"


SMALL_COLUMN_BYTES = 64 * 1024
"""Columns up to this size are not worth a place in the object store: they are their own references
and travel inside the calls that name them."""


class RayObjectSpace:
    """Columns in Ray's object store. What is put dies with the process that put it."""

    def __init__(self) -> None:
        self.placing = Placing()

    async def put(self, column: Column) -> ColumnRef:
        if column.nbytes <= SMALL_COLUMN_BYTES:
            small = column.copy()
            small.flags.writeable = False
            return small
        try:
            return await asyncio.to_thread(self._put, column)
        except ray_errors.RayError as error:
            raise translate(error, "object store") from None

    def _put(self, column: Column) -> ColumnRef:
        placed = self.placing.placed(column.data)
        ref: Any = ray.put(placed)
        self.placing.learn(placed, ray.get(ref))
        return ref

    async def get(self, ref: ColumnRef) -> Column:
        if isinstance(ref, np.ndarray):
            return ref
        if isinstance(ref, SplicedColumn):
            return await self._joined(ref)
        try:
            return cast("Column", await ref)
        except ray_errors.RayError as error:
            raise translate(error, "object store") from None

    async def splice(self, slices: Sequence[BlockSlice]) -> ColumnRef:
        column = SplicedColumn(tuple(slices))
        small = sum(part.size_bytes for part in slices) <= SMALL_COLUMN_BYTES
        return await self._joined(column) if small else column

    async def _joined(self, column: SplicedColumn) -> Column:
        carried, recipes = packed([column])
        [runs] = unpacked(recipes, await asyncio.gather(*map(self.get, carried)))
        return np.concatenate(runs)


_ENCODE_CPUS = 0.98
"""A little less than one: the actors hold some thousandths of the CPUs (``ray_actors``), and what
asks for a whole one would run on all but one of them, and on a machine with a single one never."""


class _EncodeProcess:
    """What an encode task finds in its process."""

    def __init__(self, codec_name: str) -> None:
        from greenray.coding.codec import get_codec  # only encode tasks need it

        self._codec = get_codec(codec_name)
        self._memory = np.empty(0, dtype=np.uint8)
        work_behind_uploads()
        settle()

    def encode(self, data: Sequence[ColumnRuns], m: int) -> list[Column]:
        """The parity is in memory that the next call uses again, because fresh pages cost more
        than the encoding: Ray has copied a task's result before it starts the next."""
        size_bytes = sum(run.size for run in data[0])
        if self._memory.size < m * size_bytes:
            self._memory = np.empty(m * size_bytes, dtype=np.uint8)
        parity = [self._memory[p * size_bytes : (p + 1) * size_bytes] for p in range(m)]
        for start, stop, slices in rows(data):
            self._codec.encode_into(slices, [column[start:stop] for column in parity])
        return parity


_encode_process = cache(_EncodeProcess)


def encode_columns(
    codec_name: str, m: int, lead_bytes: int, recipes: Sequence[Recipe], *carried: Any
) -> Any:
    """The m parity columns, placed behind a gap of ``lead_bytes``, and when they were made."""
    process = _encode_process(codec_name)
    watch = Stopwatch.start()
    parity = process.encode(unpacked(recipes, carried), m)
    return *(PlacedBytes(column.data, lead_bytes) for column in parity), watch.read()


async def _tell(work: Awaitable[WorkTime], on_encoded: Callable[[WorkTime], None]) -> None:
    try:
        on_encoded(await work)
    except ray_errors.RayError as error:
        log.debug("an encode task did not tell when it worked: %s", error)


class RayEncoder:
    """One Ray task per batch; Ray places it where the columns are. Small columns, which are where
    they are named, are encoded on the spot."""

    def __init__(self, codec_name: str, placing: Placing) -> None:
        """``placing``: of the space that the data columns are put into."""
        from greenray.coding.codec import get_codec  # only who encodes needs it

        self._placing = placing
        self._codec_name = codec_name
        self._codec = get_codec(codec_name)
        self._task = ray.remote(num_cpus=_ENCODE_CPUS)(encode_columns)
        self._warming: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()

    async def encode(
        self, data: tuple[ColumnRef, ...], m: int, on_encoded: Callable[[WorkTime], None]
    ) -> tuple[ColumnRef, ...]:
        if m == 0:
            return ()
        if all(isinstance(column, np.ndarray) for column in data):
            watch = Stopwatch.start()
            small = tuple(self._codec.encode(data, m))
            on_encoded(watch.read())
            return small
        task = self._task.options(num_returns=m + 1)
        carried, recipes = packed(data)
        *parity, work = task.remote(
            self._codec_name, m, self._placing.lead_bytes, recipes, *carried
        )
        telling = asyncio.create_task(_tell(work, on_encoded))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)
        # Not awaited: who receives a parity column waits for it, and sees its failure.
        return tuple(parity)

    async def warm_up(self) -> None:
        # Kept, because the event loop holds its tasks only weakly.
        self._warming = asyncio.create_task(self._start_processes())

    async def _start_processes(self) -> None:
        """One on each core. Ray starts a process for the first task and one more, for those that
        may follow; had they come at once, it would have started another for the second of them,
        and two cores kept three processes."""
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        cpus = int(resources.get("CPU", 1))
        tiny = np.zeros(64, dtype=np.uint8)
        try:
            for together in (1, cpus):
                tasks = [
                    self._task.remote(self._codec_name, 1, 0, [0], tiny) for _ in range(together)
                ]
                await asyncio.gather(*tasks)
        except ray_errors.RayError as error:
            log.debug("an encode task that warms up failed: %s", error)
