"""Ray's errors as ours, and calls to the processes that host actors."""

from __future__ import annotations

from typing import Any

from ray import exceptions as ray_errors

from greenray.protocol.errors import ComponentUnavailable, GreenrayError, NoSuchPiece, StoreError

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
