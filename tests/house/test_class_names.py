"""A class name means one thing, wherever it is read."""

from __future__ import annotations

import ast
from collections import defaultdict

from tests.support.sources import SOURCE, source_files, tree_of


def test_no_two_public_classes_have_one_name() -> None:
    places = defaultdict(list)
    for path in source_files():
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(SOURCE).as_posix())
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
