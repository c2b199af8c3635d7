"""Deleting several objects, for ``rm`` and ``rb``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import typer

from greenray.cli.output import note
from greenray.client.deletion import Deletion
from greenray.client.storage_client import StorageClient
from greenray.protocol.errors import GreenrayError
from greenray.protocol.foreign_text import printable_lines

_AT_ONCE = 64
"""As many as one batch of a user's account has transactions."""


async def delete_all(
    client: StorageClient, names: AsyncIterator[tuple[str, str]], *, as_json: bool, quiet: bool
) -> tuple[int, int]:
    """How many were deleted, and how many could not be, which are named on stderr."""
    counts = [0, 0]
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(bucket_name: str, object_name: str) -> None:
        try:
            done = await client.delete(bucket_name, object_name)
        except GreenrayError as error:
            counts[1] += 1
            note(f"not deleted: {error}")
            if as_json:
                refused = {"bucket": bucket_name, "object": object_name, "reason": error.reason}
                typer.echo(json.dumps(refused))
            return
        finally:
            room.release()
        counts[0] += 1
        _tell(done, as_json=as_json, quiet=quiet)

    async with asyncio.TaskGroup() as tasks:
        async for bucket_name, object_name in names:
            await room.acquire()
            tasks.create_task(one(bucket_name, object_name))
    return counts[0], counts[1]


def _tell(done: Deletion, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        typer.echo(json.dumps(done.to_json()))
    elif not quiet:
        how = "cancelled" if done.cancelled else "deleted"
        typer.echo(printable_lines(f"{done.name}: object {done.object_id}, {how}"))
