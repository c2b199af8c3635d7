"""The main job in one go: start everything, put, wait until sealed, get, compare, stop."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from greenray.client.progress import Activity, OnProgress
from greenray.client.storage_client import StorageClient
from greenray.client.user import open_client
from greenray.cluster.config.settings import Settings
from greenray.cluster.network import LocalNetwork
from greenray.protocol.errors import EmptyPayload, IntegrityHashMismatch, UnreadableFile
from greenray.protocol.job import JobState

DEMO_BUCKET = "demo"
_BLOCK_BYTES = 1024 * 1024

OnStep = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What ``demo --json`` prints."""

    payload_size_bytes: int
    payload_sha256: str
    downloaded_sha256: str
    status: Mapping[str, Any]
    stages: Mapping[str, float]
    upload_to_sealed_mb_s: float

    def to_json(self) -> dict[str, Any]:
        status = self.status
        replaced = [
            {"operator_address": r["operator_address"], "reason": r["reason"]}
            for r in status["replaced"]
        ]
        return {
            "payload_size_bytes": self.payload_size_bytes,
            "payload_sha256": self.payload_sha256,
            "downloaded_sha256": self.downloaded_sha256,
            "state": status["state"],
            "bucket": status["bucket"],
            "object": status["object"],
            "object_id": status["object_id"],
            "seal_tx_hash": status["seal_tx_hash"],
            "seal_height": status["seal_height"],
            "secondaries": status["secondaries"],
            "replaced": replaced,
            "stages": dict(self.stages),
            "upload_to_sealed_mb_s": self.upload_to_sealed_mb_s,
        }


def make_payload(path: Path, size_bytes: int) -> None:
    """A file of random bytes: nothing on the way can profit from its content."""
    with path.open("wb") as file:
        remaining = size_bytes
        while remaining:
            block = os.urandom(min(_BLOCK_BYTES, remaining))
            file.write(block)
            remaining -= len(block)


def sha256_of(path: Path) -> str:
    """Hex. Raises UnreadableFile."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnreadableFile(f"cannot be read ({error.strerror})", str(path)) from None


async def run_demo(
    settings: Settings,
    source: Path,
    work_dir: Path,
    on_progress: OnProgress,
    on_step: OnStep,
) -> DemoReport:
    """``source`` goes up, is sealed, comes down into ``work_dir`` and is compared.

    Raises UnreadableFile and EmptyPayload before anything is started, and whatever stops it;
    everything that was started is stopped in any case.
    """
    payload_sha256 = sha256_of(source)
    if source.stat().st_size == 0:  # noqa: ASYNC240 - one call
        raise EmptyPayload("the file is empty", str(source), "Choose one with at least one byte.")
    network = LocalNetwork(settings)
    started_at = time.perf_counter()
    on_step("starting a Ray cluster, a chain and storage providers")
    try:
        found = await network.start()
        start_s = time.perf_counter() - started_at
        on_step(f"{len(found.gateways)} storage providers are up after {start_s:.1f} s")
        async with open_client(found) as client:
            report = await _put_and_get(
                client, source, work_dir, payload_sha256, on_progress, on_step
            )
        return replace(report, stages={"start_s": start_s, **report.stages})
    finally:
        await network.stop()


async def _put_and_get(
    client: StorageClient,
    source: Path,
    work_dir: Path,
    payload_sha256: str,
    on_progress: OnProgress,
    on_step: OnStep,
) -> DemoReport:
    size_bytes = source.stat().st_size  # noqa: ASYNC240 - one call
    object_name = f"{source.name}-{int(time.time())}"
    put = await client.put(
        source,
        DEMO_BUCKET,
        object_name,
        on_progress=on_progress,
        on_setback=lambda setback: on_step(f"{DEMO_BUCKET}/{object_name}: {setback}"),
    )
    target = work_dir / "downloaded"
    download_at = time.perf_counter()
    await client.get(DEMO_BUCKET, object_name, target, on_progress=on_progress)
    download_s = time.perf_counter() - download_at
    downloaded_sha256 = sha256_of(target)
    if downloaded_sha256 != payload_sha256:
        raise IntegrityHashMismatch("what came back is not what went in", object_name)
    reached = {entry["state"]: entry["at"] for entry in put.status["history"]}
    replicated_at = reached[JobState.REPLICATE_OBJECT_DONE.name]
    stored_at = reached[JobState.UPLOAD_OBJECT_DONE.name]
    sealed_at = reached[JobState.SEAL_OBJECT_DONE.name]
    upload_s = put.seconds[Activity.UPLOAD]
    upload_began_at = stored_at - upload_s
    stages = {
        "prepare_s": put.seconds[Activity.HASHING] + put.seconds[Activity.CREATING],
        "upload_s": upload_s,
        "replicate_s": replicated_at - stored_at,
        "seal_s": sealed_at - replicated_at,
        "download_s": download_s,
    }
    return DemoReport(
        size_bytes,
        payload_sha256,
        downloaded_sha256,
        put.status,
        stages,
        size_bytes / 1e6 / (sealed_at - upload_began_at),
    )
