"""One world: a network on Ray, a client that puts all the time, faults that are drawn by a seed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from greenray.chain import wire
from greenray.client.network_file import read_network
from greenray.client.network_health import NetworkHealth, NetworkState, ask_health
from greenray.client.storage_client import StorageClient
from greenray.client.user import open_client
from tests.faults.chaos.client import BUCKET, Entry, object_name, payload
from tests.faults.chaos.targets import KINDS, victims
from tests.support.cli import Running, Surroundings, UpNetwork, sealed_object_id, start_network

_POLL_S = 0.2
_BACK_TIMEOUT_S = 180.0
"""On a machine that is three times slower as well."""
_SEAL_TIMEOUT_S = 240.0


class ChaosFailure(Exception):
    """A promise was broken; which one, and in which world."""


@dataclass(frozen=True, slots=True)
class Fault:
    kind: str
    is_stop: bool

    @property
    def name(self) -> str:
        return f"{'stop' if self.is_stop else 'kill'} {self.kind}"


@dataclass(slots=True)
class FaultOutcome:
    """Seconds since the fault: when the network showed that something is wrong (None: it was over
    before anybody looked), and when it was whole again and had acknowledged another object."""

    fault: Fault
    noticed_s: float | None = None
    back_s: float = 0.0


@dataclass(slots=True)
class WorldOutcome:
    seed: int
    faults: list[FaultOutcome] = field(default_factory=list)
    acknowledged: int = 0
    sealed: int = 0
    read_back: int = 0
    errors: int = 0
    """That the client saw, and went on after."""


def drawn(seed: int, kills: int, stops: int) -> list[Fault]:
    """Every kind comes as often as every other, over many seeds; their order is drawn."""
    faults = [Fault(KINDS[(seed * kills + i) % len(KINDS)], False) for i in range(kills)]
    faults += [Fault(KINDS[(seed * stops + i) % len(KINDS)], True) for i in range(stops)]
    random.Random(seed).shuffle(faults)
    return faults


class World:
    """``run`` it once. Everything that was started is killed when it ends, however it does."""

    def __init__(self, folder: Path, seed: int, stop_s: float) -> None:
        self._surroundings = Surroundings(folder)
        self._seed = seed
        self._stop_s = stop_s
        self._chance = random.Random(seed)
        self._diary = folder / "diary.jsonl"
        self._network: UpNetwork
        self._client: Running

    def run(self, faults: Sequence[Fault]) -> WorldOutcome:
        """Raises ChaosFailure."""
        outcome = WorldOutcome(self._seed)
        try:
            self._network = start_network(self._surroundings)
            self._start_client()
            self._await_objects(1)
            for fault in faults:
                outcome.faults.append(self._suffer(fault))
            self._client.process.terminate()
            self._client.end()
            asyncio.run(self._check_objects(outcome))
            self._check_chain()
            ended = self._network.stop()
            self._must(ended.exit_code == 0, f"up ended with {ended}")
            return outcome
        finally:
            self._surroundings.kill_everything()

    # --- faults ----------------------------------------------------------------------------------

    def _suffer(self, fault: Fault) -> FaultOutcome:
        time.sleep(self._chance.uniform(0.3, 3.0))  # the moment is drawn
        up = psutil.Process(self._network.up.process.pid)
        hit = victims(fault.kind, self._surroundings, up, self._chance)
        outcome = FaultOutcome(fault)
        began = time.monotonic()
        if fault.is_stop:
            self._stop_for_a_while(fault, hit, outcome, began)
        else:
            _signal(hit, signal.SIGSTOP)  # so that none acts on the end of another
            _signal(hit, signal.SIGKILL)
            if fault.kind in ("up", "all"):
                self._network.up.process.wait()
                self._network = start_network(self._surroundings)
            if fault.kind == "client":
                self._client.process.wait()
                self._start_client()
        before = len(self._acknowledged())
        self._await_health(outcome, began)
        self._await_objects(before + 1)
        outcome.back_s = time.monotonic() - began
        return outcome

    def _stop_for_a_while(
        self, fault: Fault, hit: Sequence[psutil.Process], outcome: FaultOutcome, began: float
    ) -> None:
        """They go on afterwards, as far as nobody has replaced them."""
        _signal(hit, signal.SIGSTOP)
        while any(map(_runs_still, hit)):
            time.sleep(0.01)
        while time.monotonic() - began < self._stop_s and any(map(_is_stopped, hit)):
            state = self._health().state
            if outcome.noticed_s is None and state is not NetworkState.RUNNING:
                outcome.noticed_s = time.monotonic() - began
            time.sleep(_POLL_S)
        _signal(hit, signal.SIGCONT)
        nobody_looks = fault.kind == "client"
        self._must(nobody_looks or outcome.noticed_s is not None, f"nobody noticed: {fault.name}")

    def _await_health(self, outcome: FaultOutcome, began: float) -> None:
        """Twice, because a fault that nobody has seen yet is no fault that is over."""
        well = 0
        while well < 4:
            health = self._health()
            self._check_patience(began, f"{outcome.fault.name}: {health}")
            self._must(self._network.up.process.poll() is None, self._network.up.stderr)
            is_well = health.state is NetworkState.RUNNING
            well = well + 1 if is_well else 0
            if not is_well and outcome.noticed_s is None:
                outcome.noticed_s = time.monotonic() - began
            time.sleep(_POLL_S)

    def _health(self) -> NetworkHealth:
        return asyncio.run(ask_health(read_network(self._surroundings.state_dir)))

    def _start_client(self) -> None:
        arguments = [str(self._surroundings.state_dir), str(self._seed), str(self._diary)]
        command = [sys.executable, "-m", "tests.faults.chaos.client", *arguments]
        environment = self._surroundings.environment(PYTHONPATH=":".join(sys.path))
        self._client = Running(self._surroundings, command, environment)

    # --- what was promised -----------------------------------------------------------------------

    def _acknowledged(self) -> list[int]:
        return [e.number for e in Entry.read(self._diary) if e.event == "acknowledged"]

    def _await_objects(self, count: int) -> None:
        began = time.monotonic()
        while len(self._acknowledged()) < count:
            last = Entry.read(self._diary)[-1:]
            self._check_patience(began, f"no object is acknowledged: {last}, {self._client.stderr}")
            self._must(self._client.process.poll() is None, self._client.stderr)
            self._must(self._network.up.process.poll() is None, self._network.up.stderr)
            time.sleep(_POLL_S)

    async def _check_objects(self, outcome: WorldOutcome) -> None:
        """Every acknowledged object is sealed, and read back byte for byte."""
        entries = Entry.read(self._diary)
        numbers = self._acknowledged()
        outcome.acknowledged = len(numbers)
        outcome.errors = sum(entry.event not in ("begun", "acknowledged") for entry in entries)
        target = self._surroundings.folder / "read-back"
        async with open_client(read_network(self._surroundings.state_dir)) as client:
            for number in numbers:
                await self._await_seal(client, number)
                outcome.sealed += 1
                await client.get(BUCKET, object_name(number), target)
                read = hashlib.sha256(target.read_bytes()).digest()
                wanted = hashlib.sha256(payload(self._seed, number)).digest()
                self._must(read == wanted, f"{object_name(number)} is read back as something else")
                outcome.read_back += 1

    async def _await_seal(self, client: StorageClient, number: int) -> None:
        began = time.monotonic()
        while True:
            status = await client.status(BUCKET, object_name(number))
            if status["sealed"]:
                return
            self._must(not status["final"], f"given up: {status}")
            if time.monotonic() - began > _SEAL_TIMEOUT_S:
                raise ChaosFailure(f"seed {self._seed}: not sealed: {status}")
            await asyncio.sleep(_POLL_S)

    def _check_chain(self) -> None:
        """No object is sealed twice, and no nonce is left out."""
        transactions = self._network.seal_transactions()
        ids = [sealed_object_id(transaction) for transaction in transactions]
        self._must(len(ids) == len(set(ids)), f"an object was sealed twice: {sorted(ids)}")
        nonces: dict[str, list[int]] = {}
        for transaction in self._network.seal_attempts():
            signer, nonce = _signed_by(transaction)
            nonces.setdefault(signer, []).append(nonce)
        for signer, used in nonces.items():
            gapless = sorted(used) == list(range(min(used), min(used) + len(used)))
            self._must(gapless and min(used) == 0, f"nonces of {signer}: {sorted(used)}")

    def _check_patience(self, began: float, what: str) -> None:
        self._must(time.monotonic() - began < _BACK_TIMEOUT_S, what)

    def _must(self, holds: bool, what: str) -> None:
        if not holds:
            raise ChaosFailure(f"seed {self._seed}: {what}")


def _signed_by(transaction: Mapping[str, Any]) -> tuple[str, int]:
    """The public key of who signed it, and the nonce."""
    raw = wire.decode(wire.tx.TxRaw, base64.b64decode(transaction["tx"]))
    [signer] = wire.decode(wire.tx.AuthInfo, raw.auth_info_bytes).signer_infos
    return signer.public_key.value.hex(), signer.sequence


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def _runs_still(process: psutil.Process) -> bool:
    """A signal takes a moment to arrive."""
    try:
        return process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
