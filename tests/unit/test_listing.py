"""The JSON of lists is that of the v0.2 provider byte for byte, and the client reads it again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from greenray.protocol.errors import InvalidInput
from greenray.protocol.listing import (
    BucketMeta,
    ObjectMeta,
    ObjectPage,
    buckets_from_json,
    document_of,
    name_of_token,
    page_from_json,
    token_of,
)
from greenray.protocol.objects import (
    BucketInfo,
    BucketStatus,
    ObjectInfo,
    ObjectStatus,
    Visibility,
)

OWNER = "0x1C5Aaa1b5D0Ae7A9c3D56EdBB1f5e0ED7b4B7DD1"
SP = "0x9D81603B440E3D3341C64E776fE51D3275D9dbFC"
OBJECT = ObjectMeta(
    ObjectInfo(
        OWNER,
        "photos",
        "a<b&c/\u2028é.txt",
        2**64 - 1,
        5,
        Visibility.VISIBILITY_TYPE_INHERIT,
        "text/plain",
        1684137600,
        ObjectStatus.OBJECT_STATUS_SEALED,
        checksums=(bytes(32), bytes(range(32))),
        secondary_sp_addresses=(SP,),
    ),
    update_at=7,
    operator=SP,
    create_tx_hash="0x" + "ab" * 32,
    seal_tx_hash="0x" + "cd" * 32,
)
BUCKET = BucketMeta(
    BucketInfo(
        OWNER, "photos", Visibility.VISIBILITY_TYPE_PRIVATE, 3, 1684137600, OWNER, SP,
        charged_read_quota=2**63, bucket_status=BucketStatus.BUCKET_STATUS_DISCONTINUED,
    ),
    delete_at=1684137700,
    delete_reason="gone",
    operator=OWNER,
    update_at=9,
    update_time=1684137601,
)  # fmt: skip


def page(*objects: ObjectMeta, **more: Any) -> dict[str, Any]:
    return {
        "objects": [one.to_json() for one in objects],
        "is_truncated": False,
        "next_continuation_token": "",
        "common_prefixes": [],
        **more,
    }


def test_an_object_has_the_names_and_the_order_of_the_providers_messages() -> None:
    assert document_of(OBJECT).decode() == (
        '{"object_info":{"owner":"' + OWNER + '","bucket_name":"photos",'
        '"object_name":"a\\u003cb\\u0026c/\\u2028é.txt","id":"18446744073709551615",'
        '"payload_size":"5","visibility":3,"content_type":"text/plain","create_at":"1684137600",'
        '"object_status":1,"redundancy_type":0,"source_type":0,'
        '"checksums":["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",'
        '"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="],'
        '"secondary_sp_addresses":["' + SP + '"]},'
        '"locked_balance":"0x' + "0" * 64 + '","removed":false,"update_at":"7","delete_at":"0",'
        '"delete_reason":"","operator":"' + SP + '","create_tx_hash":"0x' + "ab" * 32 + '",'
        '"update_tx_hash":"0x' + "0" * 64 + '","seal_tx_hash":"0x' + "cd" * 32 + '"}'
    )


def test_a_bucket_has_the_names_and_the_order_of_the_providers_messages() -> None:
    assert document_of(BUCKET).decode() == (
        '{"bucket_info":{"owner":"' + OWNER + '","bucket_name":"photos","visibility":2,"id":"3",'
        '"source_type":0,"create_at":"1684137600","payment_address":"' + OWNER + '",'
        '"primary_sp_address":"' + SP + '","charged_read_quota":"9223372036854775808",'
        '"billing_info":{"price_time":"0","total_charge_size":"0","secondary_sp_objects_size":[]},'
        '"bucket_status":1},"removed":false,"delete_at":"1684137700","delete_reason":"gone",'
        '"operator":"' + OWNER + '","create_tx_hash":"0x' + "0" * 64 + '",'
        '"update_tx_hash":"0x' + "0" * 64 + '","update_at":"9","update_time":"1684137601"}'
    )


@pytest.mark.parametrize("meta", [OBJECT, BUCKET])
def test_what_was_written_is_read_again(meta: ObjectMeta | BucketMeta) -> None:
    assert type(meta).from_json(json.loads(document_of(meta))) == meta


def test_a_page_is_read_without_what_was_removed() -> None:
    removed = replace(OBJECT, removed=True)
    assert page_from_json(page(OBJECT, removed)) == ObjectPage((OBJECT,))
    assert buckets_from_json({"buckets": [BUCKET.to_json()]}) == (BUCKET,)


def test_only_a_page_that_is_cut_short_has_a_token() -> None:
    token = token_of("é/1")
    more = page(next_continuation_token=token, common_prefixes=["dir/"])
    assert page_from_json(more).next_token == ""
    assert page_from_json({**more, "is_truncated": True}) == ObjectPage((), ("dir/",), token)


@pytest.mark.parametrize("name", ["a", "dir/", "é/中"])
def test_a_token_is_the_name_that_its_page_begins_with(name: str) -> None:
    assert name_of_token(token_of(name)) == name


@pytest.mark.parametrize("token", ["YQ", "Y Q==", "a-_b", "/w==", "photos/cat"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput):
        name_of_token(token)


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"objects": [{}]},
        page(OBJECT, is_truncated="no"),
        page(OBJECT, common_prefixes=[1]),
        {**page(), "objects": [{**OBJECT.to_json(), "update_at": 7}]},
        {**page(), "objects": [{**OBJECT.to_json(), "update_at": "-7"}]},
    ],
)
def test_a_list_of_another_form_is_refused(document: Any) -> None:
    with pytest.raises(InvalidInput):
        page_from_json(document)
