"""The index of buckets and objects: every kind of it answers the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from greenray.protocol.collection import BlockNews
from greenray.protocol.errors import ComponentUnavailable
from greenray.protocol.index_changes import (
    BlockRecord,
    BucketCreated,
    BucketDeleted,
    BucketDiscontinued,
    BucketUpdated,
    IndexChange,
    ObjectCopied,
    ObjectCreated,
    ObjectDeleted,
    ObjectDiscontinued,
    ObjectSealed,
    ObjectUpdated,
    Stamp,
)
from greenray.protocol.listing import ObjectQuery
from greenray.protocol.objects import (
    BucketInfo,
    ObjectInfo,
    ObjectStatus,
    Visibility,
)
from greenray.storage.sqlite_store import SqliteJobStore
from tests.support.index_model import IndexModel

Index: TypeAlias = IndexModel | SqliteJobStore

OWNER, OTHER = "0xOwner", "0xOther"
PRIVATE = Visibility.VISIBILITY_TYPE_PRIVATE
PUBLIC = Visibility.VISIBILITY_TYPE_PUBLIC_READ
SEALED = ObjectStatus.OBJECT_STATUS_SEALED
TX = "0x" + "ab" * 32


@pytest.fixture(params=["sqlite", "sqlite in memory", "model"])
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Index]:
    if request.param == "model":
        yield IndexModel()
        return
    path = tmp_path / "jobs.sqlite" if request.param == "sqlite" else Path(":memory:")
    store = SqliteJobStore.open(path, clock=lambda: 1000.0)
    yield store
    await store.close()


def bucket_of(name: str, number: int = 1, owner: str = OWNER) -> BucketInfo:
    return BucketInfo(owner, name, PRIVATE, number, 5, owner, "0xSp")


def info_of(name: str, number: int = 1, bucket: str = "photos", size: int = 7) -> ObjectInfo:
    return ObjectInfo(OWNER, bucket, name, number, size, PRIVATE, "text/plain", 5)


def block(height: int, *changes: IndexChange) -> BlockRecord:
    stamp = Stamp(height, 1000 + height, TX)
    return BlockRecord(BlockNews(height), tuple((stamp, change) for change in changes))


async def built(index: Index, objects: Sequence[ObjectInfo] = (), height: int = 10) -> None:
    state = await index.begin_build(height)
    await index.put_found(state.build, [bucket_of("photos")], objects)
    assert await index.end_build(state.build, 1000)


async def apply(index: Index, height: int, *changes: IndexChange) -> None:
    assert await index.apply_blocks([block(height, *changes)], height)


async def listed(index: Index, **query: Any) -> list[dict[str, Any]]:
    page = await index.list_objects(ObjectQuery("photos", **query))
    found: list[dict[str, Any]] = json.loads(b"[" + page.documents + b"]")
    assert page.object_count == len(found)
    return found


async def names(index: Index, **query: Any) -> list[str]:
    return [one["object_info"]["object_name"] for one in await listed(index, **query)]


async def buckets(index: Index, owner: str = OWNER, limit: int = 100) -> list[str]:
    documents = json.loads(b"[" + await index.list_buckets(owner, limit) + b"]")
    return [one["bucket_info"]["bucket_name"] for one in documents]


async def test_nothing_is_answered_before_it_was_built(index: Index) -> None:
    assert await index.load_index() is None
    state = await index.begin_build(10)
    await index.put_found(state.build, [], [info_of("a")])
    for asked in (
        index.list_objects(ObjectQuery("photos")),
        index.list_buckets(OWNER, 100),
        index.object_document("photos", "a"),
        index.bucket_document("photos"),
    ):
        with pytest.raises(ComponentUnavailable):
            await asked
    assert await index.end_build(state.build, 1000)
    assert await names(index) == ["a"]


async def test_no_blocks_are_taken_while_it_is_built(index: Index) -> None:
    assert not await index.apply_blocks([block(11)], 11)
    await built(index)
    await index.begin_build(20)
    assert not await index.apply_blocks([block(21)], 21)


async def test_an_object_is_created_sealed_updated_and_removed(index: Index) -> None:
    await built(index)
    await apply(index, 11, ObjectCreated(info_of("a", 2**64 - 1)))
    (created,) = await listed(index)
    assert (created["update_at"], created["create_tx_hash"]) == ("11", TX)
    place, number = ("photos", "a"), 2**64 - 1
    await apply(index, 12, ObjectSealed(place, number, "0xSeal", SEALED, ("0xSp1", "0xSp2")))
    await apply(index, 13, ObjectUpdated(place, OWNER, PUBLIC))
    (sealed,) = await listed(index)
    assert sealed["object_info"]["secondary_sp_addresses"] == ["0xSp1", "0xSp2"]
    assert sealed["object_info"]["object_status"] == 1
    assert sealed["object_info"]["visibility"] == 1
    assert (sealed["operator"], sealed["seal_tx_hash"]) == (OWNER, TX)
    await apply(index, 14, ObjectDiscontinued(number, "no longer served", 5000))
    await apply(index, 15, ObjectDeleted(place, number, secondary_sp_addresses=("0xSp1",)))
    (removed,) = await listed(index)
    assert (removed["removed"], removed["update_at"]) == (True, "15")
    assert (removed["delete_reason"], removed["delete_at"]) == ("no longer served", "5000")
    assert removed["object_info"]["object_status"] == 2
    assert await listed(index, with_removed=False) == []
    assert json.loads(await index.object_document("photos", "a")) == removed


async def test_a_name_is_given_again(index: Index) -> None:
    await built(index)
    await apply(index, 11, ObjectCreated(info_of("a", 1)))
    await apply(index, 12, ObjectDeleted(("photos", "a"), 1, OWNER))
    await apply(index, 13, ObjectCreated(info_of("a", 2)))
    (again,) = await listed(index)
    assert (again["object_info"]["id"], again["removed"]) == ("2", False)


async def test_what_was_of_an_earlier_object_of_a_name_changes_nothing(index: Index) -> None:
    await built(index, [info_of("a", 2)])
    before = await listed(index)
    place = ("photos", "a")
    await apply(
        index,
        11,
        ObjectSealed(place, 1, "0xSeal", SEALED, ()),
        ObjectDeleted(place, 1, OWNER),
        ObjectDiscontinued(1, "", 5),
        ObjectDeleted(("photos", "never there"), 3),
    )
    assert await listed(index) == before


async def test_a_block_counts_once(index: Index) -> None:
    await built(index)
    create = block(11, ObjectCreated(info_of("a")))
    seal = block(12, ObjectSealed(("photos", "a"), 1, "0xSeal", SEALED, ()))
    assert await index.apply_blocks([create, seal], 12)
    assert await index.apply_blocks([create], 11)
    (found,) = await listed(index)
    assert found["object_info"]["object_status"] == 1
    state = await index.load_index()
    assert state is not None
    assert state.height == 12


@pytest.mark.parametrize(("size", "status"), [(7, 0), (0, 1)])
async def test_a_copy_is_an_object_of_who_copied(index: Index, size: int, status: int) -> None:
    await built(index, [info_of("a", 1, size=size)])
    await apply(index, 11, ObjectCopied(("photos", "a"), 1, ("photos", "b"), 2, OTHER))
    _, copy = await listed(index)
    info = copy["object_info"]
    assert (info["object_name"], info["id"], info["owner"]) == ("b", "2", OTHER)
    assert (info["visibility"], info["object_status"]) == (2, status)
    assert (info["create_at"], info["content_type"]) == ("1011", "text/plain")


async def test_a_copy_of_what_it_does_not_have_leaves_it_as_it_was(index: Index) -> None:
    await built(index)
    changes = (
        ObjectCreated(info_of("x", 4)),
        ObjectCopied(("photos", "a"), 1, ("photos", "b"), 2, OTHER),
    )
    assert not await index.apply_blocks([block(11, *changes)], 11)
    assert await listed(index) == []
    state = await index.load_index()
    assert state is not None
    assert state.height == 10


async def test_buckets_of_an_account_come_newest_first(index: Index) -> None:
    await built(index)
    await apply(index, 11, BucketCreated(bucket_of("b-2", 2)), BucketCreated(bucket_of("b-10", 10)))
    await apply(index, 12, BucketCreated(bucket_of("others", 11, OTHER)))
    assert await buckets(index) == ["b-10", "b-2", "photos"]
    assert await buckets(index, OTHER) == ["others"]
    assert await buckets(index, "0xNobody") == []


async def test_removed_buckets_take_no_place_from_others(index: Index) -> None:
    await built(index)
    for number in range(2, 6):
        await apply(index, 10 + number, BucketCreated(bucket_of(f"b-{number}", number)))
    for number in (3, 4, 5):
        await apply(index, 20 + number, BucketDeleted(f"b-{number}", number, OWNER))
    assert await buckets(index, limit=3) == ["b-5", "b-2", "photos"]
    assert await buckets(index, limit=1) == ["b-2", "photos"]


async def test_a_bucket_is_updated_discontinued_and_removed(index: Index) -> None:
    await built(index)
    await apply(index, 11, BucketUpdated("photos", 1, OWNER, 77, "0xPays", PUBLIC))
    await apply(index, 12, BucketDiscontinued("photos", 1, "no longer served", 5000))
    await apply(index, 13, BucketDeleted("photos", 2, OTHER))
    bucket = json.loads(await index.bucket_document("photos"))
    info = bucket["bucket_info"]
    assert (info["charged_read_quota"], info["payment_address"], info["visibility"]) == (
        "77", "0xPays", 1,
    )  # fmt: skip
    assert (info["bucket_status"], bucket["removed"]) == (1, False)
    assert (bucket["update_at"], bucket["update_time"]) == ("12", "1012")
    await apply(index, 14, BucketDeleted("photos", 1, OTHER))
    removed = json.loads(await index.bucket_document("photos"))
    assert (removed["removed"], removed["operator"]) == (True, OTHER)


async def test_what_is_built_anew_keeps_what_only_blocks_tell(index: Index) -> None:
    await built(index)
    await apply(index, 11, ObjectCreated(info_of("a", 1)), ObjectCreated(info_of("b", 2)))
    await apply(index, 12, BucketCreated(bucket_of("b-2", 2)))
    await built(index, [info_of("a", 1), info_of("c", 3)], 20)
    found = {one["object_info"]["object_name"]: one for one in await listed(index)}
    assert found["a"]["create_tx_hash"] == TX
    assert found["c"]["create_tx_hash"] == "0x" + "0" * 64
    assert [name for name, one in found.items() if one["removed"]] == ["b"]
    assert json.loads(await index.bucket_document("b-2"))["removed"]
    state = await index.load_index()
    assert state is not None
    assert (state.height, state.is_built, state.is_building) == (20, True, False)


async def test_expected_secondaries_are_none_yet(index: Index) -> None:
    created = info_of("a")
    await built(
        index,
        [ObjectInfo("0xO", "photos", "a", 1, 7, PRIVATE, "", created.create_at,
                    secondary_sp_addresses=("0xExpected",))],
    )  # fmt: skip
    (found,) = await listed(index)
    assert found["object_info"]["secondary_sp_addresses"] == []


async def test_while_it_is_built_anew_it_answers_as_before(index: Index) -> None:
    await built(index, [info_of("a")])
    state = await index.begin_build(20)
    assert await names(index) == ["a"]
    assert state.is_built
    assert await buckets(index) == ["photos"]


async def test_an_index_of_another_history_is_forgotten(index: Index) -> None:
    await built(index, [info_of("a")])
    await index.forget_index()
    assert await index.load_index() is None
    await built(index)
    assert await names(index) == []


NAMES = ["a", "dir/1", "dir/2", "dir/sub/3", "dir0", "é/1", "中", "zz/1"]


async def with_names(index: Index) -> None:
    await built(index, [info_of(name, number) for number, name in enumerate(NAMES)])


async def test_pages_follow_each_other_by_names(index: Index) -> None:
    await with_names(index)
    start, found = "", []
    while True:
        page = await index.list_objects(ObjectQuery("photos", start=start, page_size=3))
        found += json.loads(b"[" + page.documents + b"]")
        if not page.next_name:
            break
        start = page.next_name
    in_bytes = sorted(NAMES, key=str.encode)
    assert [one["object_info"]["object_name"] for one in found] == in_bytes


async def test_a_prefix_is_text_and_no_pattern(index: Index) -> None:
    await with_names(index)
    assert await names(index, prefix="dir/") == ["dir/1", "dir/2", "dir/sub/3"]
    assert await names(index, prefix="d_r") == []
    assert await names(index, prefix="%") == []
    assert await names(index, prefix="dir/", start="dir/2") == ["dir/2", "dir/sub/3"]
    assert await names(index, prefix="dir/", start="a") == ["dir/1", "dir/2", "dir/sub/3"]
    assert await names(index, prefix="dir/", start="x") == []


async def test_common_prefixes_are_told_once(index: Index) -> None:
    await with_names(index)
    page = await index.list_objects(ObjectQuery("photos", delimiter="/"))
    assert page.common_prefixes == ("dir/", "zz/", "é/")
    assert await names(index, delimiter="/") == ["a", "dir0", "中"]
    within = await index.list_objects(ObjectQuery("photos", "dir/", "/"))
    assert within.common_prefixes == ("dir/sub/",)
    assert within.object_count == 2
    odd = await index.list_objects(ObjectQuery("photos", delimiter="r/s"))
    assert odd.common_prefixes == ("dir/s",)
    assert odd.object_count == len(NAMES) - 1


async def test_a_page_ends_before_a_common_prefix(index: Index) -> None:
    await with_names(index)
    first = await index.list_objects(ObjectQuery("photos", delimiter="/", page_size=1))
    assert (first.object_count, first.common_prefixes, first.next_name) == (1, (), "dir/")
    second = await index.list_objects(
        ObjectQuery("photos", delimiter="/", page_size=1, start=first.next_name)
    )
    assert (second.object_count, second.common_prefixes) == (0, ("dir/",))
    assert second.next_name == "dir0"


async def test_a_folder_of_which_all_is_removed_is_told_with_what_was_removed_only(
    index: Index,
) -> None:
    await with_names(index)
    await apply(index, 11, ObjectDeleted(("photos", "zz/1"), 7, OWNER))
    living = await index.list_objects(ObjectQuery("photos", delimiter="/", with_removed=False))
    assert living.common_prefixes == ("dir/", "é/")
