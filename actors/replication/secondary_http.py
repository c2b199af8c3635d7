"""A secondary SP reached by its endpoint: the sending end of replicate-piece (protocol 03 §7).

One PUT carries a whole group; its body is the columns that ``write_batch`` hands over, one at a
time, so that a slow secondary slows the sender and at most one column waits. What is sent is what
the Go provider v0.2.0 sends; its answer vouches for the group, never for a batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from greenray.actors.ports import (
    ColumnRef,
    GroupOrder,
    ObjectSpace,
    SecondaryClient,
    SecondaryGroup,
)
from greenray.actors.receiver.replicate_piece import (
    APPROVAL_HEADER,
    INTEGRITY_HASH_HEADER,
    OBJECT_ID_HEADER,
    PIECE_SIZE_HEADER,
    REDUNDANCY_INDEX_HEADER,
    SIGNATURE_HEADER,
)
from greenray.actors.replication.settings import HttpSettings
from greenray.peer.error_text import xml_element
from greenray.peer.faults import PeerFault, PeerSilent
from greenray.peer.session import AnswerLimits, PeerSession
from greenray.protocol.approvals import approval_to_header
from greenray.protocol.errors import (
    ApprovalError,
    GreenrayError,
    InvalidInput,
    PayloadSizeMismatch,
    SecondaryFailed,
    SecondaryTimeout,
)
from greenray.protocol.integrity import UnverifiedReceipt
from greenray.protocol.layout import PayloadLayout
from greenray.protocol.objects import StorageProvider

REPLICATE_PIECE_PATH = "/greenfield/receiver/v1/replicate-piece"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: str


class HttpSecondaries:
    """Clients of remote SPs that share one pool of connections."""

    def __init__(self, space: ObjectSpace, settings: HttpSettings) -> None:
        self._space = space
        self._settings = settings
        self._session: PeerSession | None = None
        self._groups: WeakSet[_HttpGroup] = WeakSet()

    def client(self, provider: StorageProvider) -> SecondaryClient:
        return HttpSecondary(provider, self)

    def open_group(self, provider: StorageProvider, order: GroupOrder) -> _HttpGroup:
        if self._session is None:
            self._session = PeerSession(
                AnswerLimits(
                    connect_timeout_s=self._settings.connect_timeout_s,
                    stall_timeout_s=self._settings.idle_timeout_s,
                )
            )
        group = _HttpGroup(provider, order, self._session, self._space, self._settings)
        self._groups.add(group)
        return group

    async def close(self) -> None:
        """Give up the groups that are still being sent, and close all connections."""
        await asyncio.gather(*(group.abort() for group in list(self._groups)))
        if self._session is not None:
            await self._session.close()
            self._session = None


class HttpSecondary:
    """A ``SecondaryClient`` of one remote SP."""

    def __init__(self, provider: StorageProvider, secondaries: HttpSecondaries) -> None:
        self._provider = provider
        self._secondaries = secondaries

    @property
    def keeps_batches(self) -> bool:
        return False

    async def open(self, order: GroupOrder) -> SecondaryGroup:
        """Connect. Whether the secondary takes the group shows while it is sent."""
        group = self._secondaries.open_group(self._provider, order)
        await group.connected()
        return group


class _HttpGroup:
    def __init__(
        self,
        provider: StorageProvider,
        order: GroupOrder,
        session: PeerSession,
        space: ObjectSpace,
        settings: HttpSettings,
    ) -> None:
        self._provider = provider
        self._order = order
        self._layout = PayloadLayout.of(
            order.object_info, order.params, order.batch_segments
        ).pieces
        self._session = session
        self._space = space
        self._settings = settings
        self._body = _Body(settings.chunk_bytes)
        self._next_batch = 0
        self._request = asyncio.create_task(self._exchange())

    @property
    def batches_acknowledged(self) -> int:
        """Always 0: replicate-piece answers for the whole group."""
        return 0

    async def connected(self) -> None:
        try:
            await self._while_moving(lambda: self._body.started)
        except BaseException:
            await self.abort()
            raise

    async def write_batch(self, batch_index: int, column: ColumnRef) -> None:
        """Returns when the connection has taken the whole column."""
        if batch_index != self._next_batch:
            raise InvalidInput(
                f"batch {batch_index} came where batch {self._next_batch} belongs", self._where
            )
        view = (await self._space.get(column)).data
        expected = self._layout.batch_size_bytes(batch_index)
        if view.nbytes != expected:
            raise PayloadSizeMismatch(
                f"batch {batch_index} has {expected} bytes, {view.nbytes} came", self._where
            )
        self._next_batch += 1
        end_bytes = self._layout.prefix_size_bytes(self._next_batch)
        self._body.send(view)
        await self._while_moving(lambda: self._body.sent_bytes >= end_bytes)

    async def finish(self) -> UnverifiedReceipt:
        if self._next_batch < self._layout.batch_count:
            raise InvalidInput(
                f"only {self._next_batch} of {self._layout.batch_count} batches were sent",
                self._where,
            )
        self._body.send(None)
        await self._while_moving(self._request.done)
        return self._receipt(self._request.result())

    async def abort(self) -> None:
        """Break the connection; the secondary drops what it has of an unfinished body."""
        self._request.cancel()
        await asyncio.gather(self._request, return_exceptions=True)

    async def _while_moving(self, reached: Callable[[], bool]) -> None:
        """Until ``reached``; raises when the request ends before, or nothing moves any more."""
        while not reached():
            moved = self._body.next_move()
            waiting: set[asyncio.Future[Any]] = {self._request, moved}
            await asyncio.wait(
                waiting,
                timeout=self._settings.idle_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if self._request.done():
                if not reached():
                    raise self._refusal(await self._request)
            elif not moved.done():
                raise SecondaryTimeout(
                    f"nothing moved for {self._settings.idle_timeout_s:g} s after "
                    f"{self._body.sent_bytes} bytes",
                    self._where,
                )

    async def _exchange(self) -> _Answer:
        try:
            async with self._session.request(
                "PUT",
                endpoint_url(self._provider.endpoint) + REPLICATE_PIECE_PATH,
                data=self._body.chunks(),
                headers=self._headers(),
            ) as answer:
                return _Answer(answer.status, answer.headers, await answer.beginning())
        except PeerSilent as fault:
            raise SecondaryTimeout(str(fault), self._where) from fault
        except (PeerFault, ValueError) as error:
            raise SecondaryFailed(f"the connection failed: {error}", self._where) from error

    def _headers(self) -> dict[str, str]:
        """As the Go client; aiohttp sends values as UTF-8, so the approval's names stay raw."""
        return {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(self._layout.size_bytes),
            OBJECT_ID_HEADER: str(self._order.object_info.id),
            PIECE_SIZE_HEADER: str(self._layout.piece_size_bytes),
            REDUNDANCY_INDEX_HEADER: str(self._order.redundancy_index),
            APPROVAL_HEADER: approval_to_header(self._order.approval),
        }

    def _receipt(self, answer: _Answer) -> UnverifiedReceipt:
        if answer.status != 200:
            raise self._refusal(answer)
        try:
            return UnverifiedReceipt(
                self._order.redundancy_index,
                self._provider.operator_address,
                bytes.fromhex(answer.headers[INTEGRITY_HASH_HEADER]),
                bytes.fromhex(answer.headers[SIGNATURE_HEADER]),
            )
        except (KeyError, ValueError):
            raise SecondaryFailed(
                "its answer has no integrity hash and signature in hex", self._where
            ) from None

    def _refusal(self, answer: _Answer) -> GreenrayError:
        if answer.status == 200:
            return SecondaryFailed("it answered before it had the whole group", self._where)
        code, message = xml_element("Code", answer.body), xml_element("Message", answer.body)
        what = f"it answered {answer.status} {code}: {message}".rstrip(": ")
        if answer.status == 400 and code == "InvalidHeader":
            # v0.2.0 has no code of its own for a foreign or expired approval (protocol 03 §7.1).
            return ApprovalError(what, self._where, "Ask for a new approval")
        return SecondaryFailed(what, self._where)

    @property
    def _where(self) -> str:
        index = self._order.redundancy_index
        return (
            f"secondary {self._provider.operator_address} at {self._provider.endpoint}, "
            f"redundancy index {index}"
        )


class _Body:
    """The request's body: one column after the other, in chunks, at the connection's pace."""

    def __init__(self, chunk_bytes: int) -> None:
        self._chunk_bytes = chunk_bytes
        self._columns: asyncio.Queue[memoryview | None] = asyncio.Queue(1)
        self._move: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.started = False
        self.sent_bytes = 0

    def send(self, column: memoryview | None) -> None:
        """The next column, when the one before is sent; None ends the body."""
        self._columns.put_nowait(column)

    def next_move(self) -> asyncio.Future[None]:
        """Done when something has moved from now on."""
        return self._move

    async def chunks(self) -> AsyncIterator[memoryview]:
        self.started = True
        self._moved()
        while (column := await self._columns.get()) is not None:
            for start in range(0, len(column), self._chunk_bytes):
                chunk = column[start : start + self._chunk_bytes]
                self.sent_bytes += len(chunk)
                self._moved()
                yield chunk  # written to the transport before anybody else runs

    def _moved(self) -> None:
        moved, self._move = self._move, asyncio.get_running_loop().create_future()
        moved.set_result(None)


def endpoint_url(endpoint: str) -> str:
    """As it stands on chain; without a scheme ``https://`` is meant."""
    base = endpoint if "://" in endpoint else f"https://{endpoint}"
    return base.rstrip("/")
