"""One Uploader per node, seen as one."""

from __future__ import annotations

from greenray.actors.ports import ColumnRef
from greenray.actors.uploader.directory import UploaderDirectory
from greenray.protocol.errors import ComponentUnavailable
from greenray.protocol.job import JobContext
from tests.support.protocol_values import new_job

SP, OBJECT = "0xabc", 7


class Uploader:
    """Holds the batches that it is told; ``asked`` counts questions."""

    def __init__(self, *batches: int) -> None:
        self.batches = set(batches)
        self.asked = 0
        self.released = 0
        self.away = False

    async def hot_columns(
        self, sp_address: str, object_id: int, batch_index: int
    ) -> tuple[ColumnRef, ...] | None:
        self.asked += 1
        self._check()
        return (self, batch_index) if batch_index in self.batches else None

    async def release_batch(self, sp_address: str, object_id: int, batch_index: int) -> None:
        self.batches.discard(batch_index)
        self._check()

    async def release_object(self, sp_address: str, object_id: int) -> None:
        self.released += 1
        self._check()

    async def wait_for_batch(self, job: JobContext, batch_index: int) -> bool:
        self.asked += 1
        self._check()
        return batch_index in self.batches

    async def wait_for_end(self, job: JobContext) -> None:
        self._check()

    def _check(self) -> None:
        if self.away:
            raise ComponentUnavailable("away")


async def test_only_the_one_that_holds_the_object_is_asked_again() -> None:
    first, second = Uploader(), Uploader(0, 2)
    directory = UploaderDirectory([first, second])
    assert await directory.hot_columns(SP, OBJECT, 0) == (second, 0)
    assert await directory.hot_columns(SP, OBJECT, 1) is None
    assert await directory.hot_columns(SP, OBJECT, 2) == (second, 2)
    assert (first.asked, second.asked) == (1, 3)
    assert await directory.hot_columns(SP, OBJECT + 1, 2) == (second, 2)
    assert first.asked == 2


async def test_an_object_is_released_where_it_is_held_and_forgotten() -> None:
    first, second = Uploader(), Uploader(0)
    directory = UploaderDirectory([first, second])
    await directory.hot_columns(SP, OBJECT, 0)
    await directory.release_object(SP, OBJECT)
    assert (first.released, second.released) == (0, 1)
    first.batches, second.batches = {0}, set()
    assert await directory.hot_columns(SP, OBJECT, 0) == (first, 0)


async def test_an_object_that_nobody_was_seen_to_hold_is_released_everywhere() -> None:
    first, second = Uploader(), Uploader()
    await UploaderDirectory([first, second]).release_object(SP, OBJECT)
    assert (first.released, second.released) == (1, 1)


async def test_an_uploader_that_is_away_holds_nothing() -> None:
    first, second = Uploader(0), Uploader(0)
    directory = UploaderDirectory([first, second])
    first.away = True
    assert await directory.hot_columns(SP, OBJECT, 0) == (second, 0)
    second.away = True
    assert await directory.hot_columns(SP, OBJECT, 0) is None
    await directory.release_object(SP, OBJECT)


async def test_a_running_upload_is_waited_for_where_it_arrives() -> None:
    first, second = Uploader(), Uploader(0)
    directory = UploaderDirectory([first, second])
    assert await directory.wait_for_batch(new_job(), 0)
    assert not await directory.wait_for_batch(new_job(), 1)
    assert (first.asked, second.asked) == (1, 2)


async def test_an_upload_whose_uploader_is_away_is_over() -> None:
    uploader = Uploader(0)
    uploader.away = True
    directory = UploaderDirectory([uploader])
    assert not await directory.wait_for_batch(new_job(), 0)
    await directory.wait_for_end(new_job())
