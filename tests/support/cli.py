"""The real command, in processes of its own or in this one: one call, or a network that is up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
import pytest
import yaml
from typer.testing import CliRunner

from greenray.cli.app import app
from greenray.cluster.attaching import in_use

COMMAND = [sys.executable, "-m", "greenray"]
PATIENCE_S = 100.0
SEGMENT_SIZE_BYTES = 64 * 1024
SMALL_NETWORK: dict[str, Any] = {
    "chain": {
        "port": 0,
        "block_interval_s": 0.1,
        "genesis_params": {"max_segment_size": SEGMENT_SIZE_BYTES},
    },
    "gateway": {"port": 0},
    "budget": {"memory_bytes": 1024 * 1024 * 1024},
}
"""Settings of a network that any machine can run, several at a time."""

_MARK = "STARTED_BY_TEST"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        assert self.stdout, self
        document: dict[str, Any] = json.loads(self.stdout)
        return document

    @property
    def error(self) -> dict[str, Any]:
        """The error that ``--json`` shows: in the document, and as one line on stderr."""
        assert self.exit_code == 1, self
        error: dict[str, Any] = self.document["error"]
        assert set(error) == {"reason", "message", "retryable"}
        last_line = self.stderr.splitlines()[-1]
        assert last_line == f"error: {' '.join(error['message'].split())}"
        assert "Traceback" not in self.stderr
        return error


class Surroundings:
    """A folder to run commands in: its ``greenray.yaml`` and state directory are theirs.

    Everything that is started there, at whatever remove, carries a mark by which it is found.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.state_dir = folder / "state"
        self.mark = uuid.uuid4().hex
        folder.mkdir(parents=True, exist_ok=True)
        self.write_settings(SMALL_NETWORK if settings is None else settings)

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        (self.folder / "greenray.yaml").write_text(yaml.safe_dump(dict(settings)))

    def environment(self, **variables: str) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("GREENRAY_")}
        ours = {"GREENRAY_STATE_DIR": str(self.state_dir), _MARK: self.mark}
        return {**inherited, **ours, **variables}

    def call(self, *arguments: object, **variables: str) -> Outcome:
        """A command to its end in this process: a start of another costs up to two seconds, which
        are worth it where the process is what is looked at."""
        umask = os.umask(0o077)
        os.umask(umask)
        # What gives orders becomes a driver of the network's Ray, and would end with it.
        with in_use(), pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            for name in os.environ.keys() - self.environment(**variables).keys():
                patch.delenv(name)
            for name, value in self.environment(**variables).items():
                patch.setenv(name, value)
            ran = CliRunner().invoke(app, [*map(str, arguments)], prog_name="greenray")
        os.umask(umask)
        if ran.exception is not None and not isinstance(ran.exception, SystemExit):
            raise ran.exception  # a traceback, had it been a process
        return Outcome(ran.exit_code, ran.stdout, ran.stderr)

    def run(self, *arguments: object, wrapper: Sequence[str] = (), **variables: str) -> Outcome:
        """A command to its end in a process; ``wrapper`` is a program that runs it."""
        ran = subprocess.run(
            [*wrapper, *COMMAND, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        return Outcome(ran.returncode, ran.stdout, ran.stderr)

    def start(self, *arguments: object, **variables: str) -> Running:
        """A command in the background."""
        return Running(self, [*COMMAND, *map(str, arguments)], self.environment(**variables))

    def processes(self) -> list[psutil.Process]:
        """Whatever still runs of what was started here."""
        children: dict[int, list[psutil.Process]] = {}
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            try:
                children.setdefault(process.ppid(), []).append(process)
                if process.environ().get(_MARK) == self.mark:
                    found[process.pid] = process
            except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
                continue
        parents = list(found)
        while parents:  # some write over what tells their environment
            below = {child.pid: child for child in children.get(parents.pop(), [])}
            parents += below.keys() - found.keys()
            found |= below
        return [process for process in found.values() if _runs(process)]

    def kill_everything(self) -> None:
        """All at once: nobody sees another one die."""
        processes = self.processes()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in processes:
                _send(process, number)
        psutil.wait_procs(processes)
        assert self.processes() == []


class Running:
    """A command that runs; ``lines`` of stdout can be awaited."""

    def __init__(
        self, surroundings: Surroundings, command: list[str], environment: Mapping[str, str]
    ) -> None:
        self._surroundings = surroundings
        self._log = surroundings.folder / f"stderr-{uuid.uuid4().hex[:8]}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=surroundings.folder,
                env=dict(environment),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    @property
    def stderr(self) -> str:
        return self._log.read_text()

    def line(self) -> str:
        """The next line of stdout."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"ended with {self.process.wait()}: {self.stderr}"
        return line

    def stop(self, number: signal.Signals = signal.SIGTERM) -> Outcome:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.end()

    def end(self) -> Outcome:
        stdout, _ = self.process.communicate(timeout=PATIENCE_S)
        return Outcome(self.process.returncode, stdout, self.stderr)


def databases(state_dir: Path) -> list[str]:
    """The files of all databases that are there."""
    names = (*state_dir.glob("jobs.sqlite*"), *(state_dir / "chain").glob("chain.sqlite*"))
    return sorted(path.name for path in names)


def start_network(surroundings: Surroundings, *arguments: object, **variables: str) -> UpNetwork:
    """``greenray up`` in the foreground of a process; returns once it is up."""
    up = surroundings.start("up", "--json", *arguments, **variables)
    document = json.loads(up.line())
    assert "error" not in document, document
    return UpNetwork(surroundings, up, document)


@dataclass(frozen=True, slots=True)
class UpNetwork:
    """A running ``greenray up``; ``document`` is what it said."""

    surroundings: Surroundings
    up: Running
    document: dict[str, Any]

    @property
    def chain_endpoint(self) -> str:
        endpoint: str = self.document["chain_endpoint"]
        return endpoint

    @property
    def primary(self) -> str:
        """Operator address of the SP that new buckets go to."""
        address: str = self.document["gateways"][0]["operator_address"]
        return address

    def call(self, *arguments: object, **variables: str) -> Outcome:
        """A client's command, in this process."""
        return self.surroundings.call(*arguments, **variables)

    def answer(self, *arguments: object) -> dict[str, Any]:
        """The document of a command that must succeed."""
        outcome = self.call(*arguments, "--json")
        assert outcome.exit_code == 0, outcome
        return outcome.document

    def rpc(self, method: str, **params: Any) -> Any:
        return rpc(self.chain_endpoint, method, **params)

    def seal_transactions(self, object_id: int | None = None) -> list[dict[str, Any]]:
        """Successful MsgSealObject transactions in blocks: of one object, or all."""
        sealed = [tx for tx in self.seal_attempts() if tx["tx_result"]["code"] == 0]
        return [tx for tx in sealed if object_id is None or object_id == sealed_object_id(tx)]

    def seal_attempts(self) -> list[dict[str, Any]]:
        """All MsgSealObject transactions in blocks."""
        query = "message.action='/greenfield.storage.MsgSealObject'"
        found: list[dict[str, Any]] = []
        while True:
            page = str(len(found) // 100 + 1)
            answer = self.rpc("tx_search", query=query, per_page="100", page=page)
            found += answer["txs"]
            if len(found) >= int(answer["total_count"]):
                return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> Outcome:
        return self.up.stop(number)


def rpc(endpoint: str, method: str, **params: Any) -> Any:
    """A JSON-RPC call as curl would make it."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = Request(endpoint, body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=30) as answer:
        document = json.load(answer)
    assert "error" not in document, document
    return document["result"]


def sealed_object_id(transaction: Mapping[str, Any]) -> int:
    """From the EventSealObject of a seal transaction."""
    [value] = [
        attribute["value"]
        for event in transaction["tx_result"]["events"]
        if event["type"].endswith(".EventSealObject")
        for attribute in event["attributes"]
        if attribute["key"] == "object_id"
    ]
    return int(json.loads(value))


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
