from __future__ import annotations

from dataclasses import replace

import pytest

from greenray.actors.chain_view.provider_book import ProviderBook
from greenray.protocol.errors import ChainUnavailable, UnknownStorageProvider
from greenray.protocol.objects import ProviderStatus
from tests.support.fake_chain import FakeChain
from tests.support.protocol_values import PRIMARY, SECONDARIES, provider


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain([provider(PRIMARY)])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(chain: FakeChain, clock: Clock) -> ProviderBook:
    return ProviderBook(chain, clock)


async def test_one_that_leaves_service_is_known_to_have_after_some_seconds(
    book: ProviderBook, chain: FakeChain, clock: Clock
) -> None:
    assert (await book.get(PRIMARY)).in_service
    jailed = replace(chain.providers[0], status=ProviderStatus.STATUS_IN_JAILED)
    chain.providers[0] = jailed
    assert (await book.get(PRIMARY)).in_service
    clock.now = 5.0
    assert not (await book.get(PRIMARY)).in_service


async def test_what_was_forgotten_is_asked_at_once(book: ProviderBook, chain: FakeChain) -> None:
    await book.get(PRIMARY)
    chain.providers[0] = replace(chain.providers[0], approval_address="0xNEXT")
    book.forget()
    assert (await book.get(PRIMARY)).approval_address == "0xNEXT"


async def test_a_chain_that_is_away_leaves_what_was_read_for_a_while(
    book: ProviderBook, chain: FakeChain, clock: Clock
) -> None:
    await book.get(PRIMARY)
    chain.unavailable = True
    clock.now = 299.0
    assert await book.find(PRIMARY) is not None
    clock.now = 301.0
    with pytest.raises(ChainUnavailable):
        await book.get(PRIMARY)
    book.forget()
    with pytest.raises(ChainUnavailable):
        await book.all()


async def test_an_unknown_one_is_looked_for_again_but_not_by_everybody(
    book: ProviderBook, chain: FakeChain, clock: Clock
) -> None:
    for _ in range(3):
        with pytest.raises(UnknownStorageProvider):
            await book.get(SECONDARIES[0])
    assert chain.calls.count("storage_providers") == 1
    clock.now = 2.0
    chain.providers.append(provider(SECONDARIES[0]))
    assert await book.get(SECONDARIES[0]) == provider(SECONDARIES[0])
