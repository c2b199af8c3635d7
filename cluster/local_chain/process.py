"""The embedded chain as a child process of the network."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from greenray.chain.secrets import environment_without_secrets
from greenray.cluster.config.private_files import PRIVATE_UMASK
from greenray.logs.settings import LogSettings
from greenray.peer.faults import PeerFault
from greenray.peer.session import MAX_ERROR_BYTES, AnswerLimits, PeerSession
from greenray.protocol.errors import ChainUnavailable

log = logging.getLogger(__name__)

_RESTART_PAUSE_S = 1.0

CHAIN_MODULE = "greenray.chain.local"
"""What is run as a process."""


@dataclass(frozen=True, slots=True)
class ChainOptions:
    home: Path
    genesis: Path
    port: int
    block_interval_s: float
    dialect: str
    log_file: Path
    logs: LogSettings = field(default_factory=LogSettings)


class ChainProcess:
    """``python -m greenray.chain.local``; it prints one line of JSON when it listens."""

    def __init__(self, options: ChainOptions) -> None:
        self._options = options
        self._process: asyncio.subprocess.Process | None = None
        self.endpoint = ""

    @classmethod
    async def start(cls, options: ChainOptions) -> ChainProcess:
        """Raises ChainUnavailable with the chain's own words when it does not come up; it is not
        left running then, nor when this call is cancelled."""
        chain = cls(options)
        await chain._spawn()
        return chain

    @property
    def pid(self) -> int:
        """Of the process that runs, or is coming up."""
        assert self._process is not None
        return self._process.pid

    async def ask(self) -> int:
        """Return its process id once it has answered. Raises ChainUnavailable."""
        asked = self.pid
        await ask_node(self.endpoint)
        return asked

    async def keep(self) -> None:
        """Start it again, on the same port, whenever it dies; until cancelled."""
        port = urlsplit(self.endpoint).port or self._options.port
        self._options = replace(self._options, port=port)
        while True:
            assert self._process is not None
            status = await self._process.wait()
            log.warning("the embedded chain died (status %d) and is started again", status)
            try:
                await self._spawn()
            except (ChainUnavailable, OSError) as error:
                log.warning("the embedded chain did not come up: %s", error)
                await asyncio.sleep(_RESTART_PAUSE_S)

    async def stop(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(5):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    async def _spawn(self) -> None:
        options = self._options
        command = [sys.executable, "-P", "-m", CHAIN_MODULE]
        command += ["--home", str(options.home), "--genesis", str(options.genesis)]
        command += ["--port", str(options.port), "--block-interval", str(options.block_interval_s)]
        command += ["--dialect", options.dialect, "--stop-at-eof"]
        command += ["--log-file", str(options.log_file)]
        command += ["--log-bytes", str(options.logs.file_bytes)]
        command += ["--log-files", str(options.logs.files)]
        with options.log_file.open("ab") as log_file:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,  # ends when we are gone, however that happens
                stdout=asyncio.subprocess.PIPE,
                stderr=log_file,  # what it does not log: a traceback, when it breaks down
                start_new_session=True,  # Ctrl-C goes to us; we stop the chain last
                umask=PRIVATE_UMASK,
                env=environment_without_secrets(),
            )
        self._process = process
        self.endpoint = await _listening(process, options)


async def _listening(process: asyncio.subprocess.Process, options: ChainOptions) -> str:
    """The endpoint that the process says it listens on."""
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
            f"the embedded chain ended at once: {_last_line(options.log_file)}",
            f"port {options.port}",
            f"See {options.log_file}",
        )
    endpoint: str = json.loads(line)["endpoint"]
    return endpoint


async def ask_node(endpoint: str) -> None:
    """Return when the chain's node has answered. Raises ChainUnavailable."""
    session = PeerSession(AnswerLimits())
    try:
        async with session.request("GET", f"{endpoint}/health") as answer:
            await answer.read(MAX_ERROR_BYTES)
    except PeerFault as fault:
        raise ChainUnavailable(f"does not answer ({fault})", endpoint) from None
    finally:
        await session.close()


def _last_line(log_file: Path) -> str:
    lines = log_file.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
