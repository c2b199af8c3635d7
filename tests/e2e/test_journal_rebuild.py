"""A journal that is lost is made again from chain and pieces, and the chain is copied as well."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import greenray
from greenray.cli.app import app
from greenray.protocol.errors import ChainLags, ChainRolledBack
from greenray.storage.file_location import FileLocation
from greenray.storage.journal_file import check_journal
from greenray.storage.ports import ColumnKey
from tests.support.cli import SEGMENT_SIZE_BYTES

PAYLOAD = random.Random(29).randbytes(3 * SEGMENT_SIZE_BYTES + 11)
OTHER = random.Random(30).randbytes(SEGMENT_SIZE_BYTES)

pytestmark = pytest.mark.timeout(300)


def start(
    state_dir: Path, block_interval_s: float = 0.1, *, accept_rollback: bool = False
) -> greenray.Network:
    chain = {
        "block_interval_s": block_interval_s,
        "genesis_params": {"max_segment_size": SEGMENT_SIZE_BYTES},
    }
    return greenray.local_network(
        ray=False, chain=chain, state_dir=state_dir, accept_rollback=accept_rollback
    )


def run(*arguments: object) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON document of a command."""
    ran = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    return ran.exit_code, json.loads(ran.stdout)


def answer(*arguments: object) -> dict[str, Any]:
    code, document = run(*arguments)
    assert code == 0, document
    return document


def refusal(*arguments: object) -> dict[str, Any]:
    code, document = run(*arguments)
    assert code != 0
    error: dict[str, Any] = document["error"]
    return error


def records(journal: Path) -> list[tuple[Any, ...]]:
    """All integrity records, with their signatures."""
    with closing(sqlite3.connect(journal)) as connection:
        return sorted(connection.execute("SELECT * FROM integrity_records"))


@pytest.fixture(scope="module")
def ended_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state directory of a network with two sealed objects."""
    state_dir = tmp_path_factory.mktemp("rebuild") / "network"
    with start(state_dir) as network:
        network.put(PAYLOAD, "album/photo.jpg")
        network.put(OTHER, "album/other.jpg")
    return state_dir


@pytest.fixture
def state_dir(ended_network: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(ended_network, tmp_path / "network"))


def test_a_lost_journal_is_made_again_and_every_object_is_read(
    state_dir: Path, tmp_path: Path
) -> None:
    journal = state_dir / "jobs.sqlite"
    before = records(journal)
    journal.unlink()
    made = answer("journal", "rebuild", "--state-dir", state_dir)
    assert (made["jobs"], made["unfinished"], made["integrity_records"]) == (2, 0, 14)
    assert made["not_rebuilt"] == []
    assert made["path"] == str(journal)
    assert records(journal) == before, "the signatures are those that were there"
    assert check_journal(journal, thorough=True).jobs == 2
    with start(state_dir) as network:
        assert network.get("album/photo.jpg") == PAYLOAD
        assert network.get("album/other.jpg") == OTHER
        status = network.status("album/photo.jpg")
        assert str(status).startswith("album/photo.jpg: SEAL_OBJECT_DONE")
        network.put(OTHER, "album/new.jpg")
        assert network.get("album/new.jpg") == OTHER


def test_only_what_the_chain_proves_is_written_and_the_damaged_journal_is_kept(
    state_dir: Path,
) -> None:
    journal = state_dir / "jobs.sqlite"
    before = records(journal)
    victim = next(r for r in before if (r[1], r[2]) == ("1", 3))
    pieces = FileLocation(state_dir / "pieces", durable=False)
    column = Path(pieces.place(victim[0], ColumnKey(1, 3)))
    column.write_bytes(bytes([column.read_bytes()[0] ^ 1]) + column.read_bytes()[1:])
    orphan = Path(pieces.place(victim[0], ColumnKey(77, 0)))
    orphan.parent.mkdir(parents=True, exist_ok=True)
    orphan.write_bytes(b"of nobody")
    half = journal.read_bytes()[: journal.stat().st_size // 2]
    journal.write_bytes(half)

    made = answer("journal", "rebuild", "--state-dir", state_dir)
    assert {(each["object_id"], each["redundancy_index"]) for each in made["not_rebuilt"]} == {
        (1, 3),
        (77, 0),
    }
    reasons = {each["object_id"]: each["reason"] for each in made["not_rebuilt"]}
    assert reasons == {
        1: "its bytes are not those of the object on chain",
        77: "the chain has no such object",
    }
    assert records(journal) == [record for record in before if record != victim]
    [kept] = state_dir.glob("jobs.sqlite.before-*")
    assert kept.read_bytes() == half
    with start(state_dir) as network:
        assert network.get("album/photo.jpg") == PAYLOAD


def test_the_chain_is_asked_within_the_time_that_is_set(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state_dir / "jobs.sqlite").unlink()
    monkeypatch.setenv("GREENRAY_CHAIN__TIMEOUT_S", "0.000001")
    error = refusal("journal", "rebuild", "--state-dir", state_dir)
    assert error["reason"] == "chain-unavailable"
    assert not (state_dir / "jobs.sqlite").exists()


def test_a_chain_that_went_back_is_refused_until_somebody_accepts_it(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENRAY_CHAIN__LAG_PATIENCE_S", "0.1")
    journal = state_dir / "jobs.sqlite"
    shutil.copytree(state_dir / "chain", state_dir / "chain.copy")
    with start(state_dir) as network:
        network.put(OTHER, "album/lost.jpg")
    shutil.rmtree(state_dir / "chain")
    (state_dir / "chain.copy").rename(state_dir / "chain")
    journal.unlink()
    error = refusal("journal", "rebuild", "--state-dir", state_dir)
    assert error["reason"] in ("chain-lags", "chain-rolled-back")
    assert "--accept-rollback" in error["message"]
    assert not journal.exists()

    made = answer("journal", "rebuild", "--state-dir", state_dir, "--accept-rollback")
    assert made["jobs"] == 2
    with pytest.raises((ChainLags, ChainRolledBack), match="--accept-rollback"):
        start(state_dir)
    with start(state_dir, accept_rollback=True) as network:
        assert network.get("album/photo.jpg") == PAYLOAD


def test_another_chain_is_refused(state_dir: Path, tmp_path: Path) -> None:
    with start(tmp_path / "other"):
        pass
    for name in ("chain", "genesis.json", "keys.json"):
        place = state_dir / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()
        shutil.move(tmp_path / "other" / name, place)
    (state_dir / "jobs.sqlite").unlink()
    error = refusal("journal", "rebuild", "--state-dir", state_dir)
    assert error["reason"] == "another-chain"
    assert not (state_dir / "jobs.sqlite").exists()


def test_an_object_that_was_acknowledged_goes_on_with_the_rebuilt_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_dir = tmp_path / "network"
    with start(state_dir, block_interval_s=3.0) as network:
        network.put(PAYLOAD, "album/photo.jpg", wait="uploaded")
    journal = state_dir / "jobs.sqlite"
    journal.unlink()
    monkeypatch.setenv("GREENRAY_REPLICATION__DEADLINE_S", "1000")
    made = answer("journal", "rebuild", "--state-dir", state_dir)
    assert (made["jobs"], made["unfinished"]) == (1, 1)
    with closing(sqlite3.connect(journal)) as connection:
        [(deadline_at,)] = connection.execute("SELECT deadline_at FROM jobs")
    assert deadline_at <= time.time() + 1000
    with start(state_dir) as network:
        while "SEAL_OBJECT_DONE" not in str(network.status("album/photo.jpg")):
            time.sleep(0.05)
        assert network.get("album/photo.jpg") == PAYLOAD


def test_an_intact_journal_and_other_files_are_not_overwritten(
    state_dir: Path, tmp_path: Path
) -> None:
    before = records(state_dir / "jobs.sqlite")
    error = refusal("journal", "rebuild", "--state-dir", state_dir)
    assert error["reason"] == "invalid-input"
    assert "the journal is intact" in error["message"]
    other = tmp_path / "rebuilt.sqlite"
    assert answer("journal", "rebuild", other, "--state-dir", state_dir)["jobs"] == 2
    assert records(other) == before
    error = refusal("journal", "rebuild", other, "--state-dir", state_dir)
    assert "is not overwritten" in error["message"]
    assert not list(state_dir.glob("*.rebuilt"))
    with start(state_dir):
        error = refusal("journal", "rebuild", tmp_path / "more", "--state-dir", state_dir)
        assert error["reason"] == "already-running"


def test_the_chain_is_copied_while_it_runs_and_restored(tmp_path: Path) -> None:
    state_dir, copy = tmp_path / "network", tmp_path / "chain-copy"
    with start(state_dir) as network:
        network.put(PAYLOAD, "album/photo.jpg")
        assert answer("chain", "backup", copy, "--state-dir", state_dir)["path"] == str(copy)
        error = refusal("chain", "backup", copy, "--state-dir", state_dir)
        assert "is not overwritten" in error["message"]
        error = refusal("chain", "restore", copy, "--state-dir", state_dir)
        assert error["reason"] == "already-running"
        network.put(OTHER, "album/later.jpg")
    database = state_dir / "chain" / "chain.sqlite"
    database.write_bytes(database.read_bytes()[:5000])
    answer("chain", "restore", copy, "--state-dir", state_dir)
    [kept] = state_dir.glob("chain.before-*")
    assert (kept / "chain.sqlite").stat().st_size == 5000
    # Blocks were seen since the copy, so it is older than what the journal was told.
    with pytest.raises(ChainRolledBack, match="--accept-rollback"):
        start(state_dir)
    with start(state_dir, accept_rollback=True) as network:
        assert network.get("album/photo.jpg") == PAYLOAD
        network.put(OTHER, "album/other.jpg")


@pytest.mark.parametrize("what", ["nothing", "an empty directory", "a damaged copy"])
def test_what_is_no_copy_of_a_chain_is_refused_and_nothing_changes(
    state_dir: Path, tmp_path: Path, what: str
) -> None:
    copy = tmp_path / "copy"
    if what == "an empty directory":
        copy.mkdir()
    if what == "a damaged copy":
        answer("chain", "backup", copy, "--state-dir", state_dir)
        database = copy / "chain" / "chain.sqlite"
        database.write_bytes(database.read_bytes()[:5000])
    before = (state_dir / "chain" / "chain.sqlite").read_bytes()
    error = refusal("chain", "restore", copy, "--state-dir", state_dir)
    assert error["reason"] in ("invalid-input", "store-error")
    assert (state_dir / "chain" / "chain.sqlite").read_bytes() == before
    assert not list(state_dir.glob("chain.*before*"))


def test_a_directory_that_is_not_there_is_neither_made_for_a_backup_nor_left_by_a_failure(
    state_dir: Path, tmp_path: Path
) -> None:
    nowhere = tmp_path / "no such" / "directory"
    for group in ("journal", "chain"):
        refused = refusal(group, "backup", nowhere / "copy", "--state-dir", state_dir)
        assert refused["reason"] == "invalid-input"
        assert f"mkdir -p '{nowhere}'" in refused["message"]
    refusal("journal", "rebuild", "--state-dir", nowhere)
    refusal("journal", "restore", tmp_path / "no copy", "--state-dir", nowhere)
    refusal("chain", "restore", tmp_path / "no copy", "--state-dir", nowhere)
    assert not nowhere.parent.exists()
