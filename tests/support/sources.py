"""The product's source files."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"


def source_files() -> Iterator[Path]:
    """Also those behind the symbolic links, by their names in the package."""
    for folder, _, names in os.walk(SOURCE, followlinks=True):
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))


@cache
def tree_of(path: Path) -> ast.Module:
    """Parsed once, as several tests look at every file; not to be changed."""
    return ast.parse(path.read_text(encoding="utf-8"))
