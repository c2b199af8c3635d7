"""Starting and ending networks: what is started is ended, and nothing else is."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from greenray.storage.journal_file import check_journal
from tests.support.cli import SMALL_NETWORK, Running, Surroundings, databases, start_network
from tests.support.small_disk import small_disk
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)

OTHER_RAY = """
import os, sys
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
@ray.remote
class Neighbour:
    def pid(self):
        return os.getpid()
neighbour = Neighbour.remote()
print(ray.get(neighbour.pid.remote()), flush=True)
sys.stdin.readline()
print(ray.get(neighbour.pid.remote()), flush=True)
ray.shutdown()
"""


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[Surroundings]:
    surroundings = Surroundings(tmp_path / "network")
    yield surroundings
    surroundings.kill_everything()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "payload.bin"
    path.write_bytes(random.Random(3).randbytes(300_000))
    return path


def test_a_detached_network_is_stopped_by_down_and_another_ray_cluster_is_left_alone(
    surroundings: Surroundings, file: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_RAY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("RAY_")},
    ) as other:
        assert other.stdout is not None
        neighbour_pid = int(other.stdout.readline())
        neighbours = psutil.Process(other.pid).children(recursive=True)
        up = surroundings.run("up", "--detach", "--json")
        assert up.exit_code == 0, up
        assert up.document == surroundings.run("status", "--json").document
        put = surroundings.call("put", file, "album/photo.jpg", "--json")
        assert put.document["state"] == "SEAL_OBJECT_DONE"
        begun = surroundings.call("put", "--wait", "uploaded", file, "album/late.jpg")
        assert begun.exit_code == 0
        down = surroundings.run("down", "--json")
        assert (down.exit_code, down.document) == (0, {"stopped": up.document["pid"]})
        assert databases(surroundings.state_dir) == ["chain.sqlite", "jobs.sqlite"]
        assert check_journal(surroundings.state_dir / "jobs.sqlite", thorough=True).jobs == 2
        assert surroundings.processes() == []
        assert surroundings.run("down", "--json").error["reason"] == "not-running"
        assert all(process.is_running() for process in neighbours)
        stdout, _ = other.communicate("go on\n")
        assert int(stdout) == neighbour_pid
        assert other.returncode == 0


def test_after_a_kill_of_up_alone_the_next_up_ends_what_was_left_and_seals(
    surroundings: Surroundings, file: Path, tmp_path: Path
) -> None:
    first = start_network(surroundings)
    put = first.answer("put", "--wait", "uploaded", file, "album/photo.jpg")
    first.stop(signal.SIGKILL)
    left = surroundings.processes()
    assert surroundings.call("status", "--json").error["reason"] == "not-running"

    second = start_network(surroundings)
    _, alive = psutil.wait_procs(left, timeout=0)
    assert alive == []
    sealed = surroundings.call("status", "--watch", "album/photo.jpg", "--json").document
    assert (sealed["object_id"], sealed["state"]) == (put["object_id"], "SEAL_OBJECT_DONE")
    [seal] = second.seal_transactions()
    assert seal["hash"] == sealed["seal_tx_hash"]
    second.answer("get", "album/photo.jpg", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == file.read_bytes()

    ended = second.stop(signal.SIGINT)
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert ended.stderr.splitlines()[-1] == "stopping"
    assert databases(surroundings.state_dir) == ["chain.sqlite", "jobs.sqlite"]
    assert surroundings.processes() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_that_is_interrupted_while_it_starts_leaves_nothing(
    surroundings: Surroundings, number: signal.Signals
) -> None:
    up = surroundings.start("up", "--json")
    _started(surroundings, up, 4)
    ended = up.stop(number)
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr.splitlines()[-1] == "stopped while starting"
    assert surroundings.processes() == []
    assert surroundings.call("status", "--json").error["reason"] == "not-running"


@pytest.fixture
def interrupts_ignored() -> Iterator[None]:
    """What is started inherits it, as from a shell that starts it in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("interrupts_ignored")
def test_a_demo_that_is_interrupted_leaves_nothing(
    surroundings: Surroundings, number: signal.Signals, tmp_path: Path
) -> None:
    temporary = tmp_path / "a-folder-whose-path-is-too-long-for-the-sockets-of-ray"
    temporary.mkdir()
    demo = surroundings.start("demo", "--size", "1MiB", "--json", TMPDIR=str(temporary))
    _started(surroundings, demo, 4)
    ended = demo.stop(number)
    assert (ended.exit_code, ended.stdout) == (130, "")
    assert ended.stderr.splitlines()[-1] == "interrupted"
    assert "Traceback" not in ended.stderr
    assert surroundings.processes() == []
    assert list(temporary.iterdir()) == []


def test_a_misspelt_setting_starts_nothing(surroundings: Surroundings) -> None:
    error = surroundings.call("up", "--json", GREENRAY_SPSS="9").error
    assert error["reason"] == "invalid-setting"
    assert "GREENRAY_SPSS" in error["message"]
    assert "did you mean GREENRAY_SPS?" in error["message"]

    surroundings.write_settings({**SMALL_NETWORK, "chian": {"port": 1}})
    for arguments in (["up"], ["up", "--detach"], ["demo", "--size", "1KiB"]):
        error = surroundings.call(*arguments, "--json").error
        assert error["reason"] == "invalid-setting"
        assert "greenray.yaml" in error["message"]
        assert "chian" in error["message"]
    assert not surroundings.state_dir.exists()


def test_an_unknown_dialect_starts_nothing(surroundings: Surroundings) -> None:
    home = surroundings.folder / "home"
    for arguments in (["up"], ["demo", "--size", "1KiB"], ["bench", "seal", "--quick"]):
        error = surroundings.call(*arguments, "--json", GREENRAY_CHAIN__DIALECT="nonsense").error
        assert error["reason"] == "invalid-setting"
        assert "'nonsense'" in error["message"]
        assert "Use one of v0_2" in error["message"]
    served = surroundings.call(
        *("chain", "serve", "--port", "0"), "--home", home, "--dialect", "nonsense"
    )
    assert served.exit_code == 1
    assert "there is no chain dialect 'nonsense'" in served.stderr
    assert not surroundings.state_dir.exists()
    assert not home.exists()


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("memory://", "only one of them would see these pieces"),
        ("file:pieces", "not absolute"),
        ("gs://bucket", "file:///srv/pieces"),
    ],
)
def test_pieces_in_a_place_that_cannot_be_start_nothing(
    surroundings: Surroundings, url: str, named: str
) -> None:
    error = surroundings.call("up", "--json", GREENRAY_PIECES__URL=url).error
    assert error["reason"] == "invalid-setting"
    assert named in error["message"]
    assert surroundings.processes() == []


@pytest.mark.parametrize("size_bytes", [64 * 1024, 1536 * 1024])
def test_up_on_a_full_disk_says_so_and_leaves_no_process(
    surroundings: Surroundings, size_bytes: int
) -> None:
    surroundings.state_dir.mkdir()
    with small_disk(surroundings.state_dir, size_bytes) as mounted:
        if not mounted:
            pytest.skip("mounting a small disk needs root")
        error = surroundings.run("up", "--json").error
        assert error["reason"] == "no-space-left"
        assert str(surroundings.state_dir) in error["message"]
        assert surroundings.processes() == []


@pytest.mark.parametrize("detach", [[], ["--detach"]], ids=["foreground", "detached"])
def test_a_state_directory_that_cannot_be_made_is_named(
    surroundings: Surroundings, tmp_path: Path, detach: list[str]
) -> None:
    (tmp_path / "file").touch()
    state_dir = str(tmp_path / "file" / "state")
    error = surroundings.call("up", *detach, "--json", GREENRAY_STATE_DIR=state_dir).error
    assert error["reason"] == "store-error"
    assert state_dir in error["message"]
    assert "--state-dir" in error["message"]


def test_a_small_shared_memory_is_refused_before_anything_is_started(
    surroundings: Surroundings,
) -> None:
    script = 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"'
    own_mounts = ["unshare", "--mount", "sh", "-c", script, "sh"]
    if subprocess.run([*own_mounts, "true"], capture_output=True).returncode != 0:
        pytest.skip("a mount of one's own needs root")
    error = surroundings.run("up", "--json", wrapper=own_mounts).error
    assert error["reason"] == "shared-memory-too-small"
    assert "/dev/shm" in error["message"]
    assert "64 MiB are free" in error["message"]
    assert "--shm-size" in error["message"]
    assert surroundings.processes() == []


def _started(surroundings: Surroundings, command: Running, count: int) -> None:
    """Returns once so many processes run."""

    def enough() -> bool:
        assert command.process.poll() is None, command.stderr
        return len(surroundings.processes()) >= count

    until(enough)
