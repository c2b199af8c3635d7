"""What a user installs: the wheel, in a virtual environment that has nothing else of ours.

Its dependencies are those of the environment that runs the tests. The greenray that is installed
there stays out of sight: a .pth file adds a folder, and not the .pth files in that folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.mypy_cache import copy_mypy_cache

ROOT = Path(__file__).parents[2]
FOLDERS_AT_THE_TOP = ("actors", "chain", "cluster")
COMPILER = os.environ.get("CC", "cc").split()[0]
USER_SCRIPT = """\
import greenray
with greenray.local_network(sps=7) as net:
    reveal_type(net.put(b"hello", "photos/hello.txt"))
    reveal_type(net.get("photos/hello.txt"))
    net.put(5, "photos/hello.txt")
    greenray.conect()
"""


def run(command: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def pip(python: str | Path, *arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    done = run([*command, *arguments], ROOT)
    assert done.returncode == 0, done.stderr


class Environment:
    """A virtual environment, used from an empty folder."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder)
        self._commands = folder / "bin"
        [self.site_packages] = folder.glob("lib/python*/site-packages")
        self.empty_folder = folder / "empty"
        self.empty_folder.mkdir()

    def borrow_dependencies(self) -> None:
        folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (self.site_packages / "dependencies.pth").write_text("\n".join(folders))

    def pip(self, *arguments: str | Path) -> None:
        pip(self._commands / "python", *arguments)

    def run(self, command: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run([self._commands / command, *arguments], self.empty_folder)

    def lines(self, command: str, *arguments: str | Path) -> list[str]:
        """What a command prints that must succeed."""
        done = self.run(command, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the repository, without what was built or kept there before."""
    folder = tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns(".*", "build", "dist", "__pycache__", "*.so", "*.egg-info")
    shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=left_out)
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    pip(sys.executable, "wheel", *offline, "--wheel-dir", folder, folder / "source")
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = Environment(tmp_path_factory.mktemp("environment"))
    environment.pip("install", "--no-deps", "--no-index", "--no-compile", wheel)
    environment.borrow_dependencies()
    return environment


def files_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_all_modules_below_one_name_and_nothing_else(wheel: Path) -> None:
    files = files_in(wheel)
    tops = {name.partition("/")[0] for name in files}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"greenray"}
    package = ROOT / "src" / "greenray"
    folders = [package, *(package / name for name in FOLDERS_AT_THE_TOP)]
    modules = {path.relative_to(ROOT / "src") for each in folders for path in each.rglob("*.py")}
    assert {name for name in files if name.endswith(".py")} == set(map(str, modules))
    assert {"greenray/py.typed", "greenray/actors/uploader/actor.py"} < files


@pytest.mark.skipif(shutil.which(COMPILER) is None, reason="there is no C compiler here")
def test_the_wheel_holds_the_checksum_kernel(wheel: Path) -> None:
    [kernel] = [name for name in files_in(wheel) if name.endswith(".so")]
    assert kernel.startswith("greenray/coding/_sha256_lanes")


def test_the_wheel_is_imported_and_not_the_repository(environment: Environment) -> None:
    script = "import greenray.actors.uploader.actor as actor; print(actor.__file__)"
    [found] = environment.lines("python", "-c", script)
    assert Path(found) == environment.site_packages / "greenray/actors/uploader/actor.py"


def test_the_command_runs(environment: Environment, tmp_path: Path) -> None:
    assert any("Usage: greenray" in line for line in environment.lines("greenray", "--help"))
    payload = tmp_path / "hello.txt"
    payload.write_bytes(b"hello")
    document = json.loads("".join(environment.lines("greenray", "hash", "--json", payload)))
    assert document["segment_checksums"] == [sha256(b"hello").hexdigest()]


def test_a_type_checker_sees_the_types_of_what_a_user_calls(
    environment: Environment, tmp_path: Path
) -> None:
    script, cache = tmp_path / "user.py", copy_mypy_cache(tmp_path / "cache")
    script.write_text(USER_SCRIPT)
    options = ("--strict", "--hide-error-codes", "--no-error-summary", "--cache-dir", cache)
    done = environment.run("python", "-m", "mypy", *options, script)
    assert done.stderr == ""
    put, got, wrong_payload, wrong_name = done.stdout.splitlines()
    assert 'Revealed type is "greenray.api.results.StoredObject"' in put
    assert 'Revealed type is "bytes"' in got
    assert 'Argument 1 to "put" of "Network" has incompatible type "int"' in wrong_payload
    assert 'Module has no attribute "conect"' in wrong_name


def test_a_distribution_named_cluster_comes_and_goes_beside_it(
    environment: Environment, tmp_path: Path
) -> None:
    ours = sorted(environment.site_packages.rglob("greenray/**/*.py"))
    environment.pip("install", "--no-deps", "--no-index", wheel_of_cluster(tmp_path))
    script = "import cluster, greenray.cluster as ours; print(cluster.NAME, ours.__name__)"
    assert environment.lines("python", "-c", script) == ["theirs greenray.cluster"]
    environment.pip("uninstall", "--yes", "cluster")
    assert sorted(environment.site_packages.rglob("greenray/**/*.py")) == ours
    assert environment.lines("python", "-c", "import greenray.cluster.network") == []


def wheel_of_cluster(folder: Path) -> Path:
    """A distribution of that name is on PyPI."""
    path = folder / "cluster-1.0-py3-none-any.whl"
    files = {
        "cluster/__init__.py": "NAME = 'theirs'\n",
        "cluster-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: cluster\nVersion: 1.0\n",
        "cluster-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n",
    }
    files["cluster-1.0.dist-info/RECORD"] = "".join(f"{name},,\n" for name in files)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", FOLDERS_AT_THE_TOP)
def test_a_folder_of_the_repository_is_no_package_of_its_own(name: str) -> None:
    done = run([sys.executable, "-c", f"import {name}"], ROOT)
    assert done.returncode == 1
    assert f"ImportError: this package is imported as greenray.{name}" in done.stderr
