"""Seals are seen in blocks, with one question for each block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from greenray.chain.ports import ChainHistory
from greenray.client.seal_news import SealNews
from greenray.protocol.collection import BlockNews, ChainTip, ObjectSighting
from greenray.protocol.errors import ChainUnavailable


class Blocks(ChainHistory):
    """``sealed``: the ids that each block from the first on has sealed."""

    def __init__(self, *sealed: tuple[int, ...]) -> None:
        self.sealed = list(sealed)
        self.away = False
        self.asked: list[int] = []
        self.looks = 0

    async def first_block_hash(self) -> str:
        return "AB"

    async def latest_block(self) -> ChainTip:
        self.looks += 1
        if self.away:
            raise ChainUnavailable("nobody answers")
        return ChainTip(len(self.sealed), "AB")

    async def block_hash(self, height: int) -> str:
        return "AB"

    async def block_news(self, height: int) -> BlockNews | None:
        self.asked.append(height)
        return BlockNews(height, sealed_ids=self.sealed[height - 1])

    async def primary_of(self, bucket_name: str, height: int) -> str:
        raise AssertionError("nobody asks for it")

    async def sight_object(self, object_id: int) -> ObjectSighting:
        return ObjectSighting(object_id, 1, None)

    async def looked(self, times: int) -> None:
        await until(lambda: self.looks >= times)


async def until(reached: Callable[[], bool]) -> None:
    while True:
        if reached():
            return
        await asyncio.sleep(0)


@pytest.fixture
def blocks() -> Blocks:
    return Blocks((), (1,), ())


async def test_a_block_of_later_tells(blocks: Blocks) -> None:
    news = SealNews(blocks, 0.0)
    with news.expected(7) as seven, news.expected(8) as eight:
        await blocks.looked(3)
        assert not seven.is_set()
        blocks.sealed += [(7, 9), ()]
        await seven.wait()
        assert not eight.is_set()
    assert blocks.asked == sorted(set(blocks.asked))
    await news.close()


async def test_one_that_was_read_lately_is_known_at_once(blocks: Blocks) -> None:
    news = SealNews(blocks, 0.0)
    with news.expected(8):
        blocks.sealed.append((7,))
        await until(lambda: blocks.asked[-1:] == [4])
        with news.expected(7) as seven:
            assert seven.is_set()
    await news.close()


async def test_a_chain_that_is_away_is_asked_again(blocks: Blocks) -> None:
    blocks.away = True
    news = SealNews(blocks, 0.0)
    with news.expected(7) as seven:
        await blocks.looked(3)
        blocks.sealed.append((7,))
        blocks.away = False
        await blocks.looked(4)
        blocks.sealed.append((7,))
        await seven.wait()
    await news.close()


async def test_nobody_is_asked_when_nothing_is_expected(blocks: Blocks) -> None:
    news = SealNews(blocks, 0.0)
    with news.expected(7):
        await blocks.looked(2)
    for _ in range(10):
        await asyncio.sleep(0)
    looks = blocks.looks
    for _ in range(10):
        await asyncio.sleep(0)
    assert blocks.looks == looks
    await news.close()
