"""Rooms know only rooms below them; what knows Ray is named (docs/architecture.md)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.sources import SOURCE, nodes_of, source_files

_MAY_IMPORT = {
    "protocol": "",
    "display": "files",
    "logs": "",
    "seam": "protocol",
    "peer": "protocol",
    "listening": "",
    "files": "protocol",
    "coding": "protocol",
    "chain": "protocol seam peer logs listening",
    "storage": "protocol seam",
    "timeline": "protocol seam display files",
    "client": "protocol peer files coding chain storage",
    "capacity": "protocol display coding",
    "actors": "protocol seam peer listening logs coding chain storage timeline",
    "cluster": "protocol peer logs seam coding chain storage timeline client actors",
    "bench": (
        "protocol peer files display coding chain storage timeline client capacity actors cluster"
    ),
    "api": "protocol display coding chain storage timeline client capacity actors cluster bench",
    "cli": (
        "protocol files display coding chain storage timeline client capacity actors cluster bench"
    ),
    "__init__": "capacity client cluster timeline api",
    "__main__": "cli",
}
"""By package of greenray: those that it may import, beside itself."""
_RAY_FILES = ("cluster/on_ray/*.py", "bench/ec_ray_workers.py")
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


Import = ast.Import | ast.ImportFrom


def _imports_of(path: Path) -> Sequence[Import]:
    """Also those inside functions."""
    return [*nodes_of(path, ast.Import), *nodes_of(path, ast.ImportFrom)]


def _modules(imports: Iterable[Import]) -> Sequence[tuple[int, str]]:
    """(line, module) of each; for what may be a module of ours, the module's name with the
    imported one."""
    found = []
    for node in imports:
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif node.level:
            found.append((node.lineno, "." * node.level))  # no module of its own name
        else:
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def _violations(path: str, imports: Iterable[Import]) -> list[str]:
    """``path``: below ``src/greenray``."""
    package = path.split("/")[0].removesuffix(".py")
    found = []
    for line, module in _modules(imports):
        top, _, below = module.partition(".")
        ours = below.split(".")[0] if top == "greenray" else None
        if module.startswith("."):
            why = "imports by relative path"
        elif ours is not None and ours not in {package, *_MAY_IMPORT[package].split()}:
            why = f"imports {module} against the direction"
        elif top in {"tests", "scripts"}:
            why = f"imports {top}"
        elif top == "ray" and not any(fnmatch(path, pattern) for pattern in _RAY_FILES):
            why = f"imports ray outside of {', '.join(_RAY_FILES)}"
        elif package == "protocol" and top in _IMPURE:
            why = f"imports {top}, which is not pure"
        elif package == "protocol" and ours is None and top not in sys.stdlib_module_names:
            why = f"imports {top}, which is not in the standard library"
        else:
            continue
        found.append(f"{path}:{line} {why}")
    return found


@pytest.mark.parametrize("package", _MAY_IMPORT)
def test_package_imports_only_what_lies_below_it(package: str) -> None:
    paths = [path.relative_to(SOURCE / "greenray") for path in source_files()]
    mine = [path for path in paths if path.parts[0].removesuffix(".py") == package]
    assert mine
    violations = [
        violation
        for path in mine
        for violation in _violations(path.as_posix(), _imports_of(SOURCE / "greenray" / path))
    ]
    assert violations == []


def _room(module: Sequence[str]) -> str:
    """The folder that a module of greenray stands in."""
    is_folder = SOURCE.joinpath("greenray", *module).is_dir()
    return "/".join(module if is_folder else module[:-1])


def test_rooms_form_no_circle() -> None:
    arrows: dict[str, set[str]] = {}
    for path in source_files():
        inside = path.relative_to(SOURCE / "greenray")
        room = inside.parent.as_posix()
        for _, module in _modules(_imports_of(path)):
            name, *parts = module.split(".")
            while parts and not _exists(tuple(parts)):
                parts.pop()
            if name == "greenray" and parts and _room(parts) != room:
                arrows.setdefault(room, set()).add(_room(parts))
    TopologicalSorter(arrows).prepare()  # raises CycleError, which names the circle


@cache
def _exists(parts: tuple[str, ...]) -> bool:
    path = SOURCE.joinpath("greenray", *parts)
    return path.is_dir() or path.with_suffix(".py").exists()


def _imports_in(source: str) -> Sequence[Import]:
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, Import)]


@pytest.mark.parametrize(
    ("path", "source", "why"),
    [
        ("protocol/x.py", "import numpy", "not in the standard library"),
        ("protocol/x.py", "def f():\n    import time", "not pure"),
        ("protocol/x.py", "from greenray.storage.ports import JobStore", "against the direction"),
        ("coding/x.py", "from greenray.chain import crypto", "against the direction"),
        ("coding/x.py", "from greenray import chain", "against the direction"),
        ("storage/x.py", "import greenray.actors.receiver", "against the direction"),
        ("client/x.py", "from greenray.cluster import network", "against the direction"),
        ("actors/x.py", "import ray", "outside of cluster/on_ray/*.py"),
        ("cluster/launch.py", "from ray.util import x", "outside of cluster/on_ray/*.py"),
        ("actors/x.py", "from .receiver import Receiver", "relative path"),
        ("chain/x.py", "from tests.support import x", "imports tests"),
    ],
)
def test_wrong_import_is_found(path: str, source: str, why: str) -> None:
    [violation] = _violations(path, _imports_in(source))
    assert why in violation


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("protocol/x.py", "import json\nfrom greenray.protocol.errors import InvalidInput"),
        ("actors/x.py", "import numpy\nimport greenray.coding.codec, greenray.storage.ports"),
        ("cluster/on_ray/hosts.py", "import ray"),
        ("__main__.py", "from greenray.cli.app import main"),
    ],
)
def test_right_import_is_left_alone(path: str, source: str) -> None:
    assert _violations(path, _imports_in(source)) == []
