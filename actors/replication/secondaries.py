"""The way to a secondary SP: a Receiver in this cluster, or the HTTP endpoint it has on chain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from greenray.actors.ports import (
    ColumnRef,
    GroupOrder,
    ObjectSpace,
    ReceiverPort,
    SecondaryClient,
    SecondaryGroup,
)
from greenray.actors.replication.secondary_http import HttpSecondaries
from greenray.actors.replication.settings import HttpSettings, InClusterSettings
from greenray.protocol.errors import (
    ComponentUnavailable,
    GroupNotOpen,
    SecondaryFailed,
    SecondaryTimeout,
)
from greenray.protocol.integrity import UnverifiedReceipt
from greenray.protocol.layout import PayloadLayout
from greenray.protocol.objects import StorageProvider

T = TypeVar("T")

_TRIES = 3
"""How often one call is made when the Receiver loses the group each time."""


class InClusterSecondary:
    """A ``SecondaryClient`` over a Receiver, or over a proxy of one in another process.

    Columns are handed on as they are (a reference stays one). A group that the Receiver lost from
    memory, because it was restarted or set the group aside, is opened again and continued after
    the last acknowledged batch; the caller notices nothing.
    """

    def __init__(
        self, receiver: ReceiverPort, sp_address: str, settings: InClusterSettings
    ) -> None:
        self._receiver = receiver
        self._sp_address = sp_address
        self._settings = settings

    @property
    def keeps_batches(self) -> bool:
        return True

    async def open(self, order: GroupOrder) -> SecondaryGroup:
        layout = PayloadLayout.of(order.object_info, order.params, order.batch_segments).pieces
        whole = layout.batch_count == 1 and layout.size_bytes <= self._settings.whole_group_bytes
        if whole:
            return _WholeGroup(self._receiver, self._sp_address, order, self._settings)
        group = _BatchedGroup(self._receiver, self._sp_address, order, self._settings)
        await group.open()
        return group


class _InClusterGroup:
    """What both kinds of group have in common: the way to the Receiver."""

    def __init__(
        self,
        receiver: ReceiverPort,
        sp_address: str,
        order: GroupOrder,
        settings: InClusterSettings,
    ) -> None:
        self._receiver = receiver
        self._sp_address = sp_address
        self._order = order
        self._settings = settings

    async def _when_back(self, call: Callable[[], Awaitable[T]], step: str) -> T:
        """The call's result; a Receiver that is gone is asked again while it may come back."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._settings.restart_wait_s
        while True:
            try:
                return await self._within(call, step)
            except ComponentUnavailable as error:
                if loop.time() >= give_up_at:
                    raise SecondaryFailed(
                        f"its receiver is gone: {error.what}", self._where
                    ) from error
            await asyncio.sleep(self._settings.restart_poll_s)

    async def _within(self, call: Callable[[], Awaitable[T]], step: str) -> T:
        timeout_s = self._settings.call_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await call()
        except TimeoutError:
            raise SecondaryTimeout(
                f"no answer to {step} within {timeout_s:g} s", self._where
            ) from None

    @property
    def _where(self) -> str:
        index = self._order.redundancy_index
        return f"secondary {self._sp_address}, redundancy index {index}"


class _WholeGroup(_InClusterGroup):
    """A group that is sent in one call when its only batch is there."""

    _column: ColumnRef = None

    @property
    def batches_acknowledged(self) -> int:
        return 0

    async def write_batch(self, batch_index: int, column: ColumnRef) -> None:
        self._column = column

    async def finish(self) -> UnverifiedReceipt:
        return await self._when_back(
            lambda: self._receiver.hold_group(self._sp_address, self._order, self._column), "finish"
        )

    async def abort(self) -> None:
        """The secondary holds all of it or nothing."""
        self._column = None


class _BatchedGroup(_InClusterGroup):
    """A group whose batches are acknowledged one by one."""

    def __init__(
        self,
        receiver: ReceiverPort,
        sp_address: str,
        order: GroupOrder,
        settings: InClusterSettings,
    ) -> None:
        super().__init__(receiver, sp_address, order, settings)
        self._key = order.key_at(sp_address)
        self._acknowledged = 0

    @property
    def batches_acknowledged(self) -> int:
        return self._acknowledged

    async def open(self) -> None:
        self._acknowledged = await self._when_back(
            lambda: self._receiver.open(self._sp_address, self._order), "open"
        )

    async def write_batch(self, batch_index: int, column: ColumnRef) -> None:
        for _ in range(_TRIES):
            try:
                await self._within(
                    lambda: self._receiver.write_batch(
                        self._sp_address, self._key, batch_index, column
                    ),
                    "write_batch",
                )
            except (GroupNotOpen, ComponentUnavailable) as error:
                await self._reopen(batch_index, error)
                if self._acknowledged > batch_index:
                    return  # only the answer was lost
            else:
                self._acknowledged = max(self._acknowledged, batch_index + 1)
                return
        raise self._lost_again("write_batch")

    async def finish(self) -> UnverifiedReceipt:
        for _ in range(_TRIES):
            try:
                return await self._within(
                    lambda: self._receiver.finish(self._sp_address, self._key), "finish"
                )
            except (GroupNotOpen, ComponentUnavailable) as error:
                await self._reopen(self._acknowledged, error)
        raise self._lost_again("finish")

    async def _reopen(self, batches_needed: int, cause: Exception) -> None:
        await self.open()
        if self._acknowledged < batches_needed:
            raise SecondaryFailed(
                f"it lost what it had acknowledged from batch {self._acknowledged} on", self._where
            ) from cause

    def _lost_again(self, step: str) -> SecondaryFailed:
        return SecondaryFailed(f"it lost the group {_TRIES} times during {step}", self._where)

    async def abort(self) -> None:
        try:
            await self._within(lambda: self._receiver.abort(self._sp_address, self._key), "abort")
        except (ComponentUnavailable, SecondaryTimeout):
            return  # what a dead receiver has left is swept when it is back


class Directory:
    """Implements ``greenray.actors.ports.SecondaryDirectory``: hosted SPs by their Receiver, others
    by HTTP.

    ``hosted``: Receivers (or proxies) by the operator address they serve.
    """

    def __init__(
        self,
        hosted: Mapping[str, ReceiverPort],
        space: ObjectSpace,
        *,
        in_cluster: InClusterSettings | None = None,
        http: HttpSettings | None = None,
    ) -> None:
        self._hosted = hosted
        self._in_cluster = in_cluster or InClusterSettings()
        self._remote = HttpSecondaries(space, http or HttpSettings())

    def client(self, provider: StorageProvider) -> SecondaryClient:
        address = provider.operator_address
        receiver = self._hosted.get(address)
        if receiver is not None:
            return InClusterSecondary(receiver, address, self._in_cluster)
        return self._remote.client(provider)

    async def close(self) -> None:
        """Close the connections to other SPs."""
        await self._remote.close()
