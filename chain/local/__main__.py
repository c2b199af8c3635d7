"""``python -m greenray.chain.local``: serve the embedded chain."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from greenray.chain.dialects import DEFAULT_DIALECT, get_local_dialect
from greenray.chain.local.ledger.genesis import load_genesis
from greenray.chain.local.server import DEFAULT_BLOCK_INTERVAL_S, DEFAULT_HOST, serve
from greenray.logs.files import LogFile, log_everything
from greenray.logs.settings import LogSettings
from greenray.protocol.errors import GreenrayError


def main(arguments: Sequence[str] | None = None) -> int:
    """0 after a clean stop, 1 after an error, which is printed."""
    parser = argparse.ArgumentParser(prog="python -m greenray.chain.local", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="state directory")
    parser.add_argument("--host", default=DEFAULT_HOST)
    parser.add_argument("--port", type=int, required=True, help="0 picks a free one")
    parser.add_argument("--genesis", type=Path, help="needed for a new home only")
    parser.add_argument(
        "--block-interval", type=float, default=DEFAULT_BLOCK_INTERVAL_S, help="seconds"
    )
    parser.add_argument("--dialect", default=DEFAULT_DIALECT, help="the wire dialect it speaks")
    parser.add_argument("--stop-at-eof", action="store_true", help="stop when standard input ends")
    parser.add_argument("--log-file", type=Path, help="NAME.log, which is kept bounded")
    parser.add_argument("--log-bytes", type=int, default=LogSettings().file_bytes)
    parser.add_argument("--log-files", type=int, default=LogSettings().files)
    given = parser.parse_args(arguments)
    if given.log_file is not None:
        settings = LogSettings(given.log_bytes, given.log_files)
        path: Path = given.log_file
        log_everything(LogFile(path.parent, path.stem, settings), path.stem)
    try:
        local_dialect = get_local_dialect(given.dialect)
        genesis = None
        if given.genesis is not None:
            genesis = load_genesis(given.genesis, local_dialect.fixed_gas)
        asyncio.run(
            serve(
                given.home,
                port=given.port,
                local_dialect=local_dialect,
                genesis=genesis,
                host=given.host,
                block_interval_s=given.block_interval,
                stop_at_eof=given.stop_at_eof,
            )
        )
    except GreenrayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
