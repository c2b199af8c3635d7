"""Ports over Ray: actor handles as ports, the object store as the object space, encode tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

import ray
from ray import exceptions as ray_errors

from actors.ports import Column, ColumnRef
from coding.codec import get_codec
from protocol.errors import ComponentUnavailable, GreenrayError, NoSuchPiece

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
    if isinstance(cause, ray_errors.RayActorError | ray_errors.WorkerCrashedError):
        return ComponentUnavailable(f"the process is away ({type(cause).__name__})", where)
    return cause if isinstance(cause, Exception) else error


class RemotePort:
    """Makes an actor handle look like the plain class behind it: methods can be awaited and raise
    our errors. References given as arguments stay top-level, so that Ray resolves them."""

    def __init__(self, handle: Any, name: str) -> None:
        self._handle = handle
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        remote_method = getattr(self._handle, method)

        async def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return await remote_method.remote(*args, **kwargs)
            except ray_errors.RayError as error:
                raise translate(error, f"{self._name}.{method}") from None

        return call


def remote_port(handle: Any, port: type[T]) -> T:
    """``handle`` as the port it implements."""
    return cast(T, RemotePort(handle, port.__name__))


class RayObjectSpace:
    """Columns in Ray's object store. What is put dies with the process that put it."""

    async def put(self, column: Column) -> ColumnRef:
        return await asyncio.to_thread(ray.put, column)

    async def get(self, ref: ColumnRef) -> Column:
        try:
            return cast(Column, await ref)
        except ray_errors.RayError as error:
            raise translate(error, "object store") from None


def encode_columns(codec_name: str, m: int, *data: Column) -> Any:
    """The m parity columns; one value when m is 1, as ``num_returns`` wants it."""
    parity = get_codec(codec_name).encode(data, m)
    return parity[0] if m == 1 else tuple(parity)


class RayEncoder:
    """One Ray task per batch; Ray places it where the columns are."""

    def __init__(self, codec_name: str) -> None:
        self._codec_name = codec_name
        self._task = ray.remote(num_cpus=1)(encode_columns)

    async def encode(self, data: tuple[ColumnRef, ...], m: int) -> tuple[ColumnRef, ...]:
        if m == 0:
            return ()
        refs = self._task.options(num_returns=m).remote(self._codec_name, m, *data)
        # Not awaited: who receives a parity column waits for it, and sees its failure.
        return (refs,) if m == 1 else tuple(refs)
