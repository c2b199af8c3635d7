"""``greenray down``."""

from __future__ import annotations

from pathlib import Path

from greenray.cli.options import DEFAULT_STATE_DIR, StateDirOption
from greenray.cli.output import Json, command_app, print_result, reporting_errors

app = command_app()

_PATIENCE_S = 30.0


@app.command()
def down(state_dir: StateDirOption = DEFAULT_STATE_DIR, as_json: Json = False) -> None:
    """Stop the network of this state directory; unfinished jobs go on at the next 'up'."""
    with reporting_errors(as_json):
        pid = _stop(state_dir)
        print_result({"stopped": pid}, f"stopped process {pid}", as_json)


def _stop(state_dir: Path) -> int:
    import psutil

    from greenray.client.network_file import read_network
    from greenray.protocol.errors import ComponentUnavailable

    network = read_network(state_dir)
    process = psutil.Process(network.pid)
    process.terminate()
    process.resume()  # one that is stopped would not hear it
    try:
        process.wait(timeout=_PATIENCE_S)
    except psutil.TimeoutExpired:
        raise ComponentUnavailable(
            f"process {network.pid} has not stopped within {_PATIENCE_S:g} s",
            str(state_dir),
            f"Look at it, or end it with: kill -9 {network.pid}",
        ) from None
    return network.pid
