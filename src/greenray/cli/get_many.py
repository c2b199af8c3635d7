"""``greenray get`` of many objects: below a prefix, or those of a pattern."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from greenray.cli.as_user import as_user
from greenray.cli.output import EXIT_ERROR, note
from greenray.client.access import Access
from greenray.client.object_selection import Selection, selected
from greenray.client.storage_client import StorageClient
from greenray.display.units import format_size
from greenray.files.tree import FileTree
from greenray.protocol.errors import GreenrayError, InvalidName, UnreadableFile
from greenray.protocol.foreign_text import printable_lines
from greenray.protocol.objects import ObjectInfo

if TYPE_CHECKING:
    from greenray.cli.get import GetOrder

_AT_ONCE = 4


@dataclass(slots=True)
class _Sum:
    files: int = 0
    skipped: int = 0
    failed: int = 0
    size_bytes: int = 0

    def text(self) -> str:
        parts = [f"{self.files} files of {format_size(self.size_bytes)}, verified"]
        parts += [f"{self.skipped} were there"] if self.skipped else []
        parts += [f"{self.failed} failed"] if self.failed else []
        return "; ".join(parts)


@dataclass(slots=True)
class _Getting:
    order: GetOrder
    selection: Selection
    client: StorageClient
    as_json: bool
    tree: FileTree | None
    so_far: _Sum = field(default_factory=_Sum)

    async def one(self, info: ObjectInfo) -> None:
        try:
            await self._get(info)
        except GreenrayError as error:
            self.so_far.failed += 1
            note(f"failed: {error}")
            self._say({"object": info.name, "reason": error.reason, "message": str(error)}, "")

    async def _get(self, info: ObjectInfo) -> None:
        parts = _parts_of(self.selection.relative(info.object_name), info.name)
        target = Path(self.order.target, *parts)
        if self.order.dry_run:
            self._say(
                {"object": info.name, "file": str(target), "dry_run": True},
                f"would get {info.name} ({format_size(info.payload_size)}) as {target}",
            )
            return
        assert self.tree is not None
        target = self._placed(parts, is_folder=info.object_name.endswith("/"))
        if target.is_dir():
            return
        if self.order.no_clobber and await asyncio.to_thread(os.path.lexists, target):
            self.so_far.skipped += 1
            return
        await self.client.get(
            info.bucket_name, info.object_name, target, replacing=not self.order.no_clobber
        )
        self.so_far.files += 1
        self.so_far.size_bytes += info.payload_size
        text = f"{target}: {format_size(info.payload_size)} of {info.name}, verified"
        self._say({"object": info.name, "file": str(target), "size_bytes": info.payload_size}, text)

    def _placed(self, parts: list[str], *, is_folder: bool) -> Path:
        assert self.tree is not None
        try:
            return self.tree.folder(parts) if is_folder else self.tree.place(parts)
        except OSError as error:
            raise UnreadableFile(
                f"no file can be written there ({error.strerror})",
                str(Path(self.order.target, *parts)),
                "Choose another directory.",
            ) from error

    def _say(self, document: dict[str, object], text: str) -> None:
        if self.as_json:
            typer.echo(json.dumps(document))
        elif text and not self.order.quiet:
            typer.echo(printable_lines(text))


def get_many(order: GetOrder, selection: Selection, access: Access, *, as_json: bool) -> None:
    """Exits with 1 when one has failed."""

    async def work(client: StorageClient) -> _Sum:
        tree = None if order.dry_run else _opened_tree(Path(order.target))
        getting = _Getting(order, selection, client, as_json, tree)
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(info: ObjectInfo) -> None:
            try:
                await getting.one(info)
            finally:
                room.release()

        async with asyncio.TaskGroup() as tasks:
            async for info in selected(client, selection):
                await room.acquire()
                tasks.create_task(one(info))
        return getting.so_far

    so_far = as_user(access, as_json, work)
    if not order.quiet and not order.dry_run:
        note(so_far.text())
    if so_far.failed:
        raise typer.Exit(EXIT_ERROR)


def _opened_tree(target: Path) -> FileTree:
    """Raises UnreadableFile."""
    try:
        return FileTree(target)
    except OSError as error:
        raise UnreadableFile(
            f"the directory cannot be made ({error.strerror})", str(target), "Choose another."
        ) from error


def _parts_of(relative: str, name: str) -> list[str]:
    """Folders and name below the target. Raises InvalidName: it would lead elsewhere."""
    parts = relative.removesuffix("/").split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise InvalidName("has no name that a file could have", name, "Get it alone, as FILE.")
    return parts
