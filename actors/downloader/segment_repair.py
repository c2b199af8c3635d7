"""The primary's column of one object, written anew from its good segments and rebuilt ones."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import aclosing

from greenray.actors.downloader.segment_reader import ByteRange, SegmentReader
from greenray.actors.uploader.ingest import run_in
from greenray.protocol.layout import SEGMENTS, PayloadLayout
from greenray.storage.ports import ColumnKey, Fence, PieceStore

_FENCE_BITS = 62
_FIRST_FENCE = 1 << _FENCE_BITS
"""No upload is begun so often that its epoch comes near."""


async def rewrite_segments(
    reader: SegmentReader,
    store: PieceStore,
    object_id: int,
    layout: PayloadLayout,
    pool: Executor,
    before_finish: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Write what ``reader`` reads, the whole object, and put it in the column's place in one step.
    Who reads the old one meanwhile goes on with it.

    It is written under a fence of its own: whoever else repairs the column at the same time, in
    another process perhaps, writes beside it, and the last to end has replaced the column by
    another whole one. ``before_finish``: called when all is written, and may raise.

    Raises what reading raises, NoSpaceLeft, StoreError; nothing is left behind then.
    """
    key = ColumnKey(object_id, SEGMENTS)
    fence = Fence(_FIRST_FENCE + secrets.randbits(_FENCE_BITS))
    writer = await run_in(pool, store.create, key, layout.segments, fence)
    try:
        everything = ByteRange(0, layout.payload_size_bytes - 1)
        async with aclosing(reader.read(everything)) as segments:
            async for segment in segments:
                await run_in(pool, writer.append, [segment])
        if before_finish is not None:
            await before_finish()
        await run_in(pool, writer.finish)
    except BaseException:
        await run_in(pool, writer.abort)
        raise
