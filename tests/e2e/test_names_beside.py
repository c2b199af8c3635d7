"""Beside files and folders of a user's whose names are those of our packages, or of Python's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import SMALL_NETWORK, Surroundings

OUR_NAMES = ("storage", "chain", "cluster", "protocol", "actors", "coding")
PACKAGES = ("actors", "chain")
PYTHONS_NAMES = ("queue", "sqlite3")

pytestmark = pytest.mark.timeout(300)

DRIVER = """
import json, sys
import ray
import greenray

settings = json.loads(sys.argv[1])

@ray.remote
def where():
    from greenray.actors.receiver.actor import Receiver
    return Receiver.__module__

with greenray.local_network(sps=7, **settings) as net:
    net.put(b"payload", "photos/one")
    print(net.get("photos/one") == b"payload", ray.get(where.remote()))
"""


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[Surroundings]:
    surroundings = Surroundings(tmp_path / "here")
    yield surroundings
    surroundings.kill_everything()


def put_names_into(folder: Path, *more: str) -> None:
    for name in (*OUR_NAMES, *more):
        (folder / f"{name}.py").write_text(f"raise RuntimeError('the user\\'s {name}.py')\n")
    for name in PACKAGES:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('a package of the user')\n")


def run(surroundings: Surroundings, *arguments: str) -> str:
    """What a Python in that folder says."""
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=surroundings.folder,
        env=surroundings.environment(),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_demo_runs_beside_files_that_have_our_names_or_those_of_pythons_modules(
    surroundings: Surroundings,
) -> None:
    put_names_into(surroundings.folder, *PYTHONS_NAMES)
    # As the installed command, which does not look for modules where it is started.
    demo = ("-P", "-m", "greenray", "demo", "--size", "1MiB", "--sps", "7", "--json")
    document = json.loads(run(surroundings, *demo))
    assert document["state"] == "SEAL_OBJECT_DONE"
    assert document["downloaded_sha256"] == document["payload_sha256"]
    assert surroundings.processes() == []


def test_a_network_stays_up_beside_such_files(surroundings: Surroundings) -> None:
    put_names_into(surroundings.folder, *PYTHONS_NAMES)
    document = json.loads(run(surroundings, "-P", "-m", "greenray", "up", "--detach", "--json"))
    try:
        (surroundings.folder / "one").write_bytes(b"payload")
        put = json.loads(
            run(surroundings, "-P", "-m", "greenray", "put", "one", "photos/one", "--json")
        )
        assert put["state"] == "SEAL_OBJECT_DONE"
    finally:
        run(surroundings, "-P", "-m", "greenray", "down")
    assert document["pid"]
    assert surroundings.processes() == []


def test_a_script_and_its_ray_tasks_run_beside_files_that_have_our_names(
    surroundings: Surroundings,
) -> None:
    put_names_into(surroundings.folder)
    (surroundings.folder / "driver.py").write_text(DRIVER)
    said = run(surroundings, "driver.py", json.dumps(SMALL_NETWORK))
    assert said.split() == ["True", "greenray.actors.receiver.actor"]
    assert surroundings.processes() == []
