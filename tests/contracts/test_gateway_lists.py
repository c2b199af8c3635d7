"""Lists of buckets and objects over HTTP: bodies, pages and errors of the v0.2 provider."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from greenray.client.gateway_session import GatewaySession
from greenray.client.lists import listed_buckets, listed_objects
from greenray.protocol.errors import BadAnswer, InvalidInput, InvalidName
from greenray.protocol.listing import ObjectQuery, StreamRecord
from greenray.protocol.objects import BucketInfo, ObjectInfo, Visibility
from tests.support.gateway_rig import Answer, GatewayRig

PRIVATE = Visibility.VISIBILITY_TYPE_PRIVATE
NAMES = ("a", "dir/1", "dir/2", "é&<", "z")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[GatewayRig]:
    rig = await GatewayRig.create(tmp_path, domain="gnfd.test.local")
    yield rig
    await rig.close()


async def index(rig: GatewayRig, *names: str) -> None:
    bucket = BucketInfo(rig.user, "album", PRIVATE, 1, 5, rig.user, rig.sp.address)
    infos = [
        ObjectInfo(rig.user, "album", name, number, 7, PRIVATE, "text/plain", 5)
        for number, name in enumerate(names)
    ]
    state = await rig.job_store.begin_build(10)
    await rig.job_store.put_found(state.build, [bucket], infos)
    await rig.job_store.end_build(state.build, 1000)


async def page(rig: GatewayRig, query: str = "") -> dict[str, Any]:
    answer = await rig.send("GET", "/album/", query)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    found: dict[str, Any] = json.loads(answer.body)
    return found


def names_of(document: dict[str, Any]) -> list[str]:
    return [one["object_info"]["object_name"] for one in document["objects"]]


def refusal(answer: Answer) -> tuple[int, str]:
    document = json.loads(answer.body)
    assert set(document) == {"code", "message", "requestID"}
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status, document["code"]


async def test_an_empty_bucket_and_one_that_is_not_there_have_the_providers_bytes(
    rig: GatewayRig,
) -> None:
    await index(rig)
    for bucket in ("album", "no-such-bucket"):
        answer = await rig.send("GET", f"/{bucket}/")
        assert answer.body.decode() == (
            '{"objects":[],"key_count":"0","max_keys":"50","is_truncated":false,'
            '"next_continuation_token":"","name":"' + bucket + '","prefix":"","delimiter":"",'
            '"common_prefixes":[],"continuation_token":""}'
        )
    nobody = {"X-Gnfd-User-Address": "0x" + "00" * 20}
    assert (await rig.send("GET", "/", headers=nobody)).body == b'{"buckets":[]}'


async def test_pages_follow_each_other(rig: GatewayRig) -> None:
    await index(rig, *NAMES)
    first = await page(rig, "max-keys=2")
    assert names_of(first) == ["a", "dir/1"]
    assert (first["key_count"], first["max_keys"], first["is_truncated"]) == ("2", "2", True)
    token = first["next_continuation_token"]
    assert base64.b64decode(token) == b"dir/2"
    second = await page(rig, f"max-keys=3&continuation-token={token.replace('=', '%3D')}")
    assert names_of(second) == ["dir/2", "z", "é&<"]
    assert (second["is_truncated"], second["next_continuation_token"]) == (False, "")
    assert second["continuation_token"] == token


async def test_common_prefixes_count_as_keys(rig: GatewayRig) -> None:
    await index(rig, *NAMES)
    found = await page(rig, "delimiter=%2F&max-keys=3")
    assert (names_of(found), found["common_prefixes"]) == (["a", "z"], ["dir/"])
    assert (found["key_count"], found["is_truncated"]) == ("3", True)
    within = await page(rig, "delimiter=/&prefix=dir/")
    assert (names_of(within), within["prefix"], within["delimiter"]) == (
        ["dir/1", "dir/2"], "dir/", "/",
    )  # fmt: skip


async def test_start_after_is_the_first_name_itself_as_at_the_provider(rig: GatewayRig) -> None:
    await index(rig, *NAMES)
    assert names_of(await page(rig, "start-after=dir/2")) == ["dir/2", "z", "é&<"]
    assert (await page(rig, "start-after=z"))["continuation_token"] == "eg=="


@pytest.mark.parametrize("max_keys", ["1000", "1001", "18446744073709551615"])
async def test_a_page_has_at_most_a_thousand_keys(rig: GatewayRig, max_keys: str) -> None:
    await index(rig, *(f"o-{number:04}" for number in range(1001)))
    found = await page(rig, f"max-keys={max_keys}")
    assert (len(found["objects"]), found["max_keys"]) == (1000, "1000")
    assert found["is_truncated"]
    by_default = await page(rig)
    assert (len(by_default["objects"]), by_default["is_truncated"]) == (50, True)


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/x/", "", "InvalidBucketName"),
        ("/album/", "max-keys=0", "InvalidMaxKeys"),
        ("/album/", "max-keys=-1", "InvalidMaxKeys"),
        ("/album/", "max-keys=%2B5", "InvalidMaxKeys"),
        ("/album/", "max-keys=18446744073709551616", "InvalidMaxKeys"),
        ("/album/", "max-keys=ten", "InvalidMaxKeys"),
        ("/album/", "start-after=a//b", "InvalidStartAfter"),
        ("/album/", "continuation-token=photos/cat", "InvalidContinuationToken"),
        ("/album/", "continuation-token=Ly8%3D", "InvalidContinuationToken"),
        ("/album/", "continuation-token=YQ%3D%3D&prefix=b", "InvalidContinuationToken"),
        ("/album/", "prefix=a//b", "InvalidPrefix"),
        ("/album/", "prefix=../a", "InvalidPrefix"),
        ("/album/", "prefix=%FF", "InvalidPrefix"),
        ("/album/a//b", "object-meta=", "InvalidKey"),
    ],
)
async def test_nonsense_is_refused_as_at_the_provider(
    rig: GatewayRig, path: str, query: str, code: str
) -> None:
    await index(rig)
    assert refusal(await rig.send("GET", path, query)) == (400, code)


@pytest.mark.parametrize("address", ["", "0x12", "0x" + "g" * 40, "0x" + "0" * 41])
async def test_an_address_that_is_none_is_refused(rig: GatewayRig, address: str) -> None:
    await index(rig)
    answer = await rig.send("GET", "/", headers={"X-Gnfd-User-Address": address})
    assert refusal(answer) == (400, "InvalidAddress")


async def test_an_account_is_meant_however_its_address_is_written(rig: GatewayRig) -> None:
    await index(rig)
    for address in (rig.user, rig.user.lower(), rig.user[2:].upper()):
        answer = await rig.send("GET", "/", headers={"X-Gnfd-User-Address": address})
        (bucket,) = json.loads(answer.body)["buckets"]
        assert bucket["bucket_info"]["bucket_name"] == "album"


async def test_one_object_and_one_bucket_are_told(rig: GatewayRig) -> None:
    await index(rig, *NAMES)
    found = json.loads((await rig.send("GET", "/album/dir/1", "object-meta=")).body)
    assert found["object"]["object_info"]["object_name"] == "dir/1"
    bucket = json.loads((await rig.send("GET", "/album/", "bucket-meta=")).body)
    assert bucket["bucket"]["bucket_info"]["owner"] == rig.user
    assert bucket["stream_record"] is None
    record = StreamRecord(rig.user, 5, "-7", "0", "9", "0", 0, 99, (("0xSp", "7"),))
    rig.chain.stream_records[rig.user] = record
    answer = await rig.send("GET", "/album/", "bucket-meta=")
    assert answer.body.decode().endswith(
        ',"stream_record":{"account":"' + rig.user + '","crud_timestamp":"5",'
        '"netflow_rate":"-7","static_balance":"0","buffer_balance":"9","lock_balance":"0",'
        '"status":0,"settle_timestamp":"99","out_flows":[{"to_address":"0xSp","rate":"7"}]}}'
    )
    missing = await rig.send("GET", "/album/nothing", "object-meta=")
    assert refusal(missing) == (404, "NoSuchKey")
    missing = await rig.send("GET", "/nothing/", "bucket-meta=")
    assert refusal(missing) == (404, "NoSuchBucket")


async def test_a_host_of_the_domain_is_a_bucket(rig: GatewayRig) -> None:
    await index(rig, "a")
    answer = await rig.send("GET", "/", headers={"Host": "album.gnfd.test.local"})
    assert names_of(json.loads(answer.body)) == ["a"]


async def test_until_there_is_an_index_clients_are_told_to_come_again(rig: GatewayRig) -> None:
    answer = await rig.send("GET", "/album/")
    assert refusal(answer) == (503, "ServiceUnavailable")
    assert "Retry-After" in answer.headers


async def test_a_first_page_waits_for_the_newest_blocks_and_later_ones_do_not(
    rig: GatewayRig,
) -> None:
    await index(rig, *NAMES)
    await page(rig)
    assert rig.follower.followed == 1
    await page(rig, "continuation-token=eg%3D%3D")
    assert rig.follower.followed == 1
    rig.follower.failing = True
    assert names_of(await page(rig, "prefix=z")) == ["z"]


# --- the client --------------------------------------------------------------------------------


@pytest.fixture
async def session(rig: GatewayRig) -> AsyncIterator[GatewaySession]:
    session = GatewaySession(f"http://127.0.0.1:{rig.gateway.port(rig.sp.address)}", rig.user_key)
    yield session
    await session.close()


async def test_the_client_reads_all_pages(rig: GatewayRig, session: GatewaySession) -> None:
    await index(rig, *NAMES)
    pages = [one async for one in listed_objects(session, ObjectQuery("album", page_size=2))]
    assert [len(one.objects) for one in pages] == [2, 2, 1]
    assert [one.info.object_name for page in pages for one in page.objects] == sorted(NAMES)
    grouped = [one async for one in listed_objects(session, ObjectQuery("album", "", "/"))]
    assert [one.common_prefixes for one in grouped] == [("dir/",)]
    (bucket,) = await listed_buckets(session, rig.user)
    assert bucket.info.primary_sp_address == rig.sp.address


async def test_the_client_says_what_is_wrong_before_it_asks(session: GatewaySession) -> None:
    for query in (ObjectQuery("album", page_size=0), ObjectQuery("album", page_size=1001)):
        with pytest.raises(InvalidInput):
            await anext(listed_objects(session, query))
    with pytest.raises(InvalidName):
        await anext(listed_objects(session, ObjectQuery("x")))
    with pytest.raises(InvalidInput):
        await listed_buckets(session, "0x12")


async def test_a_refusal_reaches_the_client(rig: GatewayRig, session: GatewaySession) -> None:
    await index(rig)
    with pytest.raises(BadAnswer, match="HTTP 400"):
        await anext(listed_objects(session, ObjectQuery("album", "a//b")))
