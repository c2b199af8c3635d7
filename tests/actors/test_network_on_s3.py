"""A whole network whose pieces are all in one bucket of a real S3 server."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenray.client.storage_client import WaitFor
from greenray.protocol.job import JobState
from greenray.protocol.layout import SEGMENTS
from greenray.protocol.scrub import DamageKind
from greenray.storage.ports import ColumnKey
from tests.support.s3_server import S3Server, s3_server
from tests.support.whole_network import SEGMENT_SIZE_BYTES, whole_network

PAYLOAD = random.Random(8).randbytes(SEGMENT_SIZE_BYTES * 9 + 100)


@pytest.fixture
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.mark.parametrize("cold", [False, True], ids=["hot columns", "read back from the bucket"])
async def test_an_object_is_sealed_and_read_back(
    server: S3Server, tmp_path: Path, cold: bool
) -> None:
    async with whole_network(tmp_path) as network:
        network.bucket, network.cold = server.bucket("net"), cold
        await network.start()
        status = await network.put(PAYLOAD)
        assert status["state"] == JobState.SEAL_OBJECT_DONE.name
        assert await network.get() == PAYLOAD

        key = int(status["object_id"])
        primary = network.piece_store(network.primary)
        assert list(primary.list_columns()) == [ColumnKey(key, SEGMENTS)]
        for secondary in status["secondaries"]:
            store = network.piece_store(secondary["operator_address"])
            assert list(store.list_columns()) == [ColumnKey(key, secondary["redundancy_index"])]
            assert list(store.list_unfinished()) == []
        assert not (tmp_path / "pieces").exists()


async def test_after_a_crash_the_job_goes_on_from_what_is_in_the_bucket(
    server: S3Server, tmp_path: Path
) -> None:
    async with whole_network(tmp_path) as network:
        network.bucket = server.bucket("net")
        await network.start(task_node=False)
        await network.put(PAYLOAD, wait=WaitFor.UPLOADED)
        await network.kill()
        network.freeze_after(6)
        await network.start()
        await network.frozen.wait()
        await network.kill()
        await network.start()
        await network.wait_until(lambda s: s["state"] == JobState.SEAL_OBJECT_DONE.name)
        assert await network.get() == PAYLOAD


async def test_an_outage_of_s3_delays_the_seal_and_spoils_nothing(
    server: S3Server, tmp_path: Path
) -> None:
    async with whole_network(tmp_path) as network:
        network.bucket = server.bucket("net", attempts=1)
        await network.start(task_node=False)
        await network.put(PAYLOAD, wait=WaitFor.UPLOADED)
        server.refuse_next("PUT", "503 Service Unavailable", "ServiceUnavailable", times=12)
        network.start_task_node()
        status = await network.wait_until(lambda s: s["state"] == JobState.SEAL_OBJECT_DONE.name)
        assert status["attempt"] > 0
        assert await network.get() == PAYLOAD
        [seal] = await network.seal_transactions()
        assert seal["tx_result"]["code"] == 0


async def test_a_scrub_finds_and_repairs_what_the_bucket_has_lost(
    server: S3Server, tmp_path: Path
) -> None:
    async with whole_network(tmp_path) as network:
        bucket = network.bucket = server.bucket("net")
        await network.start()
        status = await network.put(PAYLOAD)
        before = {name: bucket.get(name) for name, _ in bucket.list("")}
        assert (await network.scrub()).findings == ()

        def lose(sp_address: str, kind: str) -> str:
            """The first object of that kind in the SP's place."""
            [*found] = [n for n in before if sp_address.lower() in n and f"/{kind}/" in n]
            bucket.delete(min(found))
            return min(found)

        lost, gone, record = status["secondaries"][1], status["secondaries"][4], network.primary
        lose(lost["operator_address"], "parts")
        lose(gone["operator_address"], "columns")
        bucket.put(lose(record, "columns"), b"no record")
        broken = (await network.scrub()).broken
        assert {
            finding.redundancy_index: [damage.kind for damage in finding.damages]
            for finding in broken
        } == {
            SEGMENTS: [DamageKind.UNREADABLE],
            lost["redundancy_index"]: [DamageKind.SHORT],
            gone["redundancy_index"]: [DamageKind.MISSING],
        }
        assert len((await network.scrub(repair=True)).repaired) == 3
        assert (await network.scrub()).findings == ()
        assert await network.get() == PAYLOAD
