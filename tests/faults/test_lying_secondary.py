"""A secondary that vouches for what it should not, seen from the primary."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from greenray.actors.ports import SecondaryClient
from greenray.actors.replication.secondaries import Directory
from greenray.chain.crypto import recover_signer
from greenray.cluster.in_process import LocalSpace
from greenray.protocol.errors import IntegrityHashMismatch, SecondaryLied
from greenray.protocol.integrity import UnverifiedReceipt, verify_receipt
from tests.support.faulty_secondaries import CorruptingReceiver, LyingReceiver
from tests.support.groups import ObjectGroups
from tests.support.receiver_rig import NOTHING, ReceiverRig


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[ReceiverRig]:
    rig = ReceiverRig.create(tmp_path)
    yield rig
    await rig.close()


async def _send(
    client: SecondaryClient, rig: ReceiverRig, groups: ObjectGroups
) -> UnverifiedReceipt:
    group = await client.open(groups.order(rig.secondary, 0))
    for index, batch in enumerate(groups.batches(0)):
        await group.write_batch(index, batch)
    return await group.finish()


@pytest.mark.parametrize(
    ("about", "named"),
    [
        ("hash", "integrity hash"),
        ("signature", "signature"),
        ("length", "signature"),
        ("address", "receipt is of"),
    ],
)
async def test_lie_is_found_and_named(rig: ReceiverRig, about: str, named: str) -> None:
    groups = rig.put_object(3000)
    liar = LyingReceiver(rig.start(), about)
    client = Directory({rig.secondary.address: liar}, LocalSpace()).client(rig.secondary.provider())
    receipt = await _send(client, rig, groups)
    with pytest.raises(SecondaryLied, match=named):
        verify_receipt(receipt, groups.info, rig.secondary.provider(), recover_signer)


async def test_receipt_of_another_providers_key_is_a_lie(rig: ReceiverRig) -> None:
    groups = rig.put_object(3000)
    client = Directory({rig.secondary.address: rig.start()}, LocalSpace()).client(
        rig.secondary.provider()
    )
    receipt = await _send(client, rig, groups)
    expected = replace(
        rig.secondary.provider(), approval_address=rig.other.provider().approval_address
    )
    with pytest.raises(SecondaryLied, match="not of its approval key"):
        verify_receipt(receipt, groups.info, expected, recover_signer)


async def test_receiver_never_signs_bytes_that_were_changed_on_the_way(rig: ReceiverRig) -> None:
    groups = rig.put_object(3000)
    corrupting = CorruptingReceiver(rig.start())
    client = Directory({rig.secondary.address: corrupting}, LocalSpace()).client(
        rig.secondary.provider()
    )
    with pytest.raises(IntegrityHashMismatch):
        await _send(client, rig, groups)
    assert await rig.leftovers() == NOTHING
