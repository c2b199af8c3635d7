"""What crosses Ray: errors, columns and the death of a process. One Ray session for all tests."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from greenray.actors import names
from greenray.actors.ports import BlockSlice, BorrowedColumn
from greenray.cluster.config.node_config import NodeConfig
from greenray.cluster.config.settings import Settings
from greenray.cluster.on_ray.encoder import RayEncoder
from greenray.cluster.on_ray.hosts import create_host
from greenray.cluster.on_ray.named_ports import RayFinder
from greenray.cluster.on_ray.object_space import RayObjectSpace
from greenray.cluster.on_ray.runtime import start_ray, stop_ray
from greenray.cluster.on_ray.translation import call_host
from greenray.cluster.roles.building import RoleBuild
from greenray.coding.codec import get_codec
from greenray.protocol import errors
from greenray.protocol.errors import ComponentUnavailable, GreenrayError, NoSuchPiece
from greenray.seam.finder import Finder, PortName
from greenray.seam.travel import alone, with_column
from greenray.storage.direct_io import address_of
from greenray.storage.file_location import FileLocation
from greenray.timeline.stage_trace import WorkTime


@pytest.fixture(scope="module", autouse=True)
def ray_session() -> Iterator[None]:
    untyped: Any = ray.cloudpickle
    untyped.register_pickle_by_value(sys.modules[__name__])
    start_ray(cpus=2, object_store_bytes=128 << 20, namespace="test-ray-ports")
    yield
    stop_ray()


class Far:
    """The plain class behind a port, and the port itself."""

    @alone
    async def raise_error(self, error: Exception) -> None:
        raise error

    @alone
    async def length(self, column: Any) -> int:
        return len(column)

    @alone
    async def put(self, size_bytes: int) -> tuple[Any, ...]:
        return (ray.put(np.ones(size_bytes, dtype=np.uint8)),)

    @alone
    async def die(self) -> None:
        os._exit(1)

    @alone
    async def pid(self) -> int:
        return os.getpid()

    @alone
    async def same(self, value: Any) -> Any:
        return value

    @alone
    async def count_after(self, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        self.count = getattr(self, "count", 0) + 1

    @alone
    async def counted(self) -> int:
        return getattr(self, "count", 0)


@pytest.fixture
def far() -> Iterator[Far]:
    name = f"far-{os.urandom(4).hex()}"
    handle = create_host(name, {name: lambda host: Far()})
    yield RayFinder().find(PortName(name, Far))
    ray.kill(handle)


def every_error() -> list[GreenrayError]:
    def below(cls: type[GreenrayError]) -> Iterator[type[GreenrayError]]:
        yield cls
        for child in cls.__subclasses__():
            yield from below(child)

    return [cls("what", "where", "next step") for cls in below(GreenrayError)]


async def test_every_error_crosses_with_its_type_and_text(far: Far) -> None:
    for error in every_error():
        with pytest.raises(type(error)) as caught:
            await far.raise_error(error)
        assert type(caught.value) is type(error)
        assert caught.value.args == error.args
        assert str(caught.value) == str(error)


async def test_an_error_that_is_not_ours_keeps_its_type(far: Far) -> None:
    with pytest.raises(ZeroDivisionError):
        await far.raise_error(ZeroDivisionError("a defect"))


async def test_a_dead_process_is_an_unavailable_component_and_comes_back(far: Far) -> None:
    before = await far.pid()
    with pytest.raises(ComponentUnavailable):
        await far.die()
    while True:
        try:
            assert await far.pid() != before
        except ComponentUnavailable:
            await asyncio.sleep(0.1)
        else:
            return


async def test_an_actor_that_is_not_there_is_an_unavailable_component() -> None:
    with pytest.raises(ComponentUnavailable, match="nobody"):
        await RayFinder().find(PortName("nobody", Far)).pid()


async def test_what_stops_an_actor_from_being_built_is_raised_by_its_first_call(
    tmp_path: Path,
) -> None:
    (tmp_path / "jobs.sqlite").write_bytes(b"this is no journal" * 100)
    config = NodeConfig.of(
        Settings(),
        state_root=tmp_path,
        chain_endpoint="http://127.0.0.1:1",
        keys=None,
        hosted=(),
        pieces=FileLocation(tmp_path / "pieces"),
    )
    handle = create_host("damaged", {"job_store": RoleBuild("job_store", config)})
    with pytest.raises(errors.StoreError, match=r"jobs\.sqlite"):
        await call_host(handle, "damaged", "ping")
    with pytest.raises(errors.StoreError, match=r"jobs\.sqlite"):
        await RayFinder(handles={"home": handle}).find(names.JOB_STORE).list_jobs()


class Neighbour:
    """Lives in one process with ``Far``, and calls it through a port."""

    def __init__(self, finder: Finder, far: str) -> None:
        self._far = finder.find(PortName(far, Far))

    @alone
    async def process_ids(self) -> tuple[int, int]:
        return os.getpid(), await self._far.pid()

    @alone
    async def is_handed(self, value: Any) -> bool:
        """Whether an answer from next door is the very object, and not a copy."""
        return await self._far.same(value) is value

    @alone
    async def raise_next_door(self) -> None:
        await self._far.raise_error(errors.NoSuchObject("no object", "next door"))

    @alone
    async def leaves_before_the_answer(self) -> int:
        """How often the call got to its end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await self._far.count_after(0.1)
        await asyncio.sleep(0.3)
        return int(await self._far.counted())


@pytest.fixture
def neighbour() -> Iterator[Neighbour]:
    far, name = f"far-{os.urandom(4).hex()}", f"near-{os.urandom(4).hex()}"
    both = {name: lambda host: Neighbour(host.finder, far), far: lambda host: Far()}
    handle = create_host(name, both)
    yield RayFinder().find(PortName(name, Neighbour))
    ray.kill(handle)


async def test_actors_of_one_process_call_each_other_without_a_copy(neighbour: Neighbour) -> None:
    own, next_door = await neighbour.process_ids()
    assert own == next_door
    assert await neighbour.is_handed(["a", "list"])
    with pytest.raises(errors.NoSuchObject, match="next door"):
        await neighbour.raise_next_door()


async def test_a_call_next_door_goes_on_when_its_caller_has_gone(neighbour: Neighbour) -> None:
    assert await neighbour.leaves_before_the_answer() == 1


async def test_a_column_comes_back_as_a_view_and_crosses_as_a_reference(far: Far) -> None:
    space = RayObjectSpace()
    column = np.arange(200_000, dtype=np.uint8)
    ref = await space.put(column)
    column[:] = 0  # the buffer may be reused at once
    view = await space.get(ref)
    assert not view.flags.writeable
    assert view[1] == 1
    assert await far.length(ref) == 200_000


async def test_columns_and_their_parity_lie_where_they_are_written_from_without_a_copy() -> None:
    space = RayObjectSpace()
    encoder = RayEncoder(get_codec().name, space.placing)
    data = tuple([await space.put(np.zeros(1 << 20, dtype=np.uint8)) for _ in range(8)])
    parity = await encoder.encode(data[4:], 4, lambda work: None, column_size_bytes=1 << 20)
    columns = [await space.get(ref) for ref in (*data, *parity)]
    aligned = [address_of(column.data) % 512 == 0 for column in columns]
    assert sum(aligned) >= 7  # two would by chance; the first teaches, what was freed is used again


class WarmUpTasks:
    """Stands for Ray's remote function: notes each call, and answers when it is told to."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()

    def remote(self, *args: Any) -> asyncio.Future[None]:
        answer = asyncio.get_running_loop().create_future()
        self.calls.put_nowait(answer)
        return answer


async def test_the_first_process_for_encoding_is_there_before_one_is_asked_for_on_each_core(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder, tasks = RayEncoder(get_codec().name, RayObjectSpace().placing), WarmUpTasks()
    monkeypatch.setattr(encoder, "_task", tasks)
    await encoder.warm_up()
    async with asyncio.timeout(10):
        first = await tasks.calls.get()
        await asyncio.sleep(0)
        assert tasks.calls.empty()
        first.set_result(None)
        on_each_core = [await tasks.calls.get() for _ in range(2)]
    for answer in on_each_core:
        answer.set_result(None)
    await asyncio.sleep(0)
    assert tasks.calls.empty()


async def test_a_column_whose_owner_died_is_no_such_piece(far: Far) -> None:
    (ref,) = await far.put(300_000)
    with pytest.raises(ComponentUnavailable):
        await far.die()
    with pytest.raises(NoSuchPiece):
        await RayObjectSpace().get(ref)


class FarReceiver:
    def __init__(self) -> None:
        self.may_answer = asyncio.Event()

    @with_column
    async def copy(self, column: Any) -> tuple[bool, bytes]:
        """Whether it was lent, and the bytes."""
        if not isinstance(column, BorrowedColumn):
            return False, column.tobytes()
        read = column.column.tobytes()
        column.check()
        return True, read

    @with_column
    async def hold(self, column: Any) -> bytes:
        """Read when it is let go."""
        await self.may_answer.wait()
        return (await self.copy(column))[1]

    @alone
    async def let_go(self) -> None:
        self.may_answer.set()

    @alone
    async def die(self) -> None:
        os._exit(1)

    @with_column
    async def write_batch(self, sp_address: str, key: int, batch_index: int, column: Any) -> int:
        runs = column if isinstance(column, tuple) else (column,)
        return int(runs[0][0]) + batch_index + 1000 * (len(runs) - 1)


async def test_batches_that_are_sent_together_find_their_columns_and_fail_alone(far: Far) -> None:
    name = f"receiver-{os.urandom(4).hex()}"
    handle = create_host(name, {name: lambda host: FarReceiver()})
    receiver = RayFinder().find(PortName(name, FarReceiver))
    space = RayObjectSpace()
    (lost,) = await far.put(300_000)
    with pytest.raises(ComponentUnavailable):
        await far.die()
    refs = [await space.put(np.full(200_000, value, dtype=np.uint8)) for value in (10, 20)]
    columns = [refs[0], lost, refs[1], np.full(10, 30, dtype=np.uint8)]
    written = (receiver.write_batch("sp", 0, index, ref) for index, ref in enumerate(columns))
    outcomes = await asyncio.gather(*written, return_exceptions=True)
    ray.kill(handle)
    assert isinstance(outcomes.pop(1), NoSuchPiece)
    assert outcomes == [10, 22, 33]


# --- parity in memory that is lent ----------------------------------------------------------------

PARITY_BYTES = 100_000
ONE_LOAN_BYTES = 4096 + 2 * 102_400


@dataclass
class Lending:
    """A batch after the other, encoded in memory that has room for one."""

    space: RayObjectSpace
    encoder: RayEncoder
    told: asyncio.Queue[WorkTime]

    @classmethod
    def create(cls) -> Lending:
        space = RayObjectSpace()
        return cls(
            space, RayEncoder(get_codec().name, space.placing, ONE_LOAN_BYTES), asyncio.Queue()
        )

    async def encoded(self, seed: int) -> tuple[list[Any], list[bytes]]:
        """References to parity, and what it has to be."""
        random = np.random.default_rng(seed)
        data = [random.integers(0, 256, PARITY_BYTES, dtype=np.uint8) for _ in range(4)]
        refs = tuple([await self.space.put(column) for column in data])
        parity = await self.encoder.encode(
            refs, 2, self.told.put_nowait, column_size_bytes=PARITY_BYTES
        )
        return list(parity), [column.tobytes() for column in get_codec().encode(data, 2)]


@pytest.fixture
def far_receiver() -> Iterator[FarReceiver]:
    name = f"receiver-{os.urandom(4).hex()}"
    handle = create_host(name, {name: lambda host: FarReceiver()})
    yield RayFinder().find(PortName(name, FarReceiver))
    ray.kill(handle)


async def test_parity_is_read_from_memory_that_is_lent_and_used_again(
    far_receiver: FarReceiver,
) -> None:
    lending = Lending.create()
    blocks = set()
    for seed in range(3):
        refs, expected = await lending.encoded(seed)
        blocks.add(refs[0].loan.name.block)
        assert [(await lending.space.get(ref)).tobytes() for ref in refs] == expected
        read = await asyncio.gather(*(far_receiver.copy(ref) for ref in refs))
        assert read == [(True, column) for column in expected]
        del refs
        await lending.told.get()
    assert len(blocks) == 1
    assert lending.told.empty()


async def test_parity_for_which_no_memory_is_left_goes_through_the_object_store(
    far_receiver: FarReceiver,
) -> None:
    lending = Lending.create()
    refs, expected = await lending.encoded(1)
    holding = asyncio.create_task(far_receiver.hold(refs.pop()))
    refs.clear()
    others, expected_others = await lending.encoded(2)
    assert await far_receiver.copy(others[0]) == (False, expected_others[0])
    await far_receiver.let_go()
    assert await holding == expected[1]


async def test_memory_that_a_reader_died_with_is_not_lent_again(far_receiver: FarReceiver) -> None:
    lending = Lending.create()
    refs, _ = await lending.encoded(1)
    block = refs[0].loan.name.block
    holding = asyncio.create_task(far_receiver.hold(refs.pop()))
    refs.clear()
    with pytest.raises(ComponentUnavailable):
        await far_receiver.die()
    with pytest.raises(ComponentUnavailable):
        await holding
    del holding
    refs, expected = await lending.encoded(2)
    assert refs[0].loan.name.block != block
    assert (await lending.space.get(refs[0])).tobytes() == expected[0]


async def test_a_process_that_is_killed_while_it_may_encode_costs_nothing() -> None:
    lending = Lending.create()
    refs, expected = await lending.encoded(1)
    await lending.space.get(refs[0])
    os.kill((await lending.told.get()).pid, signal.SIGKILL)
    for seed in range(2, 4):
        refs, expected = await lending.encoded(seed)
        assert [(await lending.space.get(ref)).tobytes() for ref in refs] == expected


def slices_of(
    blocks: list[tuple[Any, np.ndarray[Any, Any]]], start: int, size_bytes: int
) -> list[BlockSlice]:
    """Of the concatenation of ``blocks``, which are given with their references."""
    slices = []
    for ref, block in blocks:
        part = block[max(start, 0) :][: size_bytes + min(start, 0)]
        if start < block.size and part.size:
            slices.append(BlockSlice(ref, max(start, 0), part.size))
            size_bytes -= part.size
        start = max(start - block.size, 0)
    return slices


async def test_columns_that_are_slices_of_blocks_are_sent_encoded_and_read() -> None:
    payload = np.random.default_rng(7).integers(0, 256, 800_000, dtype=np.uint8)
    blocks = [(ray.put(part), part) for part in np.split(payload, [130_001, 500_000])]
    space = RayObjectSpace()
    data = [payload[j * 200_000 :][:200_000] for j in range(4)]
    refs = tuple([await space.splice(slices_of(blocks, j * 200_000, 200_000)) for j in range(4)])
    for ref, column in zip(refs, data, strict=True):
        assert np.array_equal(await space.get(ref), column)

    encoder = RayEncoder(get_codec().name, space.placing)
    parity = await encoder.encode(refs, 2, lambda work: None, column_size_bytes=200_000)
    for ref, column in zip(parity, get_codec().encode(data, 2), strict=True):
        assert np.array_equal(await space.get(ref), column)

    name = f"receiver-{os.urandom(4).hex()}"
    handle = create_host(name, {name: lambda host: FarReceiver()})
    receiver = RayFinder().find(PortName(name, FarReceiver))
    written = (receiver.write_batch("sp", 0, index, ref) for index, ref in enumerate(refs))
    outcomes = await asyncio.gather(*written)
    ray.kill(handle)
    runs = [2, 1, 2, 1]  # the first cut is in column 0, the second in column 2
    assert outcomes == [
        int(column[0]) + index + 1000 * (count - 1)
        for index, (column, count) in enumerate(zip(data, runs, strict=True))
    ]


async def test_a_small_column_that_is_spliced_is_its_own_reference() -> None:
    ref = ray.put(b"0123456789")
    column = await RayObjectSpace().splice([BlockSlice(ref, 2, 3), BlockSlice(ref, 9, 1)])
    assert isinstance(column, np.ndarray)
    assert bytes(column) == b"2349"


async def test_a_spliced_column_whose_block_is_lost_is_no_such_piece(far: Far) -> None:
    (ref,) = await far.put(300_000)
    space = RayObjectSpace()
    column = await space.splice([BlockSlice(ref, 0, 300_000)])
    with pytest.raises(ComponentUnavailable):
        await far.die()
    with pytest.raises(NoSuchPiece):
        await space.get(column)


@pytest.mark.parametrize("m", [0, 1, 2])
async def test_parity_columns_made_by_a_task_are_those_of_the_codec(m: int) -> None:
    space = RayObjectSpace()
    codec = get_codec()
    data = [np.random.default_rng(j).integers(0, 256, 100_000, dtype=np.uint8) for j in range(4)]
    refs = tuple([await space.put(column) for column in data])
    told: asyncio.Queue[WorkTime] = asyncio.Queue()
    asked_ns = time.monotonic_ns()
    encoder = RayEncoder(codec.name, space.placing)
    parity = await encoder.encode(refs, m, told.put_nowait, column_size_bytes=100_000)
    assert len(parity) == m
    for ref, expected in zip(parity, codec.encode(data, m), strict=True):
        assert np.array_equal(await space.get(ref), expected)
    if m:
        work = await told.get()
        assert asked_ns < work.begin_ns < work.end_ns < time.monotonic_ns()
        assert work.pid != os.getpid()
