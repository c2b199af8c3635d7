"""Keys of pages are kept for each account, domain and provider, in the order of their nonces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from greenray.protocol.errors import TooManyKeys, WrongNonce
from greenray.protocol.user_keys import MAX_DOMAINS, MAX_KEY_AGE_S, UserKey
from greenray.storage.sqlite_store import SqliteJobStore
from tests.contracts.job_store_contract import Clock

KEY = UserKey("0xSp", "0xUser", "https://app.example", "ab" * 32, 1, 1_700_003_600.0)
NAME = (KEY.sp_address, KEY.account, KEY.domain)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteJobStore]:
    store = SqliteJobStore.open(tmp_path / "journal.db", clock)
    yield store
    await store.close()


async def test_a_key_is_there_again_in_the_next_process(
    store: SqliteJobStore, tmp_path: Path
) -> None:
    assert await store.user_key(*NAME) is None
    await store.register_key(KEY)
    again = SqliteJobStore.open(tmp_path / "journal.db")
    try:
        assert await again.user_key(*NAME) == KEY
    finally:
        await again.close()


async def test_each_key_takes_the_next_nonce_and_the_place_of_the_last(
    store: SqliteJobStore,
) -> None:
    await store.register_key(KEY)
    second = replace(KEY, public_key="cd" * 32, nonce=2)
    for wrong in (KEY, replace(second, nonce=3), replace(second, nonce=0)):
        with pytest.raises(WrongNonce, match="next nonce is 2"):
            await store.register_key(wrong)
    await store.register_key(second)
    assert await store.user_key(*NAME) == second


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, sp_address="0xOther"),
        replace(KEY, account="0xOther"),
        replace(KEY, domain="https://other.example"),
    ],
)
async def test_another_provider_account_or_domain_has_a_key_of_its_own(
    store: SqliteJobStore, other: UserKey
) -> None:
    await store.register_key(KEY)
    assert await store.user_key(other.sp_address, other.account, other.domain) is None
    await store.register_key(other)
    assert await store.user_key(*NAME) == KEY


async def test_an_expired_keys_nonce_stays_used_for_as_long_as_what_was_signed_may_count(
    store: SqliteJobStore, clock: Clock
) -> None:
    await store.register_key(KEY)
    await store.register_key(replace(KEY, nonce=2, expires_at=clock.now + 1))
    clock.now += MAX_KEY_AGE_S - 1
    with pytest.raises(WrongNonce):
        await store.register_key(KEY)
    clock.now += 2
    await store.register_key(KEY)


async def test_an_account_has_keys_for_so_many_domains_and_no_more(store: SqliteJobStore) -> None:
    for number in range(MAX_DOMAINS):
        await store.register_key(replace(KEY, domain=f"https://{number}.example"))
    with pytest.raises(TooManyKeys):
        await store.register_key(KEY)
    await store.register_key(replace(KEY, domain="https://0.example", nonce=2))
    await store.register_key(replace(KEY, account="0xOther"))
