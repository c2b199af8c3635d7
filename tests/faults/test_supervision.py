"""One network on Ray, whose servers and actors are killed and stopped: it restores itself, says how
it is, and ends itself when there is nothing left to run on. ``make chaos`` does the same to every
process, again and again."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.cli import Outcome, Surroundings, UpNetwork, start_network
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)

PAYLOAD = random.Random(26).randbytes(6_000_000)


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    surroundings = Surroundings(tmp_path_factory.mktemp("network"))
    yield surroundings
    surroundings.kill_everything()


@pytest.fixture(scope="module")
def network(surroundings: Surroundings) -> UpNetwork:
    return start_network(surroundings)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "payload.bin"
    path.write_bytes(PAYLOAD)
    return path


def process_of(surroundings: Surroundings, command: str) -> psutil.Process:
    """The one whose command line begins, or whose program's path ends, with this."""

    def found() -> psutil.Process | None:
        for process in surroundings.processes():
            words = _command_line(process)
            if words and (words[0].startswith(command) or words[0].endswith(command)):
                return process
        return None

    return until(found)


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def whole_again(surroundings: Surroundings) -> Outcome:
    """The status, once nothing is amiss any more."""

    def running() -> Outcome | None:
        status = surroundings.call("status", "--json")
        if status.exit_code == 0:
            return status
        assert status.document["state"] in ("degraded", "not answering")
        return None

    return until(running)


def test_an_object_is_sealed_although_the_raylet_is_killed_while_it_is_put(
    network: UpNetwork, file: Path, tmp_path: Path
) -> None:
    put = network.surroundings.start("put", file, "album/raylet", "--json")
    process_of(network.surroundings, "/raylet").kill()
    ended = put.end()
    assert ended.exit_code == 0, ended
    assert ended.document["state"] == "SEAL_OBJECT_DONE"
    assert len(network.seal_transactions(ended.document["object_id"])) == 1
    network.answer("get", "album/raylet", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == PAYLOAD

    status = whole_again(network.surroundings).document
    assert status["gateways"] != network.document["gateways"]  # another node of another Ray
    for now, before in zip(status["gateways"], network.document["gateways"], strict=True):
        assert now["endpoint"] == before["endpoint"]
    assert status["chain_endpoint"] == network.document["chain_endpoint"]


def test_status_names_what_is_stopped_and_it_is_replaced(network: UpNetwork, file: Path) -> None:
    receiver = process_of(network.surroundings, "ray::Receiver")
    receiver.suspend()
    shown = network.call("status")
    assert shown.exit_code == 1
    assert re.match(r"degraded \(receiver-0 (is stopped|has died)\)", shown.stdout), shown
    psutil.wait_procs([receiver])
    whole_again(network.surroundings)
    assert network.answer("put", file, "album/receiver")["state"] == "SEAL_OBJECT_DONE"


def test_status_answers_although_nobody_else_does(network: UpNetwork, file: Path) -> None:
    """The process that would replace what is stopped is stopped as well."""
    network.answer("put", file, "album/silent")
    home = process_of(network.surroundings, "ray::Home")
    network.up.process.send_signal(signal.SIGSTOP)
    home.suspend()
    status = network.call("status", "--json")
    assert (status.exit_code, status.document["state"]) == (1, "not answering")
    error = network.call("status", "album/silent", "--json").error
    assert error["reason"] == "component-unavailable"
    assert error["retryable"]
    assert f"process {network.up.process.pid} said nothing" in error["message"]
    network.up.process.send_signal(signal.SIGCONT)
    whole_again(network.surroundings)
    assert network.answer("status", "--watch", "album/silent")["state"] == "SEAL_OBJECT_DONE"


def test_the_logs_tell_what_happened_and_when_in_one_place(network: UpNetwork) -> None:
    logs = Path(network.answer("status")["logs"])
    assert {"network.log", "chain.log", "home.log", "uploader-0.log", "receiver-0.log"} <= {
        path.name for path in logs.iterdir()
    }
    lines = (logs / "network.log").read_text().splitlines()
    line = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR) network \S+: ")
    assert all(line.match(each) for each in lines)
    assert any("raylet has died" in each for each in lines)
    assert any("receiver-0 is stopped" in each for each in lines)
    assert any("all actors are there again" in each for each in lines)


def test_a_network_whose_state_directory_is_removed_ends_itself_and_says_why(
    network: UpNetwork,
) -> None:
    shutil.rmtree(network.surroundings.state_dir)
    ended = network.up.end()
    assert ended.exit_code == 1
    last_line = ended.stderr.splitlines()[-1]
    assert last_line.startswith(f"error: {network.surroundings.state_dir}: the state directory")
    assert network.surroundings.processes() == []
    down = network.call("down", "--json").error
    assert down["reason"] == "not-running"


def test_a_detached_network_outlives_the_servers_of_ray(tmp_path: Path) -> None:
    """Its parent is init, which Ray takes for a raylet that has died."""
    surroundings = Surroundings(tmp_path / "network")
    try:
        up = surroundings.run("up", "--detach", "--json")
        assert up.exit_code == 0, up
        assert psutil.Process(up.document["pid"]).ppid() != os.getpid()
        for server in ("gcs_server", "raylet"):
            process_of(surroundings, f"/{server}").kill()
            assert whole_again(surroundings).document["pid"] == up.document["pid"]
        assert surroundings.run("down", "--json").exit_code == 0
    finally:
        surroundings.kill_everything()
