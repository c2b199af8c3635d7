"""A supervisor over real processes: what is stopped, silent or dead is noticed and replaced."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from greenray.client.network_file import LOCK_FILE
from greenray.client.network_health import NetworkState
from greenray.cluster.config.state_dir import StateDir
from greenray.cluster.supervision.pulse import Pulse
from greenray.cluster.supervision.rules import Kind
from greenray.cluster.supervision.settings import SupervisionSettings
from greenray.cluster.supervision.supervisor import Supervisor
from greenray.protocol.errors import ComponentUnavailable, NetworkFailed, StateLost

QUICK = SupervisionSettings(
    interval_s=0.02, answer_s=0.1, silence_s=0.3, start_s=60, failures_per_minute=2
)


class Sleepers:
    """Implements ``Supervised``: two processes, of which one is like a server of Ray's."""

    def __init__(self, state: StateDir) -> None:
        self.state = state
        self.renewals = 0
        self.renewed = asyncio.Event()
        self.cannot_be_renewed = False
        self.answers = asyncio.Event()
        self.answers.set()
        self.server, self.chain = _sleeper(), _sleeper()
        self._pulses = self._made()

    def _made(self) -> tuple[Pulse, ...]:
        return (
            Pulse("server", Kind.SERVER, process_id=lambda: self.server.pid),
            Pulse("chain", Kind.CHAIN, ask=self._ask, process_id=lambda: self.chain.pid),
        )

    async def _ask(self) -> int:
        await self.answers.wait()
        return self.chain.pid

    def pulses(self) -> Sequence[Pulse]:
        return self._pulses

    def check_place(self) -> None:
        self.state.check_lock()

    async def renew(self) -> None:
        self.renewals += 1
        if self.cannot_be_renewed:
            raise ComponentUnavailable("the disk is full", "Ray")
        self.server.kill()
        self.server.wait()
        self.server = _sleeper()
        self._pulses = self._made()
        self.renewed.set()

    def end(self) -> None:
        for process in (self.server, self.chain):
            process.kill()
            process.wait()


def _sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "1000"])


@pytest.fixture
def sleepers(tmp_path: Path) -> Iterator[Sleepers]:
    state = StateDir(tmp_path / "state")
    with state.locked():
        sleepers = Sleepers(state)
        yield sleepers
        sleepers.end()


@pytest.fixture
def supervisor(sleepers: Sleepers) -> Supervisor:
    return Supervisor(sleepers, QUICK)


async def ended(process: subprocess.Popen[bytes]) -> int:
    return await asyncio.to_thread(process.wait)


async def test_what_lives_and_answers_is_left_alone(
    sleepers: Sleepers, supervisor: Supervisor
) -> None:
    running = asyncio.create_task(supervisor.run())
    for _ in range(20):
        assert (await supervisor.health()).state is NetworkState.RUNNING
    running.cancel()
    assert sleepers.server.poll() is sleepers.chain.poll() is None
    assert sleepers.renewals == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_server_that_is_dead_or_stopped_has_all_of_ray_started_anew(
    sleepers: Sleepers, supervisor: Supervisor, number: signal.Signals
) -> None:
    sleepers.server.send_signal(number)
    running = asyncio.create_task(supervisor.run())
    await sleepers.renewed.wait()
    while (await supervisor.health()).state is not NetworkState.RUNNING:
        assert not running.done()
    running.cancel()
    assert sleepers.renewals == 1


async def test_a_stopped_process_is_named_and_killed_for_whoever_starts_it_again(
    sleepers: Sleepers, supervisor: Supervisor
) -> None:
    sleepers.chain.send_signal(signal.SIGSTOP)
    while "chain is stopped" not in (await supervisor.health()).troubles:
        assert sleepers.chain.poll() is None
    running = asyncio.create_task(supervisor.run())
    assert await ended(sleepers.chain) == -signal.SIGKILL
    running.cancel()


async def test_a_process_that_runs_and_does_not_answer_is_killed_later(
    sleepers: Sleepers, supervisor: Supervisor
) -> None:
    sleepers.answers.clear()
    assert (await supervisor.health()).troubles == ("chain does not answer",)
    running = asyncio.create_task(supervisor.run())
    assert await ended(sleepers.chain) == -signal.SIGKILL
    running.cancel()


async def test_an_answer_that_comes_late_makes_the_network_whole_again(
    sleepers: Sleepers, supervisor: Supervisor
) -> None:
    sleepers.answers.clear()
    assert str(await supervisor.health()) == "degraded (chain does not answer)"
    sleepers.answers.set()
    assert str(await supervisor.health()) == "running"


async def test_the_network_gives_up_when_it_cannot_be_restored_and_says_why(
    sleepers: Sleepers, supervisor: Supervisor
) -> None:
    sleepers.cannot_be_renewed = True
    sleepers.server.kill()
    with pytest.raises(NetworkFailed) as caught:
        await supervisor.run()
    assert "server has died" in str(caught.value)
    assert "the disk is full" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_the_network_gives_up_when_one_component_dies_again_and_again(
    sleepers: Sleepers, supervisor: Supervisor
) -> None:
    running = asyncio.create_task(supervisor.run())
    while not running.done():
        sleepers.chain.kill()
        await ended(sleepers.chain)
        sleepers.chain = _sleeper()
        pid = sleepers.chain.pid
        while not running.done() and sleepers.pulses()[1].answered_by != pid:
            await supervisor.health()
    with pytest.raises(NetworkFailed, match=r"chain failed \d+ times within 60 s"):
        await running


async def test_a_state_directory_that_was_removed_or_replaced_ends_the_network(
    sleepers: Sleepers, supervisor: Supervisor
) -> None:
    lock = sleepers.state.root / LOCK_FILE
    lock.unlink()
    with pytest.raises(StateLost, match="was removed"):
        await supervisor.run()
    lock.touch()
    with pytest.raises(StateLost, match="was removed"):
        await supervisor.run()
