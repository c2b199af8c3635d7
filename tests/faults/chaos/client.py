"""A client that puts objects of several sizes until it is told to end, and writes down what it was
promised: ``python -m tests.faults.chaos.client STATE_DIR SEED DIARY``.

A process of its own, so that it can be killed and stopped. A line of the diary is on disk before
the next thing is done.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from greenray.client.network_file import NetworkFile, read_network
from greenray.client.storage_client import WaitFor
from greenray.client.user import open_client
from greenray.protocol.errors import GreenrayError, NotRunning

BUCKET = "chaos"
SIZES_BYTES = (1, 10_000, 200_000, 1_000_000, 6_000_000)
_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class Entry:
    """``event``: begun, acknowledged, or the reason of an error after which it is tried again."""

    number: int
    event: str
    message: str = ""

    @classmethod
    def read(cls, diary: Path) -> list[Entry]:
        """Without a last line that a kill has cut off."""
        lines = diary.read_text().split("\n")[:-1] if diary.exists() else []
        return [cls(**json.loads(line)) for line in lines]


def payload(seed: int, number: int) -> bytes:
    """Of one object; nobody has to remember it."""
    chance = random.Random(f"{seed}/{number}")
    return chance.randbytes(chance.choice(SIZES_BYTES))


def object_name(number: int) -> str:
    return f"object-{number}"


class _Writer:
    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, entry: Entry) -> None:
        self._file.write(json.dumps(asdict(entry)) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


async def _network(state_dir: Path) -> NetworkFile:
    """Of the network that runs, or is being started again."""
    while True:
        try:
            return read_network(state_dir)
        except NotRunning:
            await asyncio.sleep(_PAUSE_S)


async def _put(state_dir: Path, seed: int, number: int, diary: _Writer) -> None:
    """Until it is acknowledged."""
    diary.write(Entry(number, "begun"))
    while True:
        try:
            async with open_client(await _network(state_dir)) as client:
                await client.put(
                    io.BytesIO(payload(seed, number)),
                    BUCKET,
                    object_name(number),
                    wait=WaitFor.UPLOADED,
                )
        except GreenrayError as error:
            diary.write(Entry(number, error.reason, str(error)))
            await asyncio.sleep(_PAUSE_S)
        else:
            diary.write(Entry(number, "acknowledged"))
            return


async def main(state_dir: Path, seed: int, path: Path) -> None:
    """Ends after the object that it is at when it is terminated."""
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    number = max((entry.number for entry in Entry.read(path)), default=-1) + 1
    with path.open("a") as file:
        diary = _Writer(file)
        while not ending.is_set():
            await _put(state_dir, seed, number, diary)
            number += 1


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
