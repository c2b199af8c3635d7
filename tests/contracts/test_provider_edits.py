"""MsgEditStorageProvider on the embedded chain: its bytes, and what it changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from greenray.chain.dialects import get_dialect, get_local_dialect, v0_2
from greenray.chain.local.server import running_chain
from greenray.chain.rpc.client import RpcChainClient
from greenray.chain.transactions.user import TransactionSender
from greenray.protocol.errors import InvalidInput, TransactionRefused
from greenray.protocol.objects import StorageProvider
from tests.support.local_chain import (
    address,
    create_bucket,
    create_object,
    key,
    seal_object,
    small_genesis,
)

SP = address("sp-1-operator")
NEXT = address("the next key")


@dataclass(frozen=True)
class World:
    chain: RpcChainClient

    def sender(self, name: str) -> TransactionSender:
        return TransactionSender(self.chain, get_dialect(), key(name), poll_interval_s=0.02)

    async def edit(
        self,
        *,
        endpoint: str = "",
        description: v0_2.Description | None = None,
        seal_address: str = "",
        approval_address: str = "",
        gc_address: str = "",
        of: int = 1,
    ) -> StorageProvider:
        """The provider afterwards, as the chain lists it."""
        operator = address(f"sp-{of}-operator")
        message = v0_2.MsgEditStorageProvider(
            operator, endpoint, description, seal_address, approval_address, gc_address
        )
        await self.sender(f"sp-{of}-operator").send(message)
        providers = await self.chain.storage_providers()
        return next(p for p in providers if p.operator_address == operator)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_chain(
        tmp_path,
        port=0,
        local_dialect=get_local_dialect(),
        genesis=small_genesis(),
        block_interval_s=0.02,
    ) as running:
        chain = RpcChainClient(running.endpoint)
        yield World(chain)
        await chain.close()


def test_its_bytes_have_the_fields_of_the_chains_schema() -> None:
    message = v0_2.MsgEditStorageProvider(
        "0xA",
        "http://b",
        v0_2.Description("m", "i", "w", "s", "d"),
        "0xC",
        "0xD",
        "0xE",
    )
    description = b"\x0a\x01m\x12\x01i\x1a\x01w\x22\x01s\x2a\x01d"
    assert v0_2.encode_message(message) == (
        b"\x0a\x030xA\x12\x08http://b\x1a\x0f" + description + b"\x22\x030xC\x2a\x030xD\x32\x030xE"
    )
    assert v0_2.type_url(message) == "/greenfield.sp.MsgEditStorageProvider"
    assert v0_2.encode_message(v0_2.MsgEditStorageProvider("0xA")) == b"\x0a\x030xA"


async def test_what_is_given_changes_and_the_rest_stays(world: World) -> None:
    before = next(p for p in await world.chain.storage_providers() if p.operator_address == SP)
    edited = await world.edit(endpoint="http://sp.example:9033", approval_address=NEXT)
    assert (edited.endpoint, edited.approval_address) == ("http://sp.example:9033", NEXT)
    assert (edited.seal_address, edited.gc_address) == (before.seal_address, before.gc_address)
    assert (edited.total_deposit, edited.status) == (before.total_deposit, before.status)
    described = await world.edit(description=v0_2.Description("name", "[do-not-modify]", "w"))
    assert (described.moniker, described.identity, described.website) == ("name", "", "w")
    assert described.endpoint == "http://sp.example:9033"


async def test_a_receipt_of_the_earlier_approval_key_seals_nothing(world: World) -> None:
    user, sealer = world.sender("user"), world.sender("sp-0-seal")
    await user.create_bucket(create_bucket())
    object_id = await user.create_object(create_object("photo"))
    await world.edit(approval_address=NEXT)
    with pytest.raises(TransactionRefused, match="is different from approval pubkey"):
        await sealer.send(seal_object("photo", object_id))
    await world.edit(approval_address=address("sp-1-approval"))
    await sealer.send(seal_object("photo", object_id))


async def test_an_earlier_seal_address_goes_on_to_seal(world: World) -> None:
    user = world.sender("user")
    await user.create_bucket(create_bucket())
    object_id = await user.create_object(create_object("photo"))
    await world.edit(seal_address=NEXT, of=0)
    await world.sender("sp-0-seal").send(seal_object("photo", object_id))


async def test_nothing_to_change_and_unknown_providers_are_refused(world: World) -> None:
    with pytest.raises(TransactionRefused, match="StorageProvider not changed"):
        await world.edit()
    stranger = world.sender("user")
    with pytest.raises(TransactionRefused, match="StorageProvider does not exist"):
        await stranger.send(v0_2.MsgEditStorageProvider(stranger.address, gc_address=NEXT))
    with pytest.raises(TransactionRefused, match="invalid moniker length; got: 71, max: 70"):
        await world.edit(description=v0_2.Description("m" * 71))


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (v0_2.MsgEditStorageProvider("0x12", gc_address=NEXT), "invalid creator address"),
        (v0_2.MsgEditStorageProvider(SP, description=v0_2.Description()), "empty description"),
        (v0_2.MsgEditStorageProvider(SP, "http://sp/path"), "fully qualified paths"),
        (v0_2.MsgEditStorageProvider(SP, seal_address="0x1"), "invalid seal address"),
        (v0_2.MsgEditStorageProvider(SP, approval_address="0x1"), "invalid approval address"),
        (v0_2.MsgEditStorageProvider(SP, gc_address="0x1"), "invalid gc address"),
    ],
)
async def test_what_the_chain_would_not_look_at_is_refused_before(
    world: World, message: v0_2.MsgEditStorageProvider, says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        await world.sender("sp-1-operator").send(message)
