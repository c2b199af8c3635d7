"""Admission: what a Gateway takes at a time. Who is too many is told to come later, before a byte
of a payload is read."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager

from greenray.actors.gateway.settings import GatewaySettings
from greenray.protocol.errors import Overloaded
from greenray.storage.ports import JobStore

_BACKLOG_AGE_S = 1.0
"""Jobs that wait are counted again after so long: a few hundred more may come in between."""


class Admission:
    """Counts what one Gateway is doing, for all of its SPs."""

    def __init__(
        self, settings: GatewaySettings, job_store: JobStore, clock: Callable[[], float]
    ) -> None:
        """``clock``: seconds since some moment."""
        self._settings = settings
        self._jobs = job_store
        self._clock = clock
        self._running: Counter[str] = Counter()
        self._waiting_jobs: asyncio.Task[int] | None = None
        self._counted_at = 0.0

    def check_connections(self, count: int) -> None:
        """Raises Overloaded, for a request on one of ``count`` open connections."""
        self._check("connections are open", count, self._settings.max_connections)

    @asynccontextmanager
    async def upload(self) -> AsyncGenerator[None]:
        """While a payload is asked for and received. Raises Overloaded, and what the job store
        raises."""
        with self._counted("uploads are being received", self._settings.max_uploads):
            backlog = await self._backlog()
            self._check("objects are not sealed yet", backlog + 1, self._settings.max_waiting_jobs)
            yield

    @contextmanager
    def download(self) -> Generator[None]:
        """While an object is sent. Raises Overloaded."""
        with self._counted("downloads are being sent", self._settings.max_downloads):
            yield

    @contextmanager
    def _counted(self, what: str, limit: int) -> Generator[None]:
        self._check(what, self._running[what] + 1, limit)
        self._running[what] += 1
        try:
            yield
        finally:
            self._running[what] -= 1

    def _check(self, what: str, count: int, limit: int) -> None:
        if count > limit:
            raise Overloaded(
                f"{limit} {what}, and no more are taken",
                "gateway",
                "Try again later",
                float(self._settings.retry_after_s),
            )

    async def _backlog(self) -> int:
        """One question for all that ask in the same second."""
        now = self._clock()
        if self._waiting_jobs is None or now - self._counted_at > _BACKLOG_AGE_S:
            self._counted_at = now
            self._waiting_jobs = asyncio.create_task(self._jobs.count_waiting())
        return await asyncio.shield(self._waiting_jobs)
