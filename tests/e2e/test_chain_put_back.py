"""A network's chain is put back to an older copy of its directory, or another one answers."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import greenray
from greenray.protocol.errors import (
    AnotherChain,
    ChainError,
    ChainLags,
    ChainRolledBack,
    ChainUnavailable,
    JournalError,
    NoSuchObject,
    WrongObjectStatus,
)
from greenray.protocol.job import JobState
from tests.support.broken_table import BrokenTable

CHAIN = {
    "block_interval_s": 0.05,
    "lag_patience_s": 0.1,
    "genesis_params": {
        "max_segment_size": 65536,
        "redundant_data_chunk_num": 2,
        "redundant_parity_chunk_num": 1,
    },
}
OLD, LOST, NEW = (random.Random(seed).randbytes(3 * 65536 + seed) for seed in (1, 2, 3))

pytestmark = pytest.mark.timeout(300)


def start(state_dir: Path, *, accept_rollback: bool = False) -> greenray.Network:
    return greenray.local_network(
        sps=4, ray=False, chain=CHAIN, state_dir=state_dir, accept_rollback=accept_rollback
    )


def cut_chain(home: Path, height: int) -> None:
    """The chain as it was after that block."""
    with closing(sqlite3.connect(home / "chain.sqlite")) as database, database:
        for table in ("state", "blocks", "transactions", "transaction_tags"):
            database.execute(f"DELETE FROM {table} WHERE height > ?", (height,))


def newest_block(home: Path) -> int:
    """Its height."""
    with closing(sqlite3.connect(home / "chain.sqlite")) as database:
        height: int = database.execute("SELECT max(height) FROM blocks").fetchone()[0]
        return height


def wait_until_rejected(network: greenray.Network, name: str) -> None:
    while True:
        try:
            network.get(name)
        except NoSuchObject:
            return
        except WrongObjectStatus:
            continue


def put_back(state_dir: Path) -> None:
    """``state_dir/chain`` is as it was when ``state_dir/chain.copy`` was made."""
    shutil.rmtree(state_dir / "chain")
    shutil.copytree(state_dir / "chain.copy", state_dir / "chain")


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Of a network whose chain was put back: ``album/lost`` was created and sealed since."""
    state = tmp_path / "state"
    with start(state) as network:
        assert network.put(OLD, "album/old").status.object_id == 1
    shutil.copytree(state / "chain", state / "chain.copy")
    with start(state) as network:
        lost = network.put(LOST, "album/lost")
        assert (lost.status.object_id, lost.status.sealed) == (2, True)
    put_back(state)
    return state


def test_nothing_goes_on_until_somebody_says_so(state_dir: Path) -> None:
    # The chain may have made new blocks in the place of the lost ones by then.
    with pytest.raises((ChainLags, ChainRolledBack), match="--accept-rollback"):
        start(state_dir)


def test_a_new_object_with_the_id_of_a_lost_one_is_stored_and_sealed_itself(
    state_dir: Path,
) -> None:
    with start(state_dir, accept_rollback=True) as network:
        new = network.put(NEW, "album/new")
        assert (new.status.object_id, new.status.state) == (2, JobState.SEAL_OBJECT_DONE)
        assert network.get("album/new") == NEW
        assert network.get("album/old") == OLD
        assert all(column.intact for column in network.pieces("album/new").columns)
        with pytest.raises(NoSuchObject):
            network.get("album/lost")
        of_two = [job for job in network.jobs(finished=True) if job.object_id == 2]
        assert [(job.name, job.state.name) for job in of_two] == [
            ("album/lost", "SEAL_OBJECT_DONE"),
            ("album/new", "SEAL_OBJECT_DONE"),
        ]
    with start(state_dir) as network:
        assert network.get("album/new") == NEW


def test_the_same_object_put_again_is_another_one(state_dir: Path) -> None:
    with start(state_dir, accept_rollback=True) as network:
        again = network.put(LOST, "album/lost")
        assert (again.status.object_id, again.status.sealed) == (2, True)
        assert network.get("album/lost") == LOST
        assert len([job for job in network.jobs(finished=True) if job.object_id == 2]) == 2


def test_an_object_whose_seal_is_lost_is_sealed_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with start(state) as network:
        network.put(OLD, "album/old")
        sealed_at = network.put(NEW, "album/unsealed").status.seal_height
    assert sealed_at is not None
    cut_chain(state / "chain", sealed_at - 1)
    with start(state, accept_rollback=True) as network:
        assert not network.status("album/unsealed").sealed
        *_, last = network.watch("album/unsealed")
        assert last.state is JobState.SEAL_OBJECT_DONE
        assert network.status("album/unsealed").sealed
        assert network.get("album/unsealed") == NEW
        assert network.put(LOST, "album/after").status.sealed


def test_an_object_that_was_given_up_in_lost_blocks_is_put_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with start(state) as network:
        records = BrokenTable(state / "jobs.sqlite", "integrity_records")
        records.take_away()
        with pytest.raises(JournalError):
            network.put(NEW, "album/given-up")
        records.put_back()
    with start(state) as network:
        height = newest_block(state / "chain")
        network.give_up_job("album/given-up")
        wait_until_rejected(network, "album/given-up")
    cut_chain(state / "chain", height)
    with start(state, accept_rollback=True) as network:
        again = network.status("album/given-up")
        assert again.state is JobState.UPLOAD_OBJECT_ERROR
        assert again.error is not None
        assert again.error.reason == "end-lost"
        assert network.put(NEW, "album/given-up").status.sealed
        assert network.get("album/given-up") == NEW


def test_a_start_that_fails_before_lost_ends_are_begun_again_leaves_them_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    with start(state) as network:
        sealed_at = network.put(NEW, "album/unsealed").status.seal_height
    assert sealed_at is not None
    cut_chain(state / "chain", sealed_at - 1)
    with monkeypatch.context() as patched:
        patched.setattr("greenray.cluster.network.begin_lost_ends_again", the_node_goes_away)
        with pytest.raises(ChainUnavailable):
            start(state, accept_rollback=True)
    with pytest.raises((ChainLags, ChainRolledBack), match="--accept-rollback"):
        start(state)
    with start(state, accept_rollback=True) as network:
        *_, last = network.watch("album/unsealed")
        assert last.state is JobState.SEAL_OBJECT_DONE
        assert network.status("album/unsealed").sealed
    with start(state) as network:
        assert network.get("album/unsealed") == NEW


async def the_node_goes_away(*_: object) -> int:
    raise ChainUnavailable("the node does not answer", "chain node")


def test_another_chain_is_told_apart_and_never_accepted(state_dir: Path, tmp_path: Path) -> None:
    with start(tmp_path / "other"):
        pass
    for name in ("chain", "genesis.json", "keys.json"):
        move_over(tmp_path / "other" / name, state_dir / name)
    with pytest.raises(AnotherChain) as caught:
        start(state_dir, accept_rollback=True)
    assert isinstance(caught.value, ChainError)


def move_over(source: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    shutil.move(source, target)
