"""Read quota over real HTTP: counted, enforced and told to the owner (protocol 06 §1)."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from greenray.actors.gateway.settings import GatewaySettings
from greenray.chain.crypto import address_of
from greenray.protocol.errors import JournalFull
from greenray.protocol.objects import ActionType, Visibility
from greenray.protocol.read_quota import Read, ReadBucket
from greenray.storage.read_ledger import month_of
from tests.support.gateway_rig import Answer, GatewayRig, code_of
from tests.support.sps import test_key

PAYLOAD = bytes(range(250)) * 20
FREE_BYTES = 3 * len(PAYLOAD)
STRANGER = test_key("stranger")
ALL_RECORDS = "end-timestamp=9000000000000000&list-read-record=&max-records=100&start-timestamp=0"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[GatewayRig]:
    settings = GatewaySettings(free_read_quota_bytes=FREE_BYTES)
    rig = await GatewayRig.create(tmp_path, settings=settings)
    yield rig
    await rig.close()


async def quota(rig: GatewayRig) -> Answer:
    return await rig.get("/album", f"read-quota=&year-month={month_of(time.time())}")


async def consumed(rig: GatewayRig) -> int:
    answer = await quota(rig)
    found = re.search(rb"<ReadConsumedSize>(\d+)</ReadConsumedSize>", answer.body)
    assert found is not None, answer
    return int(found[1])


async def test_what_is_left_of_a_month_is_told_as_the_go_provider_tells_it(
    rig: GatewayRig,
) -> None:
    await rig.stored_object(PAYLOAD)
    rig.chain.buckets["album"] = replace(rig.chain.buckets["album"], charged_read_quota=77)
    await rig.get("/album/photo", Range="bytes=0-9")
    answer = await quota(rig)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/xml"
    assert answer.headers["X-Gnfd-Request-ID"].isdigit()
    assert answer.body.decode() == (
        '<GetReadQuotaResult version="1.0"><BucketName>album</BucketName><BucketID>1</BucketID>'
        f"<ReadQuotaSize>77</ReadQuotaSize><SPFreeReadQuotaSize>{FREE_BYTES}</SPFreeReadQuotaSize>"
        "<ReadConsumedSize>10</ReadConsumedSize></GetReadQuotaResult>"
    )
    before = await rig.get("/album/", "read-quota=&year-month=2020-01")
    assert b"<ReadConsumedSize>0</ReadConsumedSize>" in before.body


async def test_reads_are_listed_as_the_go_provider_lists_them(rig: GatewayRig) -> None:
    info = await rig.stored_object(PAYLOAD, "a&b")
    await rig.get("/album/a&b")
    await rig.get("/album/a&b", Range="bytes=5-6")
    answer = await rig.get("/album", ALL_RECORDS)
    text = re.sub(r">\d{16}<", ">TIME<", answer.body.decode())
    record = (
        f"<ReadRecord><ObjectName>a&amp;b</ObjectName><ObjectID>{info.id}</ObjectID>"
        f"<ReadAccountAddress>{rig.user}</ReadAccountAddress>"
        "<ReadTimestampUs>TIME</ReadTimestampUs><ReadSize>{}</ReadSize></ReadRecord>"
    )
    assert text == (
        '<GetBucketReadQuotaResult version="1.0">'
        "<NextStartTimestampUs>TIME</NextStartTimestampUs>"
        f"{record.format(len(PAYLOAD))}{record.format(2)}</GetBucketReadQuotaResult>"
    )
    first = await rig.get("/album", ALL_RECORDS.replace("records=100", "records=1"))
    after = re.search(rb"<NextStartTimestampUs>(\d+)<", first.body)
    assert after is not None
    second = await rig.get(
        "/album", ALL_RECORDS.replace("records=100", "records=1").replace("=0", f"={int(after[1])}")
    )
    assert b"<ReadSize>2</ReadSize>" in second.body
    nothing = await rig.get("/album", ALL_RECORDS.replace("9000000000000000", "1"))
    assert nothing.body == (
        b'<GetBucketReadQuotaResult version="1.0"><NextStartTimestampUs>0</NextStartTimestampUs>'
        b"</GetBucketReadQuotaResult>"
    )


async def test_a_bucket_whose_quota_is_used_is_not_read_any_more_until_its_owner_buys_some(
    rig: GatewayRig,
) -> None:
    await rig.stored_object(PAYLOAD)
    for _ in range(3):
        assert (await rig.get("/album/photo")).status == 200
    refused = await rig.get("/album/photo")
    assert (refused.status, code_of(refused)) == (403, "AccessDenied")
    assert b"<Message>Out of Quota</Message>" in refused.body
    assert "quota-exceeded" in refused.headers["X-Greenray-Error"]
    assert await consumed(rig) == FREE_BYTES
    rig.chain.buckets["album"] = replace(rig.chain.buckets["album"], charged_read_quota=10)
    assert (await rig.get("/album/photo", Range="bytes=0-9")).status == 206
    assert code_of(await rig.get("/album/photo", Range="bytes=0-0")) == "AccessDenied"


async def test_what_sends_no_payload_takes_nothing_of_the_quota(rig: GatewayRig) -> None:
    await rig.stored_object(PAYLOAD)
    rig.create_object(b"", "empty")
    headers = rig.signed("HEAD", "/album/photo")
    head = await rig.send("HEAD", "/album/photo", "", headers)
    same = await rig.get("/album/photo", If_None_Match=head.headers["ETag"])
    empty = await rig.get("/album/empty")
    outside = await rig.get("/album/photo", Range="bytes=9-1")
    assert [a.status for a in (head, same, empty, outside)] == [200, 304, 200, 400]
    assert await consumed(rig) == 0


async def test_whoever_reads_is_counted_for_the_bucket(rig: GatewayRig) -> None:
    payload = PAYLOAD[::-1]
    rig.create_object(payload, "public", visibility=Visibility.VISIBILITY_TYPE_PUBLIC_READ)
    await rig.put("/album/public", payload)
    rig.chain.seal_object("album", "public")
    assert (await rig.send("GET", "/album/public")).status == 200
    assert await consumed(rig) == len(payload)
    answer = await rig.get("/album", ALL_RECORDS)
    assert b"<ReadAccountAddress></ReadAccountAddress>" in answer.body


@pytest.mark.parametrize("query", ["read-quota=&year-month=2023-05", ALL_RECORDS])
async def test_nobody_but_the_owner_is_told(rig: GatewayRig, query: str) -> None:
    rig.chain.add_account(address_of(STRANGER))
    grant = (address_of(STRANGER), "album", "photo", ActionType.ACTION_GET_OBJECT)
    rig.chain.grants.add(grant)
    signed = rig.signed("GET", "/album", query, key=STRANGER)
    assert code_of(await rig.send("GET", "/album", query, signed)) == "AccessDenied"
    assert code_of(await rig.send("GET", "/album", query)) == "SignatureDoesNotMatch"
    assert code_of(await rig.get("/nobucket", query)) == "NoSuchBucket"
    assert code_of(await rig.get("/No_Bucket", query)) == "InvalidBucketName"


@pytest.mark.parametrize(
    "query",
    [
        "read-quota=&year-month=2023-13",
        "read-quota=&year-month=",
        ALL_RECORDS.replace("records=100", "records=x"),
        ALL_RECORDS.replace("9000000000000000", "9" * 30),
    ],
)
async def test_a_query_that_means_nothing_is_refused(rig: GatewayRig, query: str) -> None:
    assert code_of(await rig.get("/album", query)) == "InvalidQuery"


async def test_on_a_full_disk_objects_are_read_and_not_counted(
    rig: GatewayRig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await rig.stored_object(PAYLOAD)

    async def full(bucket: ReadBucket, reads: tuple[Read, ...], quota_bytes: int | None) -> int:
        raise JournalFull("no space left to write the journal", "journal.db")

    monkeypatch.setattr(rig.job_store, "count_reads", full)
    assert (await rig.get("/album/photo")).body == PAYLOAD
    assert "5000 bytes of album/photo are not counted" in caplog.text


async def test_downloads_far_from_the_quota_are_counted_when_the_gateway_closes(
    tmp_path: Path,
) -> None:
    rig = await GatewayRig.create(tmp_path)
    await rig.stored_object(PAYLOAD)
    for _ in range(3):
        assert (await rig.get("/album/photo")).status == 200
    await rig.gateway.close()
    counted = ReadBucket(rig.sp.address, rig.chain.buckets["album"].id, "album")
    assert await rig.job_store.consumed_bytes(counted, month_of(time.time())) == 3 * len(PAYLOAD)
    await rig.close()
