"""The product's source files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"


def source_files() -> Iterator[Path]:
    """Also those behind the symbolic links, by their names in the package."""
    for folder, _, names in os.walk(SOURCE, followlinks=True):
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))
