"""An object to stdout, which gets nothing that is not verified."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from greenray.cli.transfer import transfer_display
from greenray.client.spool import written_to_stdout
from greenray.client.storage_client import StorageClient
from greenray.client.user import split_name
from greenray.protocol.objects import ObjectInfo


async def get_to_stdout(client: StorageClient, name: str, *, quiet: bool) -> ObjectInfo:
    """It is in a temporary file before: only the end of it shows whether it is right. Raises: what
    ``StorageClient.get`` raises."""
    with tempfile.TemporaryDirectory(prefix="greenray-get-") as directory:
        file = Path(directory) / "payload"
        with transfer_display(quiet=quiet) as display:
            info = await client.get(*split_name(name), file, on_progress=display.show)
        written_to_stdout(file, sys.stdout.buffer)
    return info
