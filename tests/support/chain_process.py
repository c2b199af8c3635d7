"""The embedded chain as the server process that it is, to be killed and started again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from greenray.chain.local.ledger.genesis import Genesis, genesis_to_json


class ChainProcess:
    """``start`` again after ``kill``: same home, same port."""

    def __init__(self, folder: Path, genesis: Genesis, block_interval_s: float) -> None:
        self._home = folder / "chain"
        self._genesis = folder / "genesis.json"
        self._genesis.write_text(json.dumps(genesis_to_json(genesis)))
        self._block_interval_s = block_interval_s
        self._process: subprocess.Popen[str] | None = None
        self.endpoint = ""

    def start(self) -> None:
        port = self.endpoint.rpartition(":")[2] or "0"
        command = [sys.executable, "-m", "greenray.chain.local", "--home", str(self._home)]
        command += ["--port", port, "--genesis", str(self._genesis)]
        command += ["--block-interval", str(self._block_interval_s)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.endpoint = json.loads(self._process.stdout.readline())["endpoint"]

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None
