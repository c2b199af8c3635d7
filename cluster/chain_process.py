"""The embedded chain as a child process of the network."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from protocol.errors import ChainUnavailable


@dataclass(slots=True)
class ChainProcess:
    """A running ``python -m chain.local``; it prints one line of JSON when it listens."""

    process: asyncio.subprocess.Process
    endpoint: str
    chain_id: str

    @classmethod
    async def start(
        cls, *, home: Path, genesis: Path, port: int, block_interval_s: float, log_file: Path
    ) -> ChainProcess:
        """Raises ChainUnavailable with the chain's own words when it does not come up; it is not
        left running then, nor when this call is cancelled."""
        command = [sys.executable, "-m", "chain.local"]
        command += ["--home", str(home), "--genesis", str(genesis), "--port", str(port)]
        command += ["--block-interval", str(block_interval_s), "--stop-at-eof"]
        with log_file.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,  # ends when we are gone, however that happens
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C goes to us; we stop the chain last
            )
        assert process.stdout is not None
        try:
            line = await process.stdout.readline()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        if not line:
            await process.wait()
            raise ChainUnavailable(
                f"the embedded chain ended at once: {_last_line(log_file)}",
                f"port {port}",
                f"See {log_file}",
            )
        ready = json.loads(line)
        return cls(process, ready["endpoint"], ready["chain_id"])

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
            try:
                async with asyncio.timeout(5):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()


def _last_line(log_file: Path) -> str:
    lines = log_file.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
