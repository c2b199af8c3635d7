"""``greenray get BUCKET/BUNDLE//ENTRY``: one entry, a range of it, a folder, or all."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import typer

from greenray.cli.output import print_result, reporting_errors
from greenray.cli.transfer import transfer_display
from greenray.client.access import Access
from greenray.client.bundle_reading import Bundle, Extraction, open_bundle, verified_bundle
from greenray.client.payload_io import download_target
from greenray.client.progress import OnProgress
from greenray.client.storage_client import StorageClient
from greenray.client.user import open_access, split_name
from greenray.display.units import format_size
from greenray.protocol.bundle import BundleEntry
from greenray.protocol.bundle_plan import is_prefix

_RANGE = re.compile(r"(\d{1,18})-(\d{1,18})?", re.ASCII)


def get_entries(
    bundle_name: str,
    entry_name: str,
    target: Path,
    byte_range: str | None,
    access: Access,
    as_json: bool,
) -> None:
    """``entry_name`` empty: all entries; with a slash at its end: all below."""
    wanted = parse_range(byte_range)
    if wanted is not None and is_prefix(entry_name):
        raise typer.BadParameter("--range goes with one entry")

    async def run() -> tuple[dict[str, Any], str]:
        names = split_name(bundle_name)
        async with open_access(access) as client:
            with transfer_display() as display:
                if is_prefix(entry_name):
                    return await _extracted(client, *names, entry_name, target, display.show)
                bundle = await open_bundle(client, *names)
                return await _written(bundle, entry_name, target, wanted, display.show)

    with reporting_errors(as_json):
        document, text = asyncio.run(run())
        print_result(document, text, as_json)


def parse_range(text: str | None) -> tuple[int, int | None] | None:
    """(first byte, how many; None: to the end) of ``FIRST-LAST`` or ``FIRST-``. Raises
    typer.BadParameter, which is wrong usage."""
    if text is None:
        return None
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a range, such as 0-99 or 100-")
    first = int(match[1])
    if match[2] is None:
        return first, None
    if int(match[2]) < first:
        raise typer.BadParameter(f"the range {text!r} ends before it begins")
    return first, int(match[2]) - first + 1


async def _written(
    bundle: Bundle,
    entry_name: str,
    target: Path,
    wanted: tuple[int, int | None] | None,
    on_progress: OnProgress,
) -> tuple[dict[str, Any], str]:
    path = download_target(target, entry_name)
    entry = await bundle.entry(entry_name)
    start, size_bytes = wanted or (0, None)
    written = await bundle.write(entry_name, path, start, size_bytes, on_progress)
    verified = written == entry.size_bytes and entry.sha256 is not None
    document = {
        "bundle": bundle.name,
        "entry": entry_name,
        "file": str(path),
        "start": start,
        "size_bytes": written,
        "sha256": _hex(entry),
        "verified_by": "index" if verified else None,
    }
    how = ", verified by the bundle's index" if verified else ""
    return document, f"{path}: {format_size(written)} of {bundle.name}//{entry_name}{how}"


async def _extracted(
    client: StorageClient,
    bucket_name: str,
    object_name: str,
    prefix: str,
    target: Path,
    on_progress: OnProgress,
) -> tuple[dict[str, Any], str]:
    """All of a bundle is read whole, and so can be compared with the chain."""
    if prefix:
        bundle = await open_bundle(client, bucket_name, object_name)
        extraction = await bundle.extract(target, prefix, on_progress)
    else:
        async with verified_bundle(
            client, bucket_name, object_name, on_progress=on_progress
        ) as bundle:
            extraction = await bundle.extract(target)
    return _extraction_document(bundle, prefix, target, extraction)


def _extraction_document(
    bundle: Bundle, prefix: str, target: Path, extraction: Extraction
) -> tuple[dict[str, Any], str]:
    by_index = not bundle.verified and not extraction.without_sha256
    verified_by = "chain" if bundle.verified else "index" if by_index else None
    document = {
        "bundle": bundle.name,
        "prefix": prefix,
        "directory": str(target),
        "files": extraction.files,
        "size_bytes": extraction.size_bytes,
        "without_sha256": 0 if bundle.verified else extraction.without_sha256,
        "verified_by": verified_by,
    }
    how = {
        "chain": "verified",
        "index": "verified by the bundle's index",
        None: f"{extraction.without_sha256} of them without a hash to verify them by",
    }[verified_by]
    return document, (
        f"{target}: {extraction.files} files of {format_size(extraction.size_bytes)} from "
        f"{bundle.name}//{prefix}, {how}"
    )


def _hex(entry: BundleEntry) -> str | None:
    return entry.sha256.hex() if entry.sha256 else None
