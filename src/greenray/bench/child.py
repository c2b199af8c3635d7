"""A child process that answers messages: each side of a benchmark runs in processes of its own, so
that their costs can be told apart.

What is sent and answered is pickled; an error of the child is raised in the parent as it was.
"""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import psutil

from greenray.protocol.errors import ComponentUnavailable, GreenrayError

Tell: TypeAlias = Callable[[Any], None]
"""Sends the parent something before the answer."""
Handler: TypeAlias = Callable[[Any, Tell], Awaitable[Any]]
Service: TypeAlias = Callable[..., AbstractAsyncContextManager[Handler]]
"""A function of a module: what is opened in the child, and answers there."""

_STOP_S = 60.0


@dataclass(frozen=True, slots=True)
class _Answer:
    value: Any


@dataclass(frozen=True, slots=True)
class _Failure:
    error: GreenrayError


class Child:
    """Enter it to have the service ready. What the child prints goes to ``log_file``.

    Leaving it closes the service; a child whose parent dies closes it as well.
    """

    def __init__(self, name: str, service: Service, *args: Any, log_file: Path) -> None:
        self._name = name
        self._log_file = log_file
        spawn = get_context("spawn")
        self._connection, theirs = spawn.Pipe()
        self._process = spawn.Process(
            target=_main, args=(theirs, service, args, log_file), name=name
        )
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def __enter__(self) -> Child:
        try:
            self.receive()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def ask(self, message: Any, on_told: Callable[[Any], None] | None = None) -> Any:
        """``send`` and ``receive``."""
        self.send(message)
        return self.receive(on_told)

    def send(self, message: Any) -> None:
        try:
            self._connection.send(message)
        except BrokenPipeError:
            raise self._ended() from None

    def receive(self, on_told: Callable[[Any], None] | None = None) -> Any:
        """The answer. Raises what the child raised; ComponentUnavailable when it has ended."""
        while True:
            try:
                message = self._connection.recv()
            except EOFError:
                raise self._ended() from None
            if isinstance(message, _Answer):
                return message.value
            if isinstance(message, _Failure):
                raise message.error
            if on_told is not None:
                on_told(message)

    def _ended(self) -> ComponentUnavailable:
        lines = self._log_file.read_text(errors="replace").strip().splitlines()
        said = lines[-1] if lines else "it said nothing"
        return ComponentUnavailable(f"the process has ended: {said}", self._name)

    def _stop(self) -> None:
        self._connection.close()
        self._process.join(_STOP_S)
        if self._process.is_alive():
            family = psutil.Process(self.pid).children(recursive=True)
            self._process.kill()
            self._process.join()
            for process in family:
                if process.is_running():
                    process.kill()


# --- in the child --------------------------------------------------------------------------------


def _main(connection: Connection, service: Service, args: tuple[Any, ...], log_file: Path) -> None:
    os.setsid()  # Ctrl-C goes to the parent, which closes the connection
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    asyncio.run(_serve(connection, service, args))


async def _serve(connection: Connection, service: Service, args: tuple[Any, ...]) -> None:
    try:
        async with service(*args) as handle:
            connection.send(_Answer(None))
            while True:
                try:
                    message = await asyncio.to_thread(connection.recv)
                except EOFError:
                    return
                try:
                    connection.send(_Answer(await handle(message, connection.send)))
                except GreenrayError as error:
                    connection.send(_Failure(error))
    except GreenrayError as error:
        traceback.print_exc()
        connection.send(_Failure(error))
