"""Many objects as one act on a whole network: what goes wrong with one, and what is run again."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from greenray.client.payload_io import PayloadFile
from greenray.client.put_entries import PutEntry
from greenray.client.put_manifest import PutManifest
from greenray.client.put_many import ManySettings, PutMany
from greenray.client.put_outcome import ManyProgress, PutOutcome, PutStatus
from greenray.client.storage_client import StorageClient
from greenray.protocol.errors import InvalidInput, NoSpaceLeft, UnreadableFile
from greenray.protocol.objects import ObjectStatus
from tests.support.whole_network import WholeNetwork, whole_network

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[WholeNetwork]:
    async with whole_network(tmp_path) as network:
        await network.start()
        yield network


@pytest.fixture
async def client(network: WholeNetwork) -> AsyncIterator[StorageClient]:
    async with network.client() as client:
        yield client


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Twelve, of 1 to 12 kB."""
    folder = tmp_path / "files"
    folder.mkdir()
    paths = [folder / f"{number}.bin" for number in range(12)]
    for number, path in enumerate(paths):
        path.write_bytes(os.urandom(1000 * (number + 1)))
    return paths


def entry(path: Path) -> PutEntry:
    return PutEntry(path, f"album/{path.name}")


async def put(
    client: StorageClient, entries: list[PutEntry] | Iterator[PutEntry], **options: Any
) -> list[PutOutcome]:
    return [outcome async for outcome in PutMany(client, **options).outcomes(entries)]


def statuses(outcomes: list[PutOutcome]) -> set[PutStatus]:
    return {outcome.status for outcome in outcomes}


async def is_sealed(client: StorageClient, name: str) -> bool:
    info = await client._chain.head_object("album", name)
    return info.object_status is ObjectStatus.OBJECT_STATUS_SEALED


def manifest(path: Path, chain_id: str = "greenfield_9000-121") -> PutManifest:
    return PutManifest(path, chain_id, "AB")


async def test_all_are_sealed_and_told_one_by_one(client: StorageClient, files: list[Path]) -> None:
    seen: list[ManyProgress] = []
    outcomes = await put(client, map(entry, files), on_progress=seen.append)
    assert sorted(o.name for o in outcomes) == sorted(f"album/{path.name}" for path in files)
    assert statuses(outcomes) == {PutStatus.SEALED}
    assert {o.size_bytes for o in outcomes} == {path.stat().st_size for path in files}
    assert len({o.object_id for o in outcomes}) == len(files)
    total_bytes = sum(path.stat().st_size for path in files)
    assert seen[-1] == ManyProgress(len(files), 0, total_bytes)
    for before, after in pairwise(seen):
        assert after.objects >= before.objects
        assert after.bytes_done >= before.bytes_done


async def test_run_again_nothing_is_done_twice(client: StorageClient, files: list[Path]) -> None:
    first = await put(client, map(entry, files[:4]))
    again = await put(client, map(entry, files[:6]))
    done = {o.name: o.object_id for o in again if o.status is PutStatus.WAS_SEALED}
    assert done == {o.name: o.object_id for o in first}
    assert len(again) == 6
    assert all(o.ok for o in again)


async def test_those_that_cannot_be_put_are_told_and_the_others_go_on(
    client: StorageClient, files: list[Path], tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    files[1].write_bytes(b"other")
    await put(client, [PutEntry(io.BytesIO(b"first"), "album/taken")])
    outcomes = await put(
        client,
        [
            entry(files[0]),
            PutEntry(tmp_path / "nowhere", "album/nowhere"),
            PutEntry(empty, "album/empty"),
            PutEntry(files[1], "album/a//b"),
            PutEntry(files[1], "no-object"),
            PutEntry(files[1], "album/taken"),
            PutEntry(files[1], "album/refused", UnreadableFile("it is a directory", "x")),
            entry(files[2]),
        ],
    )
    assert {o.name: o.reason for o in outcomes} == {
        "album/0.bin": None,
        "album/nowhere": "unreadable-file",
        "album/empty": None,
        "album/a//b": "invalid-name",
        "no-object": "invalid-name",
        "album/taken": "integrity-hash-mismatch",
        "album/refused": "unreadable-file",
        "album/2.bin": None,
    }


async def test_a_payload_of_another_size_under_a_sealed_name_is_told(
    client: StorageClient, files: list[Path]
) -> None:
    await put(client, [PutEntry(io.BytesIO(b"first"), "album/taken")])
    (outcome,) = await put(client, [PutEntry(files[3], "album/taken")])
    assert outcome.reason == "payload-size-mismatch"


async def test_a_file_that_is_written_to_while_it_is_read_is_told_and_not_created(
    client: StorageClient, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_file = client._hash

    async def hash_and_write(file: PayloadFile, *others: Any) -> Any:
        checksums = await hash_file(file, *others)
        if getattr(file, "name", "") == str(files[0]):
            files[0].write_bytes(b"x" * files[0].stat().st_size)
        return checksums

    monkeypatch.setattr(client, "_hash", hash_and_write)
    outcomes = await put(client, map(entry, files[:2]))
    assert {o.name: o.reason for o in outcomes} == {
        "album/0.bin": "payload-changed",
        "album/1.bin": None,
    }
    monkeypatch.undo()
    assert statuses(await put(client, [entry(files[0])])) == {PutStatus.SEALED}


async def test_a_file_that_changes_after_it_was_created_is_told_and_not_sealed(
    client: StorageClient, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    create = client._created

    async def create_and_write(*arguments: Any) -> Any:
        created = await create(*arguments)
        files[0].write_bytes(b"x" * files[0].stat().st_size)
        return created

    monkeypatch.setattr(client, "_created", create_and_write)
    (outcome,) = await put(client, [entry(files[0])])
    assert outcome.reason == "payload-changed"
    assert "greenray delete album/0.bin" in str(outcome.error)
    assert not await is_sealed(client, "0.bin")
    monkeypatch.undo()
    await client.delete("album", "0.bin")
    assert statuses(await put(client, [entry(files[0])])) == {PutStatus.SEALED}


async def test_only_so_many_are_taken_ahead(client: StorageClient, files: list[Path]) -> None:
    taken = 0

    def entries() -> Iterator[PutEntry]:
        nonlocal taken
        for path in files:
            taken += 1
            yield entry(path)

    many = PutMany(client, settings=ManySettings(in_the_air=3))
    ended = 0
    async for _ in many.outcomes(entries()):
        ended += 1
        assert taken <= ended + 3
    assert ended == len(files)


async def test_the_next_is_hashed_while_one_is_uploaded(
    client: StorageClient, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_file, send_payload = client._hash, client.send_payload
    hashed, both_hashed = 0, asyncio.Event()

    async def hash_and_count(*arguments: Any) -> Any:
        nonlocal hashed
        checksums = await hash_file(*arguments)
        hashed += 1
        if hashed == 2:
            both_hashed.set()
        return checksums

    async def send_when_both_are_hashed(*arguments: Any) -> None:
        await both_hashed.wait()
        await send_payload(*arguments)

    monkeypatch.setattr(client, "_hash", hash_and_count)
    monkeypatch.setattr(client, "send_payload", send_when_both_are_hashed)
    one_by_one = ManySettings(uploads=1, ahead_bytes=1)
    outcomes = await put(client, map(entry, files[:2]), settings=one_by_one)
    assert statuses(outcomes) == {PutStatus.SEALED}


async def test_what_the_iterable_raises_is_raised_after_what_was_in_the_air(
    client: StorageClient, files: list[Path]
) -> None:
    def entries() -> Iterator[PutEntry]:
        yield from map(entry, files[:3])
        raise ValueError("no more")

    ended: list[PutOutcome] = []

    async def put_until_it_raises() -> None:
        async for outcome in PutMany(client).outcomes(entries()):
            ended.append(outcome)

    with pytest.raises(ValueError, match="no more"):
        await put_until_it_raises()
    assert [outcome.ok for outcome in ended] == [True] * 3


async def test_who_stops_in_the_middle_goes_on_where_it_was(
    client: StorageClient, files: list[Path]
) -> None:
    outcomes = PutMany(client, settings=ManySettings(in_the_air=4)).outcomes(map(entry, files))
    first = await anext(outcomes)
    await outcomes.aclose()
    assert first.ok
    again = await put(client, map(entry, files))
    assert all(o.ok for o in again)
    assert PutStatus.WAS_SEALED in statuses(again)


# --- two clients ---------------------------------------------------------------------------------


async def test_two_clients_of_one_user_share_the_work(
    network: WholeNetwork, files: list[Path]
) -> None:
    """Both put the same files at the same time: each object is created once."""
    async with network.client() as one, network.client() as other:
        both = await asyncio.gather(put(one, map(entry, files)), put(other, map(entry, files)))
    for outcomes in both:
        assert all(o.ok for o in outcomes), [str(o.error) for o in outcomes if o.error]
    ids = [{o.name: o.object_id for o in outcomes} for outcomes in both]
    assert ids[0] == ids[1]


# --- manifests -----------------------------------------------------------------------------------


async def test_what_a_manifest_has_is_not_read_again(
    client: StorageClient, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "put.manifest"
    first = manifest(path)
    await put(client, map(entry, files[:4]), manifest=first)
    await first.close()

    async def hashed(*_: Any) -> Any:
        raise AssertionError("it was hashed again")

    monkeypatch.setattr(client, "_hash", hashed)
    second = manifest(path)
    assert statuses(await put(client, map(entry, files[:4]), manifest=second)) == {
        PutStatus.WAS_SEALED
    }
    await second.close()


async def test_a_file_that_has_changed_since_is_looked_at_again(
    client: StorageClient, files: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "put.manifest"
    first = manifest(path)
    await put(client, [entry(files[0])], manifest=first)
    files[0].write_bytes(b"x" * files[0].stat().st_size)
    (outcome,) = await put(client, [entry(files[0])], manifest=first)
    assert outcome.reason == "integrity-hash-mismatch"
    await first.close()


async def test_a_full_disk_ends_it_and_nothing_is_lost(
    client: StorageClient, files: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "put.manifest"
    small = manifest(path)
    small._connection.execute("PRAGMA max_page_count = 1")
    entries = (PutEntry(path, f"album/{'x' * 900}{path.name}") for path in files)
    ended: list[PutOutcome] = []

    async def put_until_full() -> None:
        async for outcome in PutMany(client, manifest=small).outcomes(entries):
            ended.append(outcome)
        await small.write()

    with pytest.raises(NoSpaceLeft, match="run it again"):
        await put_until_full()
    with pytest.raises(NoSpaceLeft):
        await small.close()
    assert all(outcome.ok for outcome in ended)
    larger = manifest(path)
    again = await put(client, map(entry, files), manifest=larger)
    await larger.close()
    assert all(o.ok for o in again)


def test_what_is_no_manifest_is_left_as_it_is(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a manifest, and long enough to be taken for something else " * 20)
    before = text.read_bytes()
    with pytest.raises(InvalidInput, match="no manifest"):
        manifest(text)
    assert text.read_bytes() == before
    with pytest.raises(UnreadableFile, match="no regular file"):
        manifest(tmp_path)
    with pytest.raises(UnreadableFile, match="cannot be written"):
        manifest(tmp_path / "nowhere" / "put.manifest")


async def test_a_manifest_is_of_one_chain(tmp_path: Path) -> None:
    await manifest(tmp_path / "m").close()
    with pytest.raises(InvalidInput, match="of another chain"):
        manifest(tmp_path / "m", "greenfield_9000-7")
