"""A Receiver is killed at each of its port calls in turn, or finds its disk full."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from greenray.actors.ports import SignerPort
from greenray.actors.receiver.actor import Receiver
from greenray.chain.crypto import recover_signer
from greenray.chain.dialects import get_dialect
from greenray.protocol.errors import JournalError, NoSpaceLeft
from greenray.protocol.integrity import UnverifiedReceipt, verify_receipt
from greenray.storage.file_store import FilePieceStore
from greenray.storage.ports import Buffer, ColumnWriter, JobStore, PieceStore
from tests.support.groups import ObjectGroups
from tests.support.naughty import naughty_job_store
from tests.support.receiver_rig import IMPATIENT, NOTHING, ReceiverRig
from tests.support.sps import KeySigner


class Killed(BaseException):
    """The process is gone: no handler of the code under test may go on after it."""


class KillSwitch:
    """Kills at the ``at``-th port call; from then on no port does anything any more."""

    def __init__(self, at: int, after: bool) -> None:
        self._at = at
        self._after = after
        self.calls: list[str] = []
        self.dead = False

    def before(self, call: str) -> None:
        self.calls.append(call)
        self._check(not self._after)

    def after(self) -> None:
        self._check(self._after)

    def _check(self, now: bool) -> None:
        self.dead = self.dead or (now and len(self.calls) == self._at)
        if self.dead:
            raise Killed


class MortalPort:
    """Passes the calls of an asynchronous port through a switch."""

    def __init__(self, port: object, switch: KillSwitch) -> None:
        self._port = port
        self._switch = switch

    def __getattr__(self, method: str) -> Callable[..., Any]:
        async def call(*arguments: Any, **named: Any) -> Any:
            self._switch.before(method)
            result = await getattr(self._port, method)(*arguments, **named)
            self._switch.after()
            return result

        return call


class MortalStore:
    """The same for a piece store and the writers it makes."""

    def __init__(self, store: object, switch: KillSwitch) -> None:
        self._store = store
        self._switch = switch

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self._switch.before(method)
            result = getattr(self._store, method)(*arguments, **named)
            self._switch.after()
            return MortalStore(result, self._switch) if method in ("create", "resume") else result

        return call


def mortal(rig: ReceiverRig, switch: KillSwitch) -> Receiver:
    address = rig.secondary.address
    return Receiver(
        chain=rig.chain,
        job_store=cast(JobStore, MortalPort(rig.job_store, switch)),
        piece_stores={address: cast(PieceStore, MortalStore(rig.store, switch))},
        signer=cast(SignerPort, MortalPort(KeySigner([rig.secondary]), switch)),
        dialect=get_dialect(),
        clock=rig.clock,
        settings=IMPATIENT,
    )


class Sender:
    """A primary that remembers what was acknowledged to it."""

    def __init__(self, rig: ReceiverRig, groups: ObjectGroups) -> None:
        self._address = rig.secondary.address
        self._order = groups.order(rig.secondary, 1)
        self._key = self._order.key_at(self._address)
        self._batches = groups.batches(1)
        self.acknowledged = 0

    async def send(self, receiver: Receiver) -> UnverifiedReceipt:
        held = await receiver.open(self._address, self._order)
        assert held >= self.acknowledged, "an acknowledged batch would be sent again"
        for index in range(held, len(self._batches)):
            await receiver.write_batch(self._address, self._key, index, self._batches[index])
            self.acknowledged = index + 1
        return await receiver.finish(self._address, self._key)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_receiver_loses_nothing_that_it_acknowledged(
    tmp_path: Path, after: bool
) -> None:
    killed_at = []
    for at in count(1):
        folder = tmp_path / str(at)
        folder.mkdir()
        rig = ReceiverRig.create(folder)
        rig.piece_stores[rig.secondary.address] = FilePieceStore(folder / "pieces")
        groups = rig.put_object(5000)
        sender, switch = Sender(rig, groups), KillSwitch(at, after)
        first = mortal(rig, switch)
        try:
            await sender.send(first)
        except Killed:
            killed_at.append(switch.calls[at - 1])
        receipt = await sender.send(rig.start())
        verify_receipt(receipt, groups.info, rig.secondary.provider(), recover_signer)
        assert rig.stored(groups, 1) == groups.columns[1]
        assert (await rig.leftovers())[1:] == ([], [])
        await rig.close()
        if not switch.dead:
            break
    assert killed_at.count("acknowledge_batch") == groups.layout.batch_count
    assert {"open_group", "append", "sync", "finish", "sign_as_approver", "finish_group"} <= set(
        killed_at
    )


class FullStore:
    """A piece store, and the writers it makes, with room for ``appends`` more batches."""

    def __init__(self, honest: object, appends: int) -> None:
        self._honest = honest
        self.appends = appends

    def __getattr__(self, method: str) -> Any:
        return getattr(self._honest, method)

    def create(self, *arguments: Any) -> FullWriter:
        return FullWriter(cast(PieceStore, self._honest).create(*arguments), self)


class FullWriter:
    def __init__(self, honest: ColumnWriter, store: FullStore) -> None:
        self._honest = honest
        self._store = store

    def __getattr__(self, method: str) -> Any:
        return getattr(self._honest, method)

    def append(self, buffers: Sequence[Buffer]) -> None:
        if self._store.appends == 0:
            raise NoSpaceLeft("the disk is full", "test")
        self._store.appends -= 1
        self._honest.append(buffers)


async def test_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    rig = ReceiverRig.create(tmp_path)
    full = FullStore(FilePieceStore(tmp_path / "pieces"), appends=1)
    rig.piece_stores[rig.secondary.address] = cast(PieceStore, full)
    groups, receiver = rig.put_object(5000), rig.start()
    with pytest.raises(NoSpaceLeft):
        await Sender(rig, groups).send(receiver)
    assert await rig.leftovers() == NOTHING
    full.appends = 100
    await Sender(rig, groups).send(receiver)
    assert rig.stored(groups, 1) == groups.columns[1]
    await rig.close()


async def test_a_journal_that_fails_costs_no_batch_that_was_acknowledged(tmp_path: Path) -> None:
    rig = ReceiverRig.create(tmp_path)
    groups = rig.put_object(20_000)
    sender = Sender(rig, groups)
    failing, _ = naughty_job_store(
        rig.job_store, {("acknowledge_batch", 3): JournalError("the journal failed")}
    )
    receiver = rig.start(job_store=failing)
    with pytest.raises(JournalError):
        await sender.send(receiver)
    assert sender.acknowledged == 2
    await sender.send(receiver)
    assert rig.stored(groups, 1) == groups.columns[1]
    await rig.close()
