"""``greenray hash``: every checksum of protocol 01 §6, without a cluster."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from greenray.cli.output import (
    Json,
    byte_progress,
    command_app,
    note,
    parse_size,
    print_result,
    reporting_errors,
)
from greenray.display.units import format_size
from greenray.protocol.errors import UnreadableFile

if TYPE_CHECKING:
    from greenray.coding.checksums import PayloadChecksums

app = command_app()

_STDIN = "-"
_STDIN_DESCRIPTOR = 0


@app.command("hash")
def hash_command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The payload; - is stdin.")],
    segment_size: Annotated[
        int,
        typer.Option(
            parser=parse_size, metavar="SIZE", help="Bytes of a segment, such as 65536 or 16MiB."
        ),
    ] = 16 << 20,
    k: Annotated[int, typer.Option("-k", help="Data shards per segment.")] = 4,
    m: Annotated[int, typer.Option("-m", help="Parity shards per segment.")] = 2,
    codec: Annotated[str, typer.Option(help="auto, isal, zfec or numpy.")] = "auto",
    replica: Annotated[
        bool, typer.Option("--replica", help="As an object whose secondaries hold whole segments.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compute all checksums and integrity hashes of FILE; needs no cluster.

    They are those that a Greenfield client puts on chain: the primary's integrity hash, then one
    for each redundancy index. --json adds every segment and piece checksum.
    """
    with reporting_errors(as_json):
        from greenray.coding.checksums import hash_payload, report
        from greenray.coding.codec import get_codec

        chosen = get_codec(codec)
        with (
            _opened(file) as (payload, size_bytes),
            byte_progress("hashing", size_bytes) as on_progress,
        ):
            checksums = hash_payload(payload, segment_size, k, m, chosen, replica, on_progress)
        if checksums.payload_size_bytes == 0:
            note("note: an empty payload is never uploaded, the chain seals such an object itself")
        print_result(report(checksums), _text(checksums), as_json)


@contextmanager
def _opened(name: str) -> Iterator[tuple[BinaryIO | Any, int | None]]:
    """The unbuffered file and its size, None when that is not known before the end.

    Raises UnreadableFile, also for what fails while it is read.
    """
    where = "stdin" if name == _STDIN else name
    try:
        with open(
            _STDIN_DESCRIPTOR if name == _STDIN else name,
            "rb",
            buffering=0,
            closefd=name != _STDIN,
        ) as file:
            status = os.fstat(file.fileno())
            yield file, status.st_size if stat.S_ISREG(status.st_mode) else None
    except OSError as error:
        raise UnreadableFile(
            f"the payload cannot be read: {error.strerror}",
            where,
            "Give the path of a readable file, or - for stdin",
        ) from error


def _text(checksums: PayloadChecksums) -> str:
    names = ["primary", *(f"index {i}" for i in range(checksums.k + checksums.m))]
    width = max(map(len, names))
    head = (
        f"{checksums.payload_size_bytes} bytes, {len(checksums.segment_checksums)} x up to "
        f"{format_size(checksums.segment_size_bytes)}, {checksums.k}+{checksums.m}, "
        f"codec {checksums.codec}"
    )
    lines = [
        f"  {name:<{width}}  {value.hex()}"
        for name, value in zip(names, checksums.integrity_hashes, strict=True)
    ]
    return "\n".join([head, "integrity hashes", *lines])
