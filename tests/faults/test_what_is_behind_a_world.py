"""Whoever looks behind a random world finds what is wrong there: one thing after the other is
broken, found, and put back."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from greenray.protocol.layout import SEGMENTS
from greenray.storage.ports import ColumnKey
from tests.support.worlds.behind import Behind
from tests.support.worlds.clients import UsersObject, users_objects
from tests.support.worlds.network import World, world_of
from tests.support.worlds.plan import SEGMENT_SIZE_BYTES, Plan, PlannedObject
from tests.support.worlds.run import live_to_the_end

PLAN = Plan(1, 4, 2, 1, (PlannedObject(0, 5 * SEGMENT_SIZE_BYTES),), ())

Break = Callable[[World], None]


def _column(world: World, index: int) -> Path:
    """The only file of that column; object 1 is the client's empty one."""
    places = [Path(world.config.pieces.place(sp.address, ColumnKey(2, index))) for sp in world.sps]
    [file] = [place for place in places if place.is_file()]
    return file


def _flip(world: World) -> None:
    file = _column(world, 1)
    stored = bytearray(file.read_bytes())
    stored[1] ^= 1
    file.write_bytes(stored)


def _remove(world: World) -> None:
    _column(world, SEGMENTS).unlink()


def _leave_unfinished(world: World) -> None:
    store = _column(world, 0).parents[2]
    (store / "unfinished" / "e1_p2.a1").write_bytes(b"half of it")


def _leave_unknown(world: World) -> None:
    file = _column(world, 0)
    shutil.copy(file, file.with_name("e9_p0"))


def _journal(statement: str) -> Break:
    def change(world: World) -> None:
        journal = sqlite3.connect(world.config.state.job_store_file, isolation_level=None)
        assert journal.execute(statement).rowcount > 0, statement
        journal.close()

    return change


BROKEN: dict[str, Break] = {
    "redundancy index 1 at .*: the column has other bytes": _flip,
    "redundancy index -1 at .*: the column is not there": _remove,
    "an unfinished column": _leave_unfinished,
    "a column of an object that no job knows": _leave_unknown,
    "redundancy index 2 at .*: the record is None": _journal(
        "DELETE FROM integrity_records WHERE redundancy_index = 2"
    ),
    "sign_finished from .* in ": _journal("DELETE FROM events WHERE event = 'sign_started'"),
    "epoch 0 after": _journal("UPDATE events SET epoch = 0 WHERE event = 'seal_finished'"),
    "is sealed by .* its job says": _journal(
        "UPDATE jobs SET details = json_set(details, '$.seal_tx_hash', 'AB')"
    ),
    "nonce 0 of .* is undecided": _journal("UPDATE transactions SET state = 'reserved'"),
    r"has nonces \[5\] in blocks": _journal("UPDATE transactions SET nonce = 5"),
    "was taken and is in SIGN_OBJECT_DONE": _journal("UPDATE jobs SET state = 11"),
}


@contextmanager
def _put_back(world: World) -> Iterator[None]:
    """All files of the world, afterwards."""
    saved = world.folder.with_name("saved")
    shutil.copytree(world.folder, saved)
    try:
        yield
    finally:
        for part in ("pieces", "jobs.sqlite"):
            place = world.folder / part
            shutil.rmtree(place) if place.is_dir() else place.unlink()
            (saved / part).rename(place)
        shutil.rmtree(saved)


async def _findings(world: World, objects: list[UsersObject]) -> list[str]:
    async with Behind(world, objects) as behind:
        return await behind.findings()


async def test_everything_that_is_broken_behind_a_world_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "world"
    folder.mkdir()
    async with world_of(PLAN, folder) as world:
        objects = users_objects(world)
        await world.start()
        assert await live_to_the_end(world, objects) == []
        await world.stop()
        assert await _findings(world, objects) == []
        for finding, break_it in BROKEN.items():
            with _put_back(world):
                break_it(world)
                found = await _findings(world, objects)
            assert any(re.search(finding, each) for each in found), (finding, found)
        objects[0].taken = False
        assert "was refused and is in SEAL_OBJECT_DONE" in str(await _findings(world, objects))
