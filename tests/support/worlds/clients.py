"""What users do in a random world: they put what is planned until it is taken, whatever happens."""

from __future__ import annotations

import asyncio
import io
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random

from greenray.chain.dialects import get_dialect
from greenray.chain.rpc.client import RpcChainClient
from greenray.client.creation import PutOptions
from greenray.client.storage_client import ClientSettings, StorageClient, WaitFor
from greenray.protocol.errors import (
    GreenrayError,
    IntegrityHashMismatch,
    UnreadableFile,
    WrongObjectStatus,
)
from greenray.protocol.objects import RedundancyType
from tests.support.worlds.network import World, user_key
from tests.support.worlds.plan import Behaviour, PlannedObject

_PAUSE_S = 0.05
_IO_ERROR = 5


@dataclass(slots=True)
class UsersObject:
    """A planned object, and what its user knows of it. ``taken``: it was acknowledged."""

    number: int
    planned: PlannedObject
    bucket: str
    name: str
    payload: bytes = field(repr=False)
    taken: bool = False

    @property
    def is_refused(self) -> bool:
        """Nothing of it may be stored."""
        return self.planned.behaviour is Behaviour.SENDS_OTHER_BYTES


def users_objects(world: World) -> list[UsersObject]:
    return [
        UsersObject(
            number,
            planned,
            f"bucket-of-{planned.client}",
            f"object-{number}",
            Random(f"{world.plan.seed}/{number}").randbytes(planned.size_bytes),
        )
        for number, planned in enumerate(world.plan.objects)
    ]


@asynccontextmanager
async def client_of(world: World, client: int) -> AsyncIterator[StorageClient]:
    chain = RpcChainClient(world.chain.endpoint, get_dialect())
    sp_address = world.primary_of(client)
    user = StorageClient(
        chain,
        world.endpoints[sp_address],
        user_key(client),
        sp_address=sp_address,
        endpoints=world.endpoints,
        settings=ClientSettings(poll_interval_s=0.03, wait_timeout_s=60.0),
    )
    try:
        yield user
    finally:
        await user.close()
        await chain.close()


async def put_all(world: World, objects: list[UsersObject]) -> None:
    """Each client puts its objects one after the other; all clients at once.

    Raises AssertionError for what no client should see.
    """
    by_client: dict[int, list[UsersObject]] = defaultdict(list)
    for each in objects:
        by_client[each.planned.client].append(each)
    await asyncio.gather(*(_put_those(world, client, mine) for client, mine in by_client.items()))


async def _put_those(world: World, client: int, objects: list[UsersObject]) -> None:
    async with client_of(world, client) as user:
        await _has_nothing_sealed_at_once(user, objects[0].bucket)
        for each in objects:
            tries = 0
            while not await _is_settled(world, user, each, tries):
                tries += 1
                await asyncio.sleep(_PAUSE_S)


async def _has_nothing_sealed_at_once(user: StorageClient, bucket: str) -> None:
    """The chain seals an empty object itself, whatever happens to the providers."""
    while True:
        try:
            await user.put(io.BytesIO(), bucket, "nothing")
        except WrongObjectStatus:
            return  # it is there, and its answer was lost
        except GreenrayError as error:
            if not error.retryable:
                raise AssertionError(f"an empty payload was refused with {error!r}") from error
        else:
            return
        await asyncio.sleep(_PAUSE_S)


async def _is_settled(world: World, user: StorageClient, each: UsersObject, tries: int) -> bool:
    """Put it once; whether its user need not come again."""
    kind = RedundancyType.REDUNDANCY_EC_TYPE
    if each.planned.replica:
        kind = RedundancyType.REDUNDANCY_REPLICA_TYPE
    try:
        await user.put(
            _file_of(each, tries),
            each.bucket,
            each.name,
            wait=WaitFor.UPLOADED,
            options=replace(PutOptions(), redundancy_type=kind),
        )
    except WrongObjectStatus as error:
        # Sealed already: the answer to an earlier try was lost.
        world.note(f"{each.name}: {error}")
        each.taken = "SEALED" in str(error)
        return each.taken
    except IntegrityHashMismatch as error:
        world.note(f"{each.name} is refused: {error}")
        if each.is_refused:
            return True
        raise AssertionError(f"{each.name} was refused: {error}") from error
    except UnreadableFile:
        world.note(f"{each.name} has broken off")
        return False
    except GreenrayError as error:
        world.note(f"{each.name}, try {tries}: {type(error).__name__}: {error}")
        return False
    assert not each.is_refused, f"{each.name} was taken with other bytes than announced"
    world.note(f"{each.name} is taken")
    each.taken = True
    return True


def _file_of(each: UsersObject, tries: int) -> io.BytesIO:
    match each.planned.behaviour:
        case Behaviour.SENDS_OTHER_BYTES:
            return _OtherBytes(each.payload)
        case Behaviour.BREAKS_OFF if tries == 0:
            return _BreakingFile(each.payload)
        case _:
            return io.BytesIO(each.payload)


class _OtherBytes(io.BytesIO):
    """Hashed (by ``readinto``) as it is, and sent (by ``read``) otherwise."""

    def read(self, size: int | None = -1, /) -> bytes:
        return bytes(byte ^ 1 for byte in super().read(size))


class _BreakingFile(io.BytesIO):
    """Hashed as it is, and sent to its middle."""

    def read(self, size: int | None = -1, /) -> bytes:
        left_bytes = len(self.getbuffer()) // 2 - self.tell()
        if left_bytes <= 0:
            raise OSError(_IO_ERROR, "pulled out")
        return super().read(left_bytes)
