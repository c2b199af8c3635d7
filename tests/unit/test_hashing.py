"""Many checksums at once, in whichever way: they are those of hashlib."""

from __future__ import annotations

import ctypes
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from greenray.coding import hashing, sha256_lanes
from greenray.coding.buffers import Buffer
from greenray.coding.hashing import Digests, hash_messages, kernel_name
from tests.support.digests import STARTS, Start

ALL_BYTES = np.random.default_rng(7).integers(0, 256, 1 << 20, dtype=np.uint8)


@pytest.fixture(params=STARTS.values(), ids=list(STARTS))
def start(request: pytest.FixtureRequest) -> Start:
    chosen: Start = request.param
    return chosen


def test_a_processor_with_sha_instructions_hashes_in_lanes() -> None:
    """Fails where the setup left out to compile it."""
    has_instructions = " sha_ni " in Path("/proc/cpuinfo").read_text()
    assert kernel_name() == ("sha256_lanes" if has_instructions else "hashlib")


@pytest.mark.parametrize("length", [*range(50, 70), *range(115, 132)])
def test_padding_is_right_for_every_end_of_a_block(start: Start, length: int) -> None:
    digests = start(3)
    message = ALL_BYTES[:length]
    digests.update([[message], [], [message[:-1]]])
    whole = bytes(message)
    assert digests.digests() == [sha256(part).digest() for part in (whole, b"", whole[:-1])]


def test_messages_of_very_different_lengths_share_the_lanes(start: Start) -> None:
    messages = [ALL_BYTES, *(ALL_BYTES[i : i + (1 << 18)] for i in range(4)), ALL_BYTES[:1]]
    digests = start(len(messages))
    digests.update([[message] for message in messages])
    assert digests.digests() == [sha256(message.tobytes()).digest() for message in messages]


def test_any_kind_of_buffer_may_be_hashed() -> None:
    plain = ALL_BYTES[: 1 << 17].tobytes()
    messages: list[list[Buffer]] = [
        [plain],
        [bytearray(plain)],
        [memoryview(plain)],
        [plain[5:], plain[:5]],
    ]
    assert hash_messages(messages)[:3] == [sha256(plain).digest()] * 3
    assert hash_messages(messages)[3] == sha256(plain[5:] + plain[:5]).digest()


def test_an_update_for_another_number_of_messages_is_refused(start: Start) -> None:
    with pytest.raises(ValueError, match=r"2|shorter"):
        start(2).update([[b"one"]])


def test_short_messages_are_not_handed_to_the_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(count: int) -> Digests:
        raise AssertionError("handed over")

    monkeypatch.setattr(hashing, "start_digests", never)
    assert hash_messages([[b"a"], [b"b"]]) == [sha256(b"a").digest(), sha256(b"b").digest()]


# --- a kernel that cannot be trusted --------------------------------------------------------------


class Idle:
    """A library with the right names, which leaves the digests as they are."""

    def __init__(self) -> None:
        self.sha256_lanes_supported = lambda: 1
        self.sha256_lanes_start = lambda *arguments: None
        self.sha256_lanes_update = lambda *arguments: None
        self.sha256_lanes_finish = lambda *arguments: None


def test_a_kernel_with_wrong_checksums_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda path: Idle())
    assert sha256_lanes.load(Path("_sha256_lanes.so")) is None
    assert "wrong checksums" in caplog.text


def test_a_file_that_is_no_library_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "_sha256_lanes.so"
    broken.write_bytes(b"not a library")
    assert sha256_lanes.load(broken) is None
    assert "hashlib is used" in caplog.text
