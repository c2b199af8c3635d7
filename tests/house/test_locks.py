"""The lock files: whole, hashed, for every Python that the project admits."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = ("requirements.lock", "requirements-dev.lock")
PYTHONS = ("3.11.0", "3.11.2", "3.12.0", "3.13.0", "3.13.9", "3.14.0", "3.14.8")

each_lock = pytest.mark.parametrize("lock", LOCKS)


def entries(lock: str) -> list[tuple[Requirement, int]]:
    """Each requirement of a lock with how many hashes it admits."""
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(Requirement(line.split(" --hash")[0]), line.count("--hash=sha256:")) for line in lines]


def environment(python: str) -> dict[str, str]:
    """What markers ask about, of CPython on Linux."""
    return {
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "sys_platform": "linux",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }


def pinned(lock: str, python: str) -> dict[str, str]:
    """What Linux with this Python gets, by name; a name that is there twice fails."""
    found: dict[str, str] = {}
    for requirement, _ in entries(lock):
        if requirement.marker is None or requirement.marker.evaluate(environment(python)):
            assert requirement.name not in found
            found[requirement.name] = str(requirement.specifier)
    return found


@each_lock
def test_every_version_is_pinned_and_every_file_hashed(lock: str) -> None:
    for requirement, hashes in entries(lock):
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
        assert hashes, requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_a_lock_has_everything_for_every_python(python: str) -> None:
    run = pinned("requirements.lock", python)
    for text in PROJECT["dependencies"]:
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate(environment(python)):
            continue
        version = run[canonicalize_name(wanted.name)].removeprefix("==")
        assert wanted.specifier.contains(version), (text, version)


@pytest.mark.parametrize("python", PYTHONS)
def test_every_python_has_one_binding_of_libsecp256k1(python: str) -> None:
    run = pinned("requirements.lock", python)
    assert len({"coincurve", "btclib-secp256k1"} & run.keys()) == 1


@pytest.mark.parametrize("python", PYTHONS)
def test_developers_run_the_versions_that_users_run(python: str) -> None:
    run, dev = (pinned(lock, python) for lock in LOCKS)
    assert run.items() <= dev.items()
    assert {"pytest", "mypy", "ruff"} <= dev.keys() - run.keys()


def test_the_setup_takes_the_pythons_that_the_project_admits() -> None:
    admitted = SpecifierSet(PROJECT["requires-python"])
    script = (ROOT / "scripts" / "make-venv").read_text()
    low, high = re.findall(r"\((3), (\d+)\)", script)
    assert [v for v in range(20) if admitted.contains(f"3.{v}.2")] == list(
        range(int(low[1]), int(high[1]) + 1)
    )
    assert f"Python 3.{low[1]} to 3.{high[1]} is needed" in script
