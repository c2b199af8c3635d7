"""protocol <- coding, chain, storage <- actors <- cluster <- greenray (docs/architecture.md)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_MAY_IMPORT = {
    "protocol": set[str](),
    "coding": {"protocol"},
    "chain": {"protocol"},
    "storage": {"protocol"},
    "actors": {"protocol", "coding", "chain", "storage"},
    "cluster": {"protocol", "coding", "chain", "storage", "actors"},
    "greenray": {"protocol", "coding", "chain", "storage", "actors", "cluster"},
}
_RAY_FILES = ("cluster/ray_*.py",)
"""The only files that may know that there is Ray."""
_IMPURE = {
    "asyncio",
    "datetime",
    "http",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib",
    "uuid",
}
"""Standard modules with I/O, a clock, randomness or processes; the core takes none of them."""


def _imports(source: str) -> Iterator[tuple[int, str]]:
    """(line, top-level module) of every import, also of those inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            # A relative import has no module of its own name: shown as it is written.
            yield node.lineno, "." * node.level or (node.module or "").split(".")[0]


def _violations(path: str, source: str) -> list[str]:
    package = path.split("/")[0]
    found = []
    for line, module in _imports(source):
        if module.startswith("."):
            why = "imports by relative path"
        elif module in _MAY_IMPORT and module not in _MAY_IMPORT[package] | {package}:
            why = f"imports {module} against the direction"
        elif module == "tests":
            why = "imports tests"
        elif module == "ray" and not any(fnmatch(path, pattern) for pattern in _RAY_FILES):
            why = f"imports ray outside of {', '.join(_RAY_FILES)}"
        elif package == "protocol" and module in _IMPURE:
            why = f"imports {module}, which is not pure"
        elif (
            package == "protocol" and module != "protocol" and module not in sys.stdlib_module_names
        ):
            why = f"imports {module}, which is not in the standard library"
        else:
            continue
        found.append(f"{path}:{line} {why}")
    return found


@pytest.mark.parametrize("package", _MAY_IMPORT)
def test_package_imports_only_what_lies_below_it(package: str) -> None:
    paths = sorted((_ROOT / package).rglob("*.py"))
    assert paths
    violations = [
        violation
        for path in paths
        for violation in _violations(path.relative_to(_ROOT).as_posix(), path.read_text())
    ]
    assert violations == []


@pytest.mark.parametrize(
    ("path", "source", "why"),
    [
        ("protocol/x.py", "import numpy", "not in the standard library"),
        ("protocol/x.py", "def f():\n    import time", "not pure"),
        ("protocol/x.py", "from storage.ports import JobStore", "against the direction"),
        ("coding/x.py", "from chain import crypto", "against the direction"),
        ("storage/x.py", "import actors.receiver", "against the direction"),
        ("actors/x.py", "import ray", "outside of cluster/ray_*.py"),
        ("cluster/launch.py", "from ray.util import x", "outside of cluster/ray_*.py"),
        ("actors/x.py", "from .receiver import Receiver", "relative path"),
        ("chain/x.py", "from tests.support import x", "imports tests"),
    ],
)
def test_wrong_import_is_found(path: str, source: str, why: str) -> None:
    [violation] = _violations(path, source)
    assert why in violation


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("protocol/x.py", "import json\nfrom protocol.errors import InvalidInput"),
        ("actors/x.py", "import numpy\nimport coding.codec, storage.ports"),
        ("cluster/ray_actors.py", "import ray"),
        ("greenray/__main__.py", "from cluster.cli import main"),
    ],
)
def test_right_import_is_left_alone(path: str, source: str) -> None:
    assert _violations(path, source) == []
