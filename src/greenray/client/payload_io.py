"""Reading a payload that is sent, and writing one that arrives, beside the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import stat
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol, TypeGuard, cast

from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from aiohttp.payload import Payload

from greenray.files.whole_file import WholeFile, is_full
from greenray.protocol.errors import (
    GreenrayError,
    IntegrityHashMismatch,
    InvalidName,
    NoSpaceLeft,
    PayloadSizeMismatch,
    UnreadableFile,
)
from greenray.protocol.gateway_request import GatewayRequest
from greenray.protocol.integrity import integrity_hash

SEND_BLOCK_BYTES = 256 * 1024
READ_BLOCK_BYTES = 4 * 1024 * 1024
_KEPT_FROM_BYTES = 8 * 1024 * 1024
"""Less is sooner got again than a file that nobody knows is removed."""
_MARK_DIGITS = 16
"""Of the integrity hash, in the name of what is kept."""


class PayloadFile(Protocol):
    """A payload that can be read twice: a binary file, bytes in memory, what unpacks a file."""

    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def seekable(self) -> bool: ...


@contextmanager
def opened(source: Path | PayloadFile) -> Iterator[tuple[PayloadFile, str]]:
    """The payload as a seekable binary file at its beginning, and its name for messages.

    Raises:
        UnreadableFile: there is no such file, it may not be read, or it cannot be read twice.
    """
    if isinstance(source, Path):
        try:
            opened_file = source.open("rb", buffering=0)
        except OSError as error:
            next_step = "Check the path and its permissions."
            if source.is_dir():
                next_step = "Put the files below it with --recursive."
            raise UnreadableFile(
                f"the file cannot be read ({error.strerror})", str(source), next_step
            ) from error
        with opened_file as file:
            if not file.seekable():
                raise _not_seekable(str(source))
            yield file, str(source)
        return
    name = _name_of(source)
    if not source.seekable():
        raise _not_seekable(name)
    source.seek(0)
    yield source, name


def size_of(file: PayloadFile) -> int:
    """Bytes from the beginning to the end; the position is at the beginning afterwards."""
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size_bytes


class DirectPayload(io.RawIOBase):
    """A payload that reaches its gateway by a way of its own, not over HTTP."""

    @abstractmethod
    async def send(self, endpoint: str, request: GatewayRequest) -> None:
        """Have ``request`` done at the gateway with this ``endpoint``, with this payload as its
        body. Raises what the gateway refuses it for, and what the way there fails with."""


class OutgoingPayload(Payload):
    """A file as the body of a request.

    Of a file on disk the kernel sends the pages that it has in its cache, without a copy; of any
    other the blocks that are read. The HTTP library replaces what a body raises by an error of the
    connection; ``failure`` keeps what really happened.
    """

    def __init__(self, file: PayloadFile, size_bytes: int, on_sent: Callable[[int], None]) -> None:
        """``on_sent`` is told how many bytes were taken so far."""
        super().__init__(file)
        self._file = file
        self._size = self._size_bytes = size_bytes
        self._on_sent = on_sent
        self._name = _name_of(file)
        self.failure: GreenrayError | None = None
        self.when_sent: Callable[[], None] = lambda: None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """A payload is bytes, and not shown to anybody."""
        raise TypeError(f"{self._name} is not text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """The whole file.

        Raises:
            PayloadSizeMismatch: the file has another size than when it was hashed.
            UnreadableFile: a read failed.
            ConnectionError: the other side is gone.
        """
        try:
            if _is_on_disk(self._file):
                writer.send_headers()
                await self._send_pages(self._file, cast("StreamWriter", writer))
            else:
                async with aclosing(self._blocks()) as blocks:
                    async for block in blocks:
                        await writer.write(block)
        except GreenrayError as error:
            self.failure = error
            raise
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:
            self.failure = UnreadableFile(f"a read failed ({error.strerror})", self._name)
            raise self.failure from error

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """``write``: the length is that of the file."""
        await self.write(writer)
        self.when_sent()

    async def _send_pages(self, file: IO[bytes], writer: StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        sent = 0
        while sent < self._size_bytes:
            if writer.transport is None or writer.transport.is_closing():
                raise ConnectionResetError("the gateway has closed the connection")
            if os.fstat(file.fileno()).st_size != self._size_bytes:
                raise self._changed()
            size_bytes = min(READ_BLOCK_BYTES, self._size_bytes - sent)
            sent += await loop.sendfile(writer.transport, file, sent, size_bytes)
            self._on_sent(sent)

    async def _blocks(self) -> AsyncGenerator[memoryview]:
        """For a socket; the next read runs while the last one is sent."""
        self._file.seek(0)
        sent = 0
        reading = self._read()
        try:
            while block := await reading:
                reading = self._read()
                view = memoryview(block)
                for start in range(0, len(view), SEND_BLOCK_BYTES):
                    part = view[start : start + SEND_BLOCK_BYTES]
                    sent += len(part)
                    if sent > self._size_bytes:
                        raise self._changed()
                    yield part
                    self._on_sent(sent)
        finally:
            await asyncio.wait([reading])
        if sent != self._size_bytes:
            raise self._changed()

    def _read(self) -> asyncio.Task[bytes]:
        return asyncio.create_task(asyncio.to_thread(self._file.read, READ_BLOCK_BYTES))

    def _changed(self) -> PayloadSizeMismatch:
        return PayloadSizeMismatch(
            f"the file had {self._size_bytes} bytes when it was hashed and has another size now",
            self._name,
            "Put it again when it no longer changes.",
        )


def _name_of(file: PayloadFile) -> str:
    """What is unnamed has a number, or None."""
    name = getattr(file, "name", None)
    return str(name) if isinstance(name, (str, os.PathLike)) else "stream"


def _is_on_disk(file: PayloadFile) -> TypeGuard[IO[bytes]]:
    """Whether what is read from it is what its descriptor shows: other classes may unpack."""
    raw = file.raw if isinstance(file, io.BufferedReader) else file
    return type(raw) is io.FileIO and stat.S_ISREG(os.fstat(raw.fileno()).st_mode)


class VerifiedDownload:
    """Writes an object beside its target and moves it there once its integrity hash is right."""

    def __init__(self, target: Path, segment_size_bytes: int, *, replacing: bool = True) -> None:
        """``replacing``: a file that is there when it is committed. Raises UnreadableFile when
        nothing can be written there."""
        self._replacing = replacing
        self._kept: Path | None = None
        self._target = target
        self._segment_size_bytes = segment_size_bytes
        self._segment = hashlib.sha256()
        self._in_segment = 0
        self._checksums: list[bytes] = []
        self.size_bytes = 0
        try:
            self._whole = WholeFile(target)
        except OSError as error:
            raise UnreadableFile(
                f"no file can be written there ({error.strerror})",
                str(target),
                "Name a file in a directory that can be written.",
            ) from error

    def go_on(self, object_hash: bytes, limit_bytes: int) -> int:
        """Take what an earlier download of the object with this integrity hash has kept, unless it
        is more than ``limit_bytes``; how many bytes there are. Raises UnreadableFile."""
        self._kept = self._whole.beside(object_hash.hex()[:_MARK_DIGITS])
        try:
            if self._kept is None or not self._whole.take_over(self._kept):
                return 0
            while block := self._whole.file.read(READ_BLOCK_BYTES):
                self.size_bytes += len(block)
                self._hash(memoryview(block))
        except OSError as error:
            raise self._not_written(error) from error
        if self.size_bytes > limit_bytes:
            self.start_anew()
        return self.size_bytes

    def start_anew(self) -> None:
        """Forget what there is. Raises UnreadableFile."""
        try:
            self._whole.file.seek(0)
            self._whole.file.truncate()
        except OSError as error:
            raise self._not_written(error) from error
        self._segment, self._in_segment = hashlib.sha256(), 0
        self._checksums.clear()
        self.size_bytes = 0

    def keep(self) -> None:
        """When it has broken off: leave what came for the next one, if it is worth while."""
        if self._kept is None or self.size_bytes < _KEPT_FROM_BYTES:
            return
        with suppress(OSError):  # it is removed then, as everything else that broke off
            self._whole.keep(self._kept)

    def write(self, data: bytes) -> None:
        """Append. Raises NoSpaceLeft, UnreadableFile."""
        view = memoryview(data)
        self.size_bytes += len(view)
        try:
            self._whole.write(view)
        except OSError as error:
            raise self._not_written(error) from error
        self._hash(view)

    def _hash(self, view: memoryview) -> None:
        while len(view):
            taken = view[: self._segment_size_bytes - self._in_segment]
            self._segment.update(taken)
            self._in_segment += len(taken)
            view = view[len(taken) :]
            if self._in_segment == self._segment_size_bytes:
                self._end_segment()

    def commit(self, expected_integrity_hash: bytes) -> None:
        """Move the file to its place, or write it through the device or pipe that is there. Raises
        IntegrityHashMismatch, NoSpaceLeft, UnreadableFile."""
        if self._in_segment:
            self._end_segment()
        found = integrity_hash(self._checksums)
        if found != expected_integrity_hash:
            raise IntegrityHashMismatch(
                f"what arrived has the integrity hash {found.hex()}, the chain has "
                f"{expected_integrity_hash.hex()}",
                str(self._target),
                "Nothing was kept; get the object again.",
            )
        try:
            self._whole.commit(replacing=self._replacing)
        except OSError as error:
            raise self._not_written(error) from error

    def abort(self) -> None:
        """Remove what was written; after ``commit`` it does nothing."""
        self._whole.abort()

    def _not_written(self, error: OSError) -> GreenrayError:
        if is_full(error):
            return NoSpaceLeft("the disk is full", str(self._target), "Make room.")
        return UnreadableFile(f"it cannot be written ({error.strerror})", str(self._target))

    def _end_segment(self) -> None:
        self._checksums.append(self._segment.digest())
        self._segment = hashlib.sha256()
        self._in_segment = 0


def download_target(target: Path, object_name: str) -> Path:
    """Where an object goes: into a directory by the last part of its name, else just there.

    Raises InvalidName: the last part is no name of a file.
    """
    if not target.is_dir():
        return target
    name = object_name.rsplit("/", 1)[-1]
    if name in ("", ".", "..") or "\0" in name:
        raise InvalidName(
            "has no last part that could name a file", object_name, "Name the file as well."
        )
    return target / name


def _not_seekable(name: str) -> UnreadableFile:
    return UnreadableFile(
        "the payload must be read twice (checksums first) and this source cannot be rewound",
        name,
        "Save it to a file first.",
    )
