"""``greenray demo``."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenray.cli.options import (
    ChainEndpointOption,
    ConfigOption,
    KeysOption,
    SpsOption,
    chain_overrides,
)
from greenray.cli.output import Json, command_app, parse_size, print_result, reporting_errors
from greenray.display.units import format_size

if TYPE_CHECKING:
    from greenray.cluster.demo import DemoReport

app = command_app()


@app.command()
def demo(
    input_file: Annotated[
        Path | None, typer.Option("--input", help="A file to store; random bytes otherwise.")
    ] = None,
    size_bytes: Annotated[
        int, typer.Option("--size", parser=parse_size, metavar="SIZE", help="Of the random bytes.")
    ] = 64 << 20,
    sps: SpsOption = None,
    config: ConfigOption = None,
    chain_endpoint: ChainEndpointOption = None,
    keys: KeysOption = None,
    as_json: Json = False,
) -> None:
    """Start everything, put, wait until sealed, get, compare, show, stop."""
    from greenray.cli.transfer import transfer_display
    from greenray.cluster.config.settings_loading import load_settings
    from greenray.cluster.demo import make_payload, run_demo

    async def run(work_dir: Path) -> DemoReport:
        # A throw-away network: everything it writes is gone afterwards, any free port will do.
        settings = load_settings(
            config,
            sps=sps,
            state_dir=work_dir / "net",  # short: Ray's sockets are below it
            chain={"port": 0, **chain_overrides(chain_endpoint, keys)},
            gateway={"port": 0},
        )
        source = input_file
        if source is None:
            source = work_dir / "random.bin"
            make_payload(source, size_bytes)
        # Being terminated is being interrupted: everything is stopped and removed.
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
        with transfer_display() as display:
            return await run_demo(settings, source, work_dir, display.show, display.note)

    began_at = time.perf_counter()
    # Shells have what they start in the background ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with reporting_errors(as_json), tempfile.TemporaryDirectory(prefix="greenray-demo-") as name:
        report = asyncio.run(run(Path(name)))
        print_result(report.to_json(), describe(report, time.perf_counter() - began_at), as_json)


def describe(report: DemoReport, total_s: float) -> str:
    status = report.status
    lines = [
        f"{status['bucket']}/{status['object']}: {format_size(report.payload_size_bytes)}, "
        f"object {status['object_id']}, {status['state']}",
        f"sealed by {status['seal_tx_hash']} in block {status['seal_height']}",
    ]
    lines += [
        f"  secondary {s['redundancy_index']}  {s['operator_address']}  {s['integrity_hash']}"
        for s in status["secondaries"]
    ]
    lines.append(
        "  ".join(f"{name.removesuffix('_s')} {s:.2f} s" for name, s in report.stages.items())
    )
    lines.append(
        f"upload to sealed: {report.upload_to_sealed_mb_s:.0f} MB/s; "
        f"what came back is what went in (sha256 {report.downloaded_sha256[:16]}...); "
        f"{total_s:.1f} s in all"
    )
    return "\n".join(lines)
