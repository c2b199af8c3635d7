"""What only the S3 store has: its requests, and what it says when S3 does not work."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from greenray.protocol.errors import NoSpaceLeft, StoreError, StoreUnavailable
from greenray.protocol.layout import ColumnLayout
from greenray.storage.ports import LONE_WRITER, ColumnWriter, Fence
from greenray.storage.s3_bucket import S3Bucket
from greenray.storage.s3_location import S3Location, S3Options
from greenray.storage.s3_names import FinishedColumn
from greenray.storage.s3_store import READ_BYTES, S3PieceStore
from tests.contracts.piece_store_contract import CONTENT, KEY, LAYOUT, put, read, view
from tests.support.s3_server import CREDENTIALS, S3Server, s3_server


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def root() -> str:
    return f"sp-{uuid.uuid4().hex}"


@pytest.fixture
def store(server: S3Server, root: str) -> S3PieceStore:
    return S3PieceStore(server.bucket("pieces"), root)


def asked(server: S3Server, call: Callable[[], object]) -> list[tuple[str, str]]:
    """(method, path) of the requests of ``call``."""
    before = len(server.requests)
    call()
    return server.requests[before:]


def names(server: S3Server, root: str) -> list[str]:
    return [name.split("/")[1] for name, _ in server.bucket("pieces").list(f"{root}/")]


# --- requests ------------------------------------------------------------------------------------


def test_each_append_is_one_put_of_one_object(
    server: S3Server, store: S3PieceStore, root: str
) -> None:
    writer = store.create(KEY, LAYOUT)
    for start in (0, 20_000, 40_000):
        batch = view(CONTENT)[start : start + 20_000]
        [(method, path)] = asked(server, partial(writer.append, [batch[:7], batch[7:]]))
        assert method == "PUT"
        assert path.startswith(f"/{server.bucket_name}/pieces/{root}/parts/")
        assert path.endswith(f"/{start:020d}")
    writer.append([view(CONTENT)[60_000:]])
    writer.finish()
    assert read(store, KEY, LAYOUT) == CONTENT


def test_a_batch_of_a_hundred_megabytes_is_still_one_put(
    server: S3Server, store: S3PieceStore
) -> None:
    size_bytes = 101 * 1024 * 1024
    layout = ColumnLayout(1, size_bytes, size_bytes)
    writer = store.create(KEY, layout)
    memory = bytes(size_bytes)
    assert [m for m, _ in asked(server, lambda: writer.append([view(memory)]))] == ["PUT"]
    writer.finish()
    piece = bytearray(2)
    store.read_into(KEY, layout, READ_BYTES - 1, [view(piece)])
    assert piece == bytes(2)
    store.delete(KEY)


def test_a_range_is_read_with_two_requests_and_a_long_one_in_slices(
    server: S3Server, store: S3PieceStore
) -> None:
    layout = ColumnLayout(1, 2 * READ_BYTES, 2 * READ_BYTES)
    content = random.Random(1).randbytes(1024) * (layout.size_bytes // 1024)
    put(store, KEY, layout, content)
    found = bytearray(layout.size_bytes - 3)
    requests = asked(server, lambda: store.read_into(KEY, layout, 1, [view(found)[:100]]))
    assert [method for method, _ in requests] == ["GET", "GET"]
    requests = asked(server, lambda: store.read_into(KEY, layout, 3, [view(found)]))
    assert len(requests) == 3
    assert found == content[3:]
    store.delete(KEY)


def test_a_column_is_read_with_other_batches_than_it_was_written_in(store: S3PieceStore) -> None:
    put(store, KEY, LAYOUT, CONTENT)
    assert read(store, KEY, replace(LAYOUT, batch_pieces=5)) == CONTENT


def test_a_replaced_and_a_deleted_column_leave_no_object_behind(
    server: S3Server, store: S3PieceStore, root: str
) -> None:
    put(store, KEY, LAYOUT, CONTENT)
    once = names(server, root)
    writer = store.create(KEY, LAYOUT, fence=Fence(7))
    writer.append([view(CONTENT)])
    other = store.create(KEY, LAYOUT, fence=Fence(8))
    other.append([view(CONTENT)])
    writer.finish()
    assert read(store, KEY, LAYOUT) == CONTENT
    assert list(store.list_unfinished()) == [(KEY, 8)]
    other.abort()
    assert names(server, root) == once
    store.delete(KEY)
    assert names(server, root) == []


@pytest.mark.parametrize("finishes_at_once", [True, False])
def test_two_repairs_leave_a_whole_column_wherever_one_comes_into_the_other(
    store: S3PieceStore, monkeypatch: pytest.MonkeyPatch, finishes_at_once: bool
) -> None:
    """One is finished, and before each of its requests in turn the other is written."""
    put(store, KEY, LAYOUT, bytes(LAYOUT.size_bytes))
    writer = store.create(KEY, LAYOUT, Fence(1))
    writer.append([view(CONTENT)])
    for moment in range(count_of_requests(monkeypatch, writer.finish)):
        first = store.create(KEY, LAYOUT, Fence(2))
        first.append([view(CONTENT)])
        others: list[ColumnWriter] = []

        def come_in(others: list[ColumnWriter] = others, fence: int = 3 + moment) -> None:
            others.append(store.create(KEY, LAYOUT, Fence(fence)))
            others[0].append([view(CONTENT)])
            if finishes_at_once:
                others[0].finish()

        before_request(monkeypatch, moment, come_in)
        first.finish()
        assert read(store, KEY, LAYOUT) == CONTENT, f"before request {moment}"
        if others and not finishes_at_once:
            others[0].finish()
            assert read(store, KEY, LAYOUT) == CONTENT, f"before request {moment}, afterwards"


def before_request(
    monkeypatch: pytest.MonkeyPatch, number: int, call: Callable[[], None]
) -> list[str]:
    """Have ``call`` made before that request from now on; returns a list of all of them."""
    honest, made = S3Bucket._call, list[str]()

    def counting(bucket: S3Bucket, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        made.append(method.__name__)
        if len(made) == number + 1:
            monkeypatch.setattr(S3Bucket, "_call", honest)
            call()
        return honest(bucket, method, *args, **kwargs)

    monkeypatch.setattr(S3Bucket, "_call", counting)
    return made


def count_of_requests(monkeypatch: pytest.MonkeyPatch, call: Callable[[], None]) -> int:
    with monkeypatch.context() as patched:
        made = before_request(patched, -1, lambda: None)
        call()
    return len(made)


def test_providers_in_one_bucket_do_not_see_each_other(server: S3Server, root: str) -> None:
    bucket = server.bucket("pieces")
    ours, theirs = S3PieceStore(bucket, root), S3PieceStore(bucket, f"{root}0")
    put(ours, KEY, LAYOUT, CONTENT)
    theirs.create(KEY, LAYOUT).close()
    assert not theirs.exists(KEY)
    assert list(ours.list_unfinished()) == []
    theirs.delete(KEY)
    assert read(ours, KEY, LAYOUT) == CONTENT


def test_a_column_that_is_replaced_while_it_is_read_is_read_again(
    server: S3Server, store: S3PieceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, KEY, LAYOUT, CONTENT)
    honest = S3Bucket.get_range

    def replaced_meanwhile(bucket: S3Bucket, key: str, start: int, end: int) -> bytes | None:
        monkeypatch.setattr(S3Bucket, "get_range", honest)
        put(store, KEY, LAYOUT, CONTENT[::-1])
        return honest(bucket, key, start, end)

    monkeypatch.setattr(S3Bucket, "get_range", replaced_meanwhile)
    assert read(store, KEY, LAYOUT) == CONTENT[::-1]


def test_listings_of_more_than_one_page_are_complete(server: S3Server, root: str) -> None:
    bucket = server.bucket("pieces")
    for number in range(5):
        bucket.put(f"{root}/{number}", b"x")
    pages = []
    call = bucket._fs._call_s3

    async def small_pages(method: str, **asked: object) -> object:
        pages.append(method)
        return await call(method, **asked, MaxKeys=2)

    bucket._fs._call_s3 = small_pages
    assert list(bucket.list(f"{root}/")) == [(f"{root}/{number}", 1) for number in range(5)]
    assert len(pages) == 3


def test_strange_objects_in_the_store_are_not_listed(
    server: S3Server, store: S3PieceStore, root: str
) -> None:
    put(store, KEY, LAYOUT, CONTENT)
    bucket = server.bucket("pieces")
    for name in ("columns/notes.txt", "columns/7_s", "unfinished/notes", "unfinished/7_s.a1"):
        bucket.put(f"{root}/{name}", b"?")
    assert list(store.list_columns()) == [KEY]
    assert list(store.list_unfinished()) == []


def test_the_library_is_imported_by_those_who_use_a_bucket_only() -> None:
    program = (
        "import sys, greenray.storage.s3_store, greenray.cluster.config.node_config\n"
        "print([m for m in ('s3fs', 'botocore', 'aiobotocore') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.strip()) == (0, "[]"), ran.stderr


# --- records -------------------------------------------------------------------------------------


def test_a_damaged_record_is_named(server: S3Server, store: S3PieceStore, root: str) -> None:
    put(store, KEY, LAYOUT, CONTENT)
    bucket, name = server.bucket("pieces"), f"{root}/columns/00000000000000000007_p2"
    for damaged in (b" ", b"{", b"[]", b'{"attempt": 0, "writer": "x"}'):
        bucket.put(name, damaged)
        with pytest.raises(StoreError, match="object 7, redundancy index 2"):
            store.exists(KEY)


def test_ranges_of_a_column_are_those_of_its_parts() -> None:
    column = FinishedColumn(LONE_WRITER, "w", (10, 30, 31))
    assert list(column.ranges(5, 31, 8)) == [
        (0, 5, 10),
        (10, 0, 8),
        (10, 8, 16),
        (10, 16, 20),
        (30, 0, 1),
    ]
    assert list(column.ranges(10, 10, 8)) == []
    assert FinishedColumn(LONE_WRITER, "w", ()).size_bytes == 0


# --- errors --------------------------------------------------------------------------------------


def refusal(location: S3Location) -> StoreError:
    with pytest.raises(StoreError) as caught:
        S3PieceStore(S3Bucket(location), "sp").probe()
    assert location.bucket in caught.value.where
    return caught.value


def test_a_probe_writes_reads_lists_and_removes_and_says_nothing(
    server: S3Server, store: S3PieceStore
) -> None:
    requests = asked(server, store.probe)
    assert [method for method, _ in requests] == ["PUT", "GET", "GET", "DELETE"]


def test_a_bucket_that_is_not_there_is_named(server: S3Server) -> None:
    error = refusal(replace(server.location("pieces"), bucket="no-such-bucket"))
    assert error.what == "cannot store an object: there is no such bucket (NoSuchBucket)"
    assert error.where.startswith("s3://no-such-bucket/pieces at http://127.0.0.1:")
    assert error.next_step == "Create it, or correct pieces.url (pieces.bucket)"


def test_an_impossible_bucket_name_is_named(server: S3Server) -> None:
    error = refusal(replace(server.location("pieces"), bucket="No such bucket!"))
    assert "Invalid bucket name" in error.what
    assert "pieces.bucket" in error.next_step


def test_missing_credentials_are_said_with_where_they_come_from(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    error = refusal(server.location("pieces"))
    assert "AWS_SECRET_ACCESS_KEY" in error.what
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    error = refusal(server.location("pieces"))
    assert error.what == "cannot store an object: no credentials were found"
    assert "AWS_ACCESS_KEY_ID" in error.next_step
    assert "pieces.profile" in error.next_step


def test_credentials_are_taken_from_a_profile(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("aws") / "credentials"
    file.write_text("[pieces]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    S3PieceStore(server.bucket("pieces", profile="pieces"), "sp").probe()
    error = refusal(server.location("pieces", profile="peaces"))
    assert "peaces" in error.what
    assert "pieces.profile" in error.next_step


@pytest.mark.parametrize(
    ("status", "code", "what", "next_step"),
    [
        ("403 Forbidden", "AccessDenied", "access is denied", "s3:PutObject"),
        ("403 Forbidden", "InvalidAccessKeyId", "are not known", "profile"),
        ("403 Forbidden", "SignatureDoesNotMatch", "are refused", "profile"),
        ("400 Bad Request", "ExpiredToken", "have expired", "role"),
        ("400 Bad Request", "AuthorizationHeaderMalformed", "another region", "pieces.region"),
        ("418 I'm a teapot", "NeverHeardOf", "told to fail", ""),
    ],
)
def test_a_refusal_says_what_and_where_and_what_to_do_next(
    server: S3Server, status: str, code: str, what: str, next_step: str
) -> None:
    server.refuse_next("PUT", status, code)
    error = refusal(server.location("pieces"))
    assert what in error.what
    assert code in error.what
    assert next_step in error.next_step
    assert not isinstance(error, StoreUnavailable)
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in str(error)


def test_a_used_up_quota_is_no_space_left(server: S3Server, store: S3PieceStore) -> None:
    server.refuse_next("PUT", "403 Forbidden", "QuotaExceeded")
    with pytest.raises(NoSpaceLeft, match="QuotaExceeded"):
        store.probe()


@pytest.mark.parametrize("endpoint_url", ["http://127.0.0.1:1", "nonsense"])
def test_an_endpoint_that_is_not_there_is_named(server: S3Server, endpoint_url: str) -> None:
    location = server.location("pieces", attempts=1)
    options = replace(location.options, endpoint_url=endpoint_url)
    error = refusal(replace(location, options=options))
    assert endpoint_url in error.where
    assert "pieces.endpoint_url" in error.next_step


def test_a_server_that_asks_to_slow_down_is_asked_again(
    server: S3Server, store: S3PieceStore
) -> None:
    server.refuse_next("PUT", "503 Slow Down", "SlowDown", times=2)
    server.refuse_next("GET", "500 Internal Server Error", "InternalError")
    assert [m for m, _ in asked(server, store.probe)] == ["PUT"] * 3 + ["GET"] * 3 + ["DELETE"]


def test_after_so_many_tries_it_is_an_error(server: S3Server) -> None:
    server.refuse_next("PUT", "503 Slow Down", "SlowDown", times=2)
    store = S3PieceStore(server.bucket("pieces", attempts=2), "sp")
    with pytest.raises(StoreUnavailable, match="SlowDown"):
        store.probe()


def test_an_answer_that_breaks_off_is_asked_for_again(
    server: S3Server, store: S3PieceStore
) -> None:
    put(store, KEY, LAYOUT, CONTENT)
    server.break_off_next("GET")
    assert store.read_piece(KEY, LAYOUT, 1) == CONTENT[10_000:20_000]


def test_a_server_that_is_silent_is_given_up(server: S3Server) -> None:
    bucket = server.bucket("pieces", read_timeout_s=0.2, attempts=1)
    server.be_silent_next("GET", 0.6, times=3)
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        bucket.get("nothing")


def test_a_server_that_never_lets_us_send_is_given_up(server: S3Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        endpoint_url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        options = S3Options(endpoint_url=endpoint_url, request_timeout_s=0.5)
        location = replace(server.location("pieces"), options=options)
        error = refusal(location)
        assert "did not answer in time" in error.what
        assert isinstance(error, StoreUnavailable)
