from __future__ import annotations

import logging
from dataclasses import replace
from itertools import pairwise

import pytest

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.actors.chain_view.seal_funds import SealFunds
from greenray.chain.dialect import Coin
from greenray.client.network_file import SealAccount
from greenray.cluster.seal_accounts import tell
from greenray.protocol.errors import SealAccountWithoutFunds
from greenray.protocol.seal_funds import LOW_BELOW_SEALS, believed_for_s, seals_left
from tests.support.fake_chain import FakeChain
from tests.support.protocol_values import PRIMARY, provider

COST = Coin("BNB", 100)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_seals_left_are_those_that_are_paid_in_full() -> None:
    assert [seals_left(balance, 100) for balance in (0, 99, 100, 250)] == [0, 0, 1, 2]
    assert seals_left(0, 0) >= LOW_BELOW_SEALS


def test_much_is_believed_longer_than_little() -> None:
    assert believed_for_s(1) == 1.0
    assert believed_for_s(3000) == 10.0
    assert believed_for_s(10**9) == 60.0


async def test_an_account_is_asked_again_only_after_it_may_have_been_spent() -> None:
    clock = Clock()
    chain = FakeChain([replace(provider(PRIMARY), seal_address="0xSEAL")])
    funds = SealFunds(chain, ProviderBook(chain, clock), COST, clock)
    address = "0xSEAL"
    chain.balances[address] = 100 * 600
    for clock.now in (0.0, 1.0, 1.9):
        await funds.check(PRIMARY)
    assert chain.calls.count("balance") == 1
    chain.balances[address] = 99
    clock.now = 2.0
    with pytest.raises(SealAccountWithoutFunds, match=f"{address} of {PRIMARY} has 99 BNB"):
        await funds.check(PRIMARY)
    chain.balances[address] = 100
    await funds.check(PRIMARY)


def test_an_operator_is_told_once_of_low_empty_and_funded_accounts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    low = SealAccount("0xSP", "0xSEAL", "5BNB", 5)
    empty = SealAccount("0xSP", "0xSEAL", "0BNB", 0)
    for before, now in pairwise([(), (low,), (low,), (empty,), (empty,), ()]):
        tell(before, now)
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in told] == ["WARNING", "ERROR", "WARNING"]
    assert "has 5BNB, enough for 5 seals" in told[0][1]
    assert "accepts no objects" in told[1][1]
    assert told[2][1] == "seal address 0xSEAL has been funded"
