"""Admission: what a Gateway takes at a time. Who is too many waits for a place, and is told to come
later after some seconds, before a byte of a payload is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from enum import StrEnum

from greenray.actors.credit.lending import (
    Borrower,
    Held,
    LendingRules,
    Loan,
    exceeded_shares,
)
from greenray.actors.credit.places import Places, TakenPlace
from greenray.actors.gateway.settings import GatewaySettings
from greenray.protocol.errors import Overloaded
from greenray.storage.ports import JobStore

_BACKLOG_AGE_S = 1.0
"""Jobs that wait are counted again after so long: a few hundred more may come in between."""

_KEPT = 8
"""One of so many places is kept for those within their shares."""


class Admitted(StrEnum):
    """What a Gateway does so many of at a time, in the words of a refusal."""

    UPLOAD = "uploads are being received"
    DOWNLOAD = "downloads are being sent"


class Admission:
    """Counts what one Gateway is doing, for all of its SPs."""

    def __init__(
        self, settings: GatewaySettings, job_store: JobStore, clock: Callable[[], float]
    ) -> None:
        """``clock``: seconds since some moment."""
        self._settings = settings
        self._jobs = job_store
        self._clock = clock
        self._limits = {
            Admitted.UPLOAD: settings.max_uploads,
            Admitted.DOWNLOAD: settings.max_downloads,
        }
        self._places = {
            what: Places(
                limit,
                what,
                wait_s=settings.place_wait_s,
                least_bytes_per_s=settings.least_place_bytes_per_s,
                overloaded=self._overloaded,
            )
            for what, limit in self._limits.items()
        }
        self._held = {what: Held() for what in Admitted}
        self._waiting_jobs: asyncio.Task[int] | None = None
        self._counted_at = 0.0

    def check_connections(self, count: int) -> None:
        """Raises Overloaded, for a request on one of ``count`` open connections."""
        self._check("connections are open", count, self._settings.max_connections)

    @asynccontextmanager
    async def upload(self) -> AsyncGenerator[TakenPlace]:
        """While a payload is asked for and received. Raises Overloaded, and what the job store
        raises."""
        async with self._places[Admitted.UPLOAD].take() as place:
            backlog = await self._backlog()
            self._check("objects are not sealed yet", backlog + 1, self._settings.max_waiting_jobs)
            yield place

    @asynccontextmanager
    async def download(self) -> AsyncGenerator[TakenPlace]:
        """While an object is sent. Raises Overloaded."""
        async with self._places[Admitted.DOWNLOAD].take() as place:
            yield place

    @contextmanager
    def share(self, what: Admitted, borrower: Borrower) -> Generator[None]:
        """While an upload or a download that was admitted is known to be of ``borrower``: the last
        eighth of all is for accounts and addresses within their shares. Raises Overloaded."""
        limit, held, place = self._limits[what], self._held[what], Loan(borrower, 1)
        lending = self._settings.lending
        rules = LendingRules(limit, lending.account_share, lending.address_share, 0)
        taken = self._places[what].taken
        if taken > limit - limit // _KEPT and exceeded_shares(place, held, rules):
            raise self._overloaded(f"{limit} {what} at most, and this client has its share of them")
        held.add(place)
        try:
            yield
        finally:
            held.remove(place)

    def _check(self, what: str, count: int, limit: int) -> None:
        if count > limit:
            raise self._overloaded(f"{limit} {what}, and no more are taken")

    def _overloaded(self, what: str) -> Overloaded:
        return Overloaded(what, "gateway", "Try again later", float(self._settings.retry_after_s))

    async def _backlog(self) -> int:
        """One question for all that ask in the same second."""
        now = self._clock()
        if self._waiting_jobs is None or now - self._counted_at > _BACKLOG_AGE_S:
            self._counted_at = now
            self._waiting_jobs = asyncio.create_task(self._jobs.count_waiting())
        return await asyncio.shield(self._waiting_jobs)
