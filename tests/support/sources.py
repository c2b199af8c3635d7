"""The product's source files."""

from __future__ import annotations

import ast
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

SOURCE = Path(__file__).parents[2] / "src"

N = TypeVar("N", bound=ast.AST)


@cache
def source_files() -> Sequence[Path]:
    """Also those behind the symbolic links, by their names in the package."""
    return tuple(_python_files())


def _python_files() -> Iterator[Path]:
    for folder, _, names in os.walk(SOURCE, followlinks=True):
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))


# Parsed and walked once, as several tests look at every file.
@cache
def tree_of(path: Path) -> ast.Module:
    """Not to be changed."""
    return ast.parse(path.read_text(encoding="utf-8"))


def nodes_of(path: Path, kind: type[N]) -> Sequence[N]:
    """The nodes of this class, wherever in the file, in the order of ``ast.walk``."""
    return cast(Sequence[N], _nodes_by_class(path).get(kind, ()))


@cache
def _nodes_by_class(path: Path) -> Mapping[type[ast.AST], Sequence[ast.AST]]:
    found: defaultdict[type[ast.AST], list[ast.AST]] = defaultdict(list)
    for node in ast.walk(tree_of(path)):
        found[type(node)].append(node)
    return found
