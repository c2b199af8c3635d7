"""abci_query on the paths, heights and request bytes that only a wrong client sends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from greenray.chain import wire
from greenray.chain.dialects import get_local_dialect
from greenray.chain.dialects.v0_2.local_rules.records import put_bucket
from greenray.chain.local.app import Application
from greenray.chain.local.gogoproto import WireError, check
from greenray.chain.local.ledger.state import ChainDatabase, Overlay, StoredBlock
from greenray.chain.local.queries import QueryAnswer, QueryRouter
from tests.support.local_chain import address, small_genesis

HEAD_BUCKET = "/greenfield.storage.Query/HeadBucket"
ACCOUNT = "/cosmos.auth.v1beta1.Query/Account"


@pytest.fixture(scope="module")
def app() -> Iterator[Application]:
    database = ChainDatabase(Path(":memory:"))
    app = Application(database, get_local_dialect(), small_genesis(), 10**18)
    for _ in range(3):
        app.make_block([], 0)
    yield app
    database.close()


@pytest.mark.parametrize(
    ("path", "code", "log"),
    [
        ("", 6, "no query path provided: unknown request"),
        ("/", 6, "unknown query path: unknown request"),
        ("/p2p/filter", 6, "unknown query path: unknown request"),
        (
            "/app",
            6,
            "expected second parameter to be either 'simulate' or 'version', neither was present:"
            " unknown request",
        ),
        ("/app/nope", 6, "unknown query: [app nope]: unknown request"),
        (
            "/cosmos.tx.v1beta1.Service/BroadcastTx",
            18,
            "can't route a broadcast tx message: invalid request",
        ),
    ],
)
def test_a_path_that_is_no_method_is_refused_at_height_0(
    app: Application, path: str, code: int, log: str
) -> None:
    answer = QueryRouter(app).answer(path, b"", 0)
    assert (answer.code, answer.codespace, answer.log, answer.height) == (code, "sdk", log, 0)


def test_the_first_slash_of_an_app_path_may_be_missing(app: Application) -> None:
    assert QueryRouter(app).answer("app/version", b"", 0).value == b"v0.2.0"


@pytest.mark.parametrize(
    ("height", "prove", "code", "log"),
    [
        (-1, False, 18, "cannot query with height < 0; please provide a valid height"),
        (99, False, 26, "cannot query with height in the future; please provide a valid height"),
        (1, True, 18, "cannot query with proof when height <= 1; please provide a valid height"),
    ],
)
def test_a_height_that_cannot_be_asked_is_refused(
    app: Application, height: int, prove: bool, code: int, log: str
) -> None:
    answer = QueryRouter(app).answer(HEAD_BUCKET, b"", height, prove=prove)
    assert (answer.code, answer.height) == (code, 0)
    assert answer.log.startswith(log)


def test_a_refused_query_of_a_past_height_names_that_height(app: Application) -> None:
    answer = QueryRouter(app).answer(HEAD_BUCKET, b"", 2)
    assert (answer.code, answer.log, answer.height) == (6, "No such bucket: unknown request", 2)


@pytest.mark.parametrize(
    ("data", "log"),
    [
        (b"\xff\xff\xff", "unexpected EOF"),
        (b"\xff" * 11, "proto: integer overflow"),
        (b"\x08\x01", "proto: wrong wireType = 0 for field BucketName"),
        (b"\x0a\x05ab", "unexpected EOF"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "proto: negative length found"),
        (b"\x0c", "proto: QueryHeadBucketRequest: wiretype end group for non-group"),
        (b"\x02\x00", "proto: QueryHeadBucketRequest: illegal tag 0 (wire type 2)"),
        (b"\x4f\x00", "proto: illegal wireType 7"),
        (b"\x4d\x00", "unexpected EOF"),
    ],
)
def test_bytes_that_are_no_request_are_refused_in_the_decoders_words(
    app: Application, data: bytes, log: str
) -> None:
    answer = QueryRouter(app).answer(HEAD_BUCKET, data, 0)
    assert (answer.code, answer.codespace) == (18, "sdk")
    assert answer.log.startswith(log)
    assert answer.log.endswith(": invalid request")


def test_unknown_fields_of_every_wire_type_are_skipped(app: Application) -> None:
    unknown = b"\x48\x01" + b"\x49" + bytes(8) + b"\x4a\x01x" + b"\x4b\x48\x01\x4c" + b"\x4d" * 5
    request = wire.auth.QueryAccountRequest(address=address("user")).SerializeToString()
    answer = QueryRouter(app).answer(ACCOUNT, request + unknown, 0)
    assert answer.code == 0


LIST_BUCKETS = "/greenfield.storage.Query/ListBuckets"


@pytest.fixture(scope="module")
def many_buckets() -> Iterator[QueryRouter]:
    """Buckets 1 to 300, of names whose hashes have another order."""
    database = ChainDatabase(Path(":memory:"))
    app = Application(database, get_local_dialect(), small_genesis(), 10**18)
    state = Overlay(database)
    for number in range(1, 301):
        put_bucket(state, wire.storage.BucketInfo(bucket_name=f"bucket-{number}", id=str(number)))
    database.commit(StoredBlock(2, b"", b"", ""), state.writes(), [])
    yield QueryRouter(app)
    database.close()


def _listed(queries: QueryRouter, **page: object) -> tuple[list[str], wire.query.PageResponse]:
    request = wire.storage.QueryListBucketsRequest(pagination=wire.query.PageRequest(**page))
    answer = queries.answer(LIST_BUCKETS, request.SerializeToString(), 0)
    assert answer.code == 0, answer.log
    response = wire.storage.QueryListBucketsResponse.FromString(answer.value or b"")
    return [bucket.id for bucket in response.bucket_infos], response.pagination


def test_buckets_are_listed_in_the_order_of_the_bytes_of_their_ids(
    many_buckets: QueryRouter,
) -> None:
    ids, page = _listed(many_buckets, limit=4, count_total=True)
    assert ids == ["1", "256", "257", "258"]
    assert (page.next_key, page.total) == (b"\x01\x03", 300)


def test_pages_of_buckets_go_on_at_the_key_and_hold_each_bucket_once(
    many_buckets: QueryRouter,
) -> None:
    found, page = _listed(many_buckets, limit=77)
    while page.next_key:
        ids, page = _listed(many_buckets, limit=77, key=page.next_key)
        found += ids
    assert sorted(map(int, found)) == list(range(1, 301))
    assert found[-1] == "255"


def test_pages_of_buckets_backwards_begin_with_the_last(many_buckets: QueryRouter) -> None:
    ids, page = _listed(many_buckets, limit=2, reverse=True)
    assert (ids, page.next_key) == (["255", "254"], b"\xfd")


@pytest.mark.parametrize(
    "text", ["200", "+200", "0xc8", "0XC8", "0310", "0o310", "0b11001000", "2_00"]
)
def test_an_id_is_read_as_go_reads_a_number_that_chooses_its_base(
    many_buckets: QueryRouter, text: str
) -> None:
    answer = _bucket_by_id(many_buckets, text)
    bucket = wire.storage.QueryHeadBucketResponse.FromString(answer.value or b"").bucket_info
    assert (answer.code, bucket.id) == (0, "200")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *[(text, 18) for text in ("", "-1", "08", "1__0", "_1", " 1", "0x", "²", "9" * 9999)],
        (str(2**256), 18),
        *[(text, 6) for text in (str(2**256 - 1), "0", "-0")],
    ],
)
def test_an_id_that_is_no_number_is_refused_and_others_are_missing(
    many_buckets: QueryRouter, text: str, code: int
) -> None:
    assert _bucket_by_id(many_buckets, text).code == code


def _bucket_by_id(queries: QueryRouter, text: str) -> QueryAnswer:
    request = wire.storage.QueryHeadBucketByIdRequest(bucket_id=text)
    path = "/greenfield.storage.Query/HeadBucketById"
    return queries.answer(path, request.SerializeToString(), 0)


@pytest.mark.parametrize("reverse", [False, True])
def test_pages_of_providers_hold_each_once_in_both_directions(
    app: Application, reverse: bool
) -> None:
    found: list[str] = []
    key = b""
    while not found or key:
        page = wire.query.PageRequest(limit=3, key=key, reverse=reverse)
        request = wire.sp.QueryStorageProvidersRequest(pagination=page)
        answer = QueryRouter(app).answer(
            "/greenfield.sp.Query/StorageProviders", request.SerializeToString(), 0
        )
        response = wire.sp.QueryStorageProvidersResponse.FromString(answer.value or b"")
        found += [provider.operator_address for provider in response.sps]
        key = response.pagination.next_key
    addresses = [address(f"sp-{i}-operator") for i in range(7)]
    assert found == sorted(addresses, key=str.lower, reverse=reverse)


def test_a_page_has_a_key_or_an_offset(many_buckets: QueryRouter) -> None:
    page = wire.query.PageRequest(key=b"\x01", offset=1)
    request = wire.storage.QueryListBucketsRequest(pagination=page)
    answer = many_buckets.answer(LIST_BUCKETS, request.SerializeToString(), 0)
    assert (answer.code, answer.codespace) == (6, "sdk")
    assert answer.log == (
        "rpc error: code = Internal desc = invalid request, either offset or key is expected,"
        " got both: unknown request"
    )


def test_nested_messages_are_walked_too() -> None:
    with pytest.raises(WireError, match="wrong wireType = 2 for field Limit"):
        check(wire.storage.QueryListObjectsRequest.DESCRIPTOR, b"\x0a\x02\x1a\x00")
