"""The user's client against a real gateway: put, continue, refuse, get, and its progress."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from greenray.chain.crypto import address_of
from greenray.client.creation import PutOptions
from greenray.client.gateway_session import GatewaySession, answer_error
from greenray.client.progress import Activity, Progress
from greenray.client.storage_client import ClientSettings, StorageClient, WaitFor
from greenray.coding.codec import get_codec
from greenray.protocol.errors import (
    AccessDenied,
    AnotherObject,
    BadAnswer,
    ComponentUnavailable,
    CorruptPiece,
    IntegrityHashMismatch,
    InvalidName,
    InvalidSetting,
    NoSuchObject,
    PayloadSizeMismatch,
    PayloadTooLarge,
    SealTimeout,
    SecondariesExhausted,
    UnknownStorageProvider,
    UnreadableFile,
    WrongObjectStatus,
)
from greenray.protocol.job import JobContext, JobError, JobState, SecondaryReceipt
from greenray.protocol.job_events import (
    GivenUp,
    JobEvent,
    ReplicateFailed,
    ReplicateFinished,
    ReplicateStarted,
    SealFinished,
    SealWatchStarted,
    SecondaryFinished,
    SignFinished,
    SignStarted,
)
from greenray.protocol.objects import ObjectInfo, ObjectStatus, RedundancyType
from greenray.storage.ports import JobUpdate
from tests.support.fake_chain import FakeChain
from tests.support.gateway_rig import PARAMS, GatewayRig
from tests.support.sps import test_key

PAYLOAD = bytes(range(256)) * 40  # 10240 bytes, eleven segments


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[GatewayRig]:
    rig = await GatewayRig.create(tmp_path)
    for index, sp in enumerate((rig.sp, rig.other_sp)):
        endpoint = f"http://127.0.0.1:{rig.gateway.port(sp.address)}"
        rig.chain.providers[index] = sp.provider(endpoint)
    yield rig
    await rig.close()


@pytest.fixture
async def client(rig: GatewayRig) -> AsyncIterator[StorageClient]:
    client = _client(rig)
    yield client
    await client.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "payload.bin"
    path.write_bytes(PAYLOAD)
    return path


def _client(rig: GatewayRig, key: bytes | None = None, timeout_s: float = 60.0) -> StorageClient:
    return StorageClient(
        rig.chain,
        f"http://127.0.0.1:{rig.gateway.port(rig.sp.address)}",
        key or rig.user_key,
        codec=get_codec("numpy"),
        settings=ClientSettings(poll_interval_s=0.001, wait_timeout_s=timeout_s, outage_s=0.05),
    )


class SealingTaskNode:
    """Does in the journal and on chain what a task node would do, one secondary after the other."""

    def __init__(self, rig: GatewayRig) -> None:
        self._rig = rig

    async def seal(self, job: JobContext) -> None:
        rig, info = self._rig, job.object_info
        (job,) = await rig.job_store.claim_jobs("task-node", 60.0, 1)
        job = await self._event(job, ReplicateStarted())
        addresses = tuple(f"0x{index:040x}" for index in range(PARAMS.n))
        for index, address in enumerate(addresses):
            receipt = SecondaryReceipt(index, address, info.checksums[index + 1], bytes(65))
            job = await self._event(job, SecondaryFinished(receipt))
        rig.chain.seal_object(info.bucket_name, info.object_name, addresses)
        for event in (
            ReplicateFinished(),
            SignStarted(),
            SignFinished("AB" * 32),
            SealWatchStarted(),
            SealFinished(7, "AB" * 32),
        ):
            job = await self._event(job, event)

    async def give_up(self, job: JobContext) -> None:
        (job,) = await self._rig.job_store.claim_jobs("task-node", 60.0, 1)
        error = JobError(SecondariesExhausted.reason, "no secondary is left", True)
        job = await self._event(job, ReplicateFailed(error))
        await self._event(job, GivenUp())

    async def _event(self, job: JobContext, event: JobEvent) -> JobContext:
        update = JobUpdate(job.sp_address, job.job_id, job.epoch, job.state, event)
        return await self._rig.job_store.apply(update)


async def _uploaded(rig: GatewayRig, bucket: str = "album", name: str = "photo") -> JobContext:
    while True:
        job = await rig.job_store.find_job(bucket, name)
        if job is not None and job.state is JobState.UPLOAD_OBJECT_DONE:
            return job
        await asyncio.sleep(0.001)


async def _begun(rig: GatewayRig) -> None:
    while True:
        if await rig.job_store.find_job("album", "photo") is not None:
            return
        await asyncio.sleep(0.001)


async def _failed(rig: GatewayRig) -> None:
    while True:
        job = await rig.job_store.find_job("album", "photo")
        if job is not None and job.state is JobState.UPLOAD_OBJECT_ERROR:
            return
        await asyncio.sleep(0.001)


# --- put -----------------------------------------------------------------------------------------


async def test_put_creates_bucket_and_object_and_waits_until_sealed(
    rig: GatewayRig, client: StorageClient, file: Path
) -> None:
    seen: list[Progress] = []
    putting = asyncio.create_task(
        client.put(file, "new-bucket", "dir/ü.bin", on_progress=seen.append)
    )
    job = await _uploaded(rig, "new-bucket", "dir/ü.bin")
    await SealingTaskNode(rig).seal(job)
    result = await putting
    assert rig.chain.buckets["new-bucket"].primary_sp_address == rig.sp.address
    assert result.status["state"] == "SEAL_OBJECT_DONE"
    assert result.status["seal_tx_hash"] == "AB" * 32
    assert [s["redundancy_index"] for s in result.status["secondaries"]] == list(range(6))
    assert result.object_info.payload_size == len(PAYLOAD)
    _check_progress(seen)


async def test_put_does_not_end_with_the_seal_of_another_object(
    rig: GatewayRig, client: StorageClient, file: Path
) -> None:
    """The gateway, or the node that it asks, is on a chain that was put back meanwhile."""
    putting = asyncio.create_task(client.put(file, "new-bucket", "photo"))
    job = await _uploaded(rig, "new-bucket", "photo")
    head = rig.chain.head_object_by_id

    async def head_of_another(object_id: int) -> ObjectInfo:
        return replace(await head(object_id), create_at=1)

    rig.chain.head_object_by_id = head_of_another  # type: ignore[method-assign]
    await SealingTaskNode(rig).seal(job)
    with pytest.raises(AnotherObject, match="its id belongs to"):
        await putting


async def test_put_waits_until_the_chain_says_that_it_is_sealed(
    rig: GatewayRig, client: StorageClient, file: Path
) -> None:
    putting = asyncio.create_task(client.put(file, "new-bucket", "photo"))
    job = await _uploaded(rig, "new-bucket", "photo")
    node = StillCreated(rig.chain)
    rig.chain.head_object_by_id = node.head_object_by_id  # type: ignore[method-assign]
    await SealingTaskNode(rig).seal(job)
    await node.asked.wait()
    assert not putting.done()
    node.lags = False
    assert (await putting).status["state"] == "SEAL_OBJECT_DONE"


class StillCreated:
    """A node that does not have the seal yet."""

    def __init__(self, chain: FakeChain) -> None:
        self._head = chain.head_object_by_id
        self.lags = True
        self.asked = asyncio.Event()

    async def head_object_by_id(self, object_id: int) -> ObjectInfo:
        info = await self._head(object_id)
        if not self.lags:
            return info
        self.asked.set()
        return replace(info, object_status=ObjectStatus.OBJECT_STATUS_CREATED)


def _check_progress(seen: list[Progress]) -> None:
    """Every series only grows, ends complete, and the activities come in their order."""
    series: dict[tuple[Activity, int | None], list[Progress]] = {}
    for progress in seen:
        series.setdefault((progress.activity, progress.redundancy_index), []).append(progress)
    for steps in series.values():
        done = [step.done for step in steps]
        assert done == sorted(done)
        assert steps[-1].done == steps[-1].total
    other = {Activity.BUNDLING, Activity.DOWNLOAD}
    assert {activity for activity, _ in series} == set(Activity) - other
    secondaries = {index for activity, index in series if activity is Activity.REPLICATION}
    assert secondaries == set(range(6))


async def test_put_returns_after_the_upload_when_asked_to(
    rig: GatewayRig, client: StorageClient
) -> None:
    result = await client.put(io.BytesIO(PAYLOAD), "album", "photo", wait=WaitFor.UPLOADED)
    assert result.status["state"] == "UPLOAD_OBJECT_DONE"
    assert await rig.job(result.object_info) is not None


async def test_put_continues_an_object_that_is_created(
    rig: GatewayRig, client: StorageClient, file: Path
) -> None:
    info = rig.create_object(PAYLOAD)
    result = await client.put(file, "album", "photo", wait=WaitFor.UPLOADED)
    assert result.object_info == info
    again = await client.put(file, "album", "photo", wait=WaitFor.UPLOADED)
    assert again.status["state"] == "UPLOAD_OBJECT_DONE"
    assert rig.chain.calls.count("broadcast_sync") == 0


async def test_put_of_a_replica_object_stores_whole_segments(
    rig: GatewayRig, client: StorageClient, file: Path
) -> None:
    options = PutOptions(redundancy_type=RedundancyType.REDUNDANCY_REPLICA_TYPE)
    result = await client.put(file, "album", "copy", wait=WaitFor.UPLOADED, options=options)
    assert result.object_info.redundancy_type is RedundancyType.REDUNDANCY_REPLICA_TYPE
    assert len(set(result.object_info.checksums)) == 1


async def test_a_bucket_goes_to_its_own_primary_whatever_gateway_was_given(
    rig: GatewayRig, client: StorageClient, file: Path
) -> None:
    rig.chain.add_bucket(rig.user, "elsewhere", rig.other_sp.address)
    result = await client.put(file, "elsewhere", "photo", wait=WaitFor.UPLOADED)
    job = await rig.job_store.get_job(rig.other_sp.address, result.object_info.id)
    assert job is not None


@pytest.mark.parametrize(
    ("bucket", "name", "content", "error"),
    [
        ("Bad", "photo", PAYLOAD, InvalidName),
        ("album", "a//b", PAYLOAD, InvalidName),
    ],
)
async def test_put_refuses_what_can_never_be_an_object(
    client: StorageClient, bucket: str, name: str, content: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await client.put(io.BytesIO(content), bucket, name)


async def test_put_refuses_an_unreadable_file_and_a_folder(
    client: StorageClient, tmp_path: Path
) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(UnreadableFile):
            await client.put(path, "album", "photo")


async def test_put_refuses_a_payload_that_the_chain_would_not_take(
    rig: GatewayRig, client: StorageClient, file: Path
) -> None:
    rig.chain.params = replace(PARAMS, max_payload_size_bytes=len(PAYLOAD) - 1)
    with pytest.raises(PayloadTooLarge):
        await client.put(file, "album", "photo")


async def test_put_refuses_a_sealed_object(
    rig: GatewayRig, client: StorageClient, file: Path
) -> None:
    await rig.stored_object(PAYLOAD)
    with pytest.raises(WrongObjectStatus):
        await client.put(file, "album", "photo")


async def test_put_refuses_to_continue_an_object_with_another_payload(
    rig: GatewayRig, client: StorageClient
) -> None:
    rig.create_object(PAYLOAD)
    with pytest.raises(PayloadSizeMismatch):
        await client.put(io.BytesIO(PAYLOAD[:-1]), "album", "photo")
    with pytest.raises(IntegrityHashMismatch):
        await client.put(io.BytesIO(PAYLOAD[:-1] + b"x"), "album", "photo")


async def test_put_says_when_the_user_may_not(rig: GatewayRig, file: Path) -> None:
    rig.create_object(PAYLOAD)
    stranger = _client(rig, test_key("stranger"))
    with pytest.raises(AccessDenied):
        await stranger.put(file, "album", "photo")
    await stranger.close()


async def test_put_says_why_a_job_was_given_up(
    rig: GatewayRig, client: StorageClient, file: Path
) -> None:
    putting = asyncio.create_task(client.put(file, "album", "photo"))
    await SealingTaskNode(rig).give_up(await _uploaded(rig))
    with pytest.raises(SecondariesExhausted, match="no secondary is left"):
        await putting


async def test_put_stops_waiting_but_the_upload_stays(rig: GatewayRig, file: Path) -> None:
    client = _client(rig, timeout_s=0.01)
    with pytest.raises(SealTimeout, match="greenray status album/photo"):
        await client.put(file, "album", "photo")
    assert (await client.status("album", "photo"))["state"] == "UPLOAD_OBJECT_DONE"
    await client.close()


async def test_a_file_that_changes_while_it_is_sent_is_noticed(
    rig: GatewayRig, client: StorageClient
) -> None:
    begun = threading.Event()

    class Shrinking(io.BytesIO):
        """Loses its last byte once it has been hashed, and ends when its upload has begun."""

        rewinds = 0

        def seek(self, offset: int, whence: int = 0, /) -> int:
            if offset == 0 and whence == 0:
                self.rewinds += 1
                if self.rewinds == 3:
                    self.truncate(len(PAYLOAD) - 1)
            return super().seek(offset, whence)

        def read(self, size: int | None = -1, /) -> bytes:
            block = super().read(size)
            if not block and self.rewinds >= 3:
                begun.wait()
            return block

    put = asyncio.create_task(client.put(Shrinking(PAYLOAD), "album", "photo"))
    await _begun(rig)
    begun.set()
    with pytest.raises(PayloadSizeMismatch, match="another size now"):
        await put
    await _failed(rig)
    assert rig.nothing_is_stored()


@pytest.mark.parametrize("size_bytes", [0, len(PAYLOAD) - 1, len(PAYLOAD) + 1])
async def test_a_file_on_disk_that_changes_before_it_is_sent_is_noticed(
    rig: GatewayRig, client: StorageClient, file: Path, size_bytes: int
) -> None:
    def change(progress: Progress) -> None:
        if progress.activity is Activity.UPLOAD:
            os.truncate(file, size_bytes)

    with pytest.raises(PayloadSizeMismatch, match="another size now"):
        await client.put(file, "album", "photo", on_progress=change)
    assert rig.nothing_is_stored()


async def test_what_a_file_unpacks_is_sent_and_not_its_bytes_on_disk(
    rig: GatewayRig, client: StorageClient, tmp_path: Path
) -> None:
    packed = tmp_path / "payload.gz"
    packed.write_bytes(gzip.compress(PAYLOAD))
    with gzip.open(packed) as file:
        result = await client.put(file, "album", "photo", wait=WaitFor.UPLOADED)
    assert result.object_info.payload_size == len(PAYLOAD)


async def test_without_a_known_endpoint_no_bucket_can_be_created(rig: GatewayRig) -> None:
    rig.chain.providers = [rig.sp.provider("http://elsewhere:1")]
    client = _client(rig)
    with pytest.raises(UnknownStorageProvider):
        await client.put(io.BytesIO(b"x"), "new-bucket", "photo")
    await client.close()


async def test_a_gateway_that_is_away_is_named(rig: GatewayRig, file: Path) -> None:
    rig.create_object(PAYLOAD)
    client = _client(rig)
    await rig.gateway.close()
    with pytest.raises(ComponentUnavailable, match="greenray up"):
        await client.put(file, "album", "photo")
    await client.close()


def _names(folder: Path, prefix: str = "") -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(prefix)]


# --- get and status ------------------------------------------------------------------------------


async def test_get_writes_a_verified_copy(
    rig: GatewayRig, client: StorageClient, tmp_path: Path
) -> None:
    await rig.stored_object(PAYLOAD)
    seen: list[Progress] = []
    target = tmp_path / "copy.bin"
    await client.get("album", "photo", target, on_progress=seen.append)
    assert target.read_bytes() == PAYLOAD
    assert seen[-1] == Progress(Activity.DOWNLOAD, len(PAYLOAD), len(PAYLOAD))
    assert _names(tmp_path, ".copy") == []


@pytest.mark.parametrize("position", [3, 9999])
async def test_get_leaves_nothing_of_a_damaged_object(
    rig: GatewayRig, client: StorageClient, tmp_path: Path, position: int
) -> None:
    info = await rig.stored_object(PAYLOAD)
    rig.corrupt_segment(info, PAYLOAD, position)
    target = tmp_path / "sub" / "copy.bin"
    target.parent.mkdir()
    # The gateway notices it: before the first byte it says so, later it breaks off.
    with pytest.raises(CorruptPiece if position == 3 else ComponentUnavailable):
        await client.get("album", "photo", target)
    assert _names(target.parent) == []


async def test_get_compares_with_the_chain_and_trusts_no_gateway(
    rig: GatewayRig, client: StorageClient, tmp_path: Path
) -> None:
    info = await rig.stored_object(PAYLOAD)
    lying = GatewayRigWithOtherBytes(PAYLOAD[::-1])
    await lying.start()
    rig.chain.providers[0] = rig.sp.provider(lying.endpoint)
    stranger = StorageClient(rig.chain, lying.endpoint, rig.user_key)
    with pytest.raises(IntegrityHashMismatch):
        await stranger.get("album", "photo", tmp_path / "copy.bin")
    assert not (tmp_path / "copy.bin").exists()
    assert info.payload_size == len(PAYLOAD)
    await stranger.close()
    await lying.close()


class GatewayRigWithOtherBytes:
    """A gateway that answers every GET with the same bytes."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.endpoint = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self._body)}\r\n\r\n"
        writer.write(head.encode() + self._body)
        await writer.drain()
        writer.close()


async def test_get_refuses_what_is_not_there_or_not_sealed(
    rig: GatewayRig, client: StorageClient, tmp_path: Path
) -> None:
    with pytest.raises(NoSuchObject):
        await client.get("album", "nothing", tmp_path / "x")
    rig.create_object(PAYLOAD)
    with pytest.raises(WrongObjectStatus):
        await client.get("album", "photo", tmp_path / "x")
    await rig.put("/album/photo", PAYLOAD)
    rig.chain.seal_object("album", "photo")
    with pytest.raises(UnreadableFile):
        await client.get("album", "photo", tmp_path / "no folder" / "x")


async def test_the_owner_of_an_object_that_was_given_up_is_told_why(
    rig: GatewayRig, client: StorageClient
) -> None:
    rig.create_object(PAYLOAD)
    await rig.put("/album/photo", PAYLOAD[:-1])
    del rig.chain.objects["album", "photo"]  # as a rejected seal does
    status = await client.status("album", "photo")
    assert status["error"]["reason"] == "payload-size-mismatch"
    stranger = test_key("stranger")
    rig.chain.add_account(address_of(stranger))
    other = _client(rig, stranger)
    with pytest.raises(NoSuchObject):
        await other.status("album", "photo")
    await other.close()


async def test_status_of_an_unknown_object_is_an_error(client: StorageClient) -> None:
    with pytest.raises(NoSuchObject):
        await client.status("album", "nothing")


# --- answers -------------------------------------------------------------------------------------


def test_an_answer_of_a_stranger_keeps_status_code_and_message() -> None:
    body = "<Error><Code>NoSuchKey</Code><Message>It is not there.</Message></Error>"
    error = answer_error(404, body, {}, "http://h/b/o")
    assert type(error) is BadAnswer
    assert str(error).startswith("http://h/b/o: HTTP 404 NoSuchKey: It is not there.")
    assert "HTTP 502: bad gateway" in str(answer_error(502, "bad gateway", {}, "http://h"))


def test_an_error_that_the_gateway_names_is_raised_as_itself() -> None:
    header = '{"reason":"payload-size-mismatch","message":"one byte too few","retryable":false}'
    error = answer_error(500, "", {"X-Greenray-Error": header}, "here")
    assert type(error) is PayloadSizeMismatch
    assert error.what == "one byte too few"
    for garbage in ("[1]", "{", '{"reason":[]}', '{"reason":"unheard-of"}'):
        assert type(answer_error(500, "", {"X-Greenray-Error": garbage}, "")) is BadAnswer


@pytest.mark.parametrize("endpoint", ["ftp://h", "http://", "http://?"])
def test_an_endpoint_that_is_none_is_an_invalid_setting(endpoint: str) -> None:
    with pytest.raises(InvalidSetting):
        GatewaySession(endpoint, None)
