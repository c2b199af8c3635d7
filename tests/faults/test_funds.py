"""A seal address, or a user, without coins."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenray.chain.crypto import address_of
from greenray.client.storage_client import WaitFor
from greenray.cluster.jobs import find_job
from greenray.protocol.errors import InsufficientFunds, NoSuchObject, SealAccountWithoutFunds
from tests.support.chain_hand import set_balance
from tests.support.whole_network import USER_KEY, WholeNetwork, whole_network

PAYLOAD = bytes(range(256)) * 100

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[WholeNetwork]:
    async with whole_network(tmp_path) as network:
        await network.start()
        yield network


def seal_address(network: WholeNetwork) -> str:
    return address_of(network.sps[0].seal)


async def test_a_seal_waits_for_coins_without_a_retry_and_goes_on_by_itself(
    network: WholeNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    await network.put(PAYLOAD, "first")
    caplog.set_level(logging.WARNING)
    before = set_balance(network.chain, seal_address(network), 0)
    # Created while the account could pay, as its primary knew a moment ago.
    for name in ("a", "b", "c"):
        await network.put(PAYLOAD, name, wait=WaitFor.UPLOADED)
        await network.wait_until(lambda status: status["error"] is not None, name)
    looks = 0
    while looks < 5:
        [waiting] = [find_job(network.folder / "jobs.sqlite", "album/a")]
        if waiting.error is not None:
            assert waiting.error.reason == "seal-account-without-funds"
            assert waiting.retries == 0
            # Not so while its account is looked at once more.
            looks += waiting.waits_for == "coins at the seal address of its storage provider"
        await network.wait_until(lambda status: True, "a")
    alarms = [r for r in caplog.records if "nothing is sealed" in r.message]
    assert len(alarms) == 1
    assert seal_address(network) in alarms[0].message
    set_balance(network.chain, seal_address(network), before)
    for name in ("a", "b", "c"):
        status = await network.wait_until(lambda status: status["final"], name)
        assert (status["state"], status["attempt"]) == ("SEAL_OBJECT_DONE", 0)


async def test_an_object_that_could_not_be_sealed_is_not_created(network: WholeNetwork) -> None:
    before = set_balance(network.chain, seal_address(network), 1000)
    with pytest.raises(SealAccountWithoutFunds, match=seal_address(network)):
        await network.put(PAYLOAD, "photo")
    async with network.client() as client:
        with pytest.raises(NoSuchObject):
            await client.status("album", "photo")
    set_balance(network.chain, seal_address(network), before)
    assert (await network.put(PAYLOAD, "photo"))["sealed"]


async def test_a_user_without_coins_is_told_which_account_needs_them(
    network: WholeNetwork,
) -> None:
    await network.put(PAYLOAD, "first")
    set_balance(network.chain, address_of(USER_KEY), 10)
    with pytest.raises(InsufficientFunds, match=address_of(USER_KEY)) as caught:
        await network.put(PAYLOAD, "second")
    assert not isinstance(caught.value, SealAccountWithoutFunds)
