from __future__ import annotations

import ast
import inspect
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenray.protocol import errors
from greenray.protocol.errors import GreenrayError
from tests.support.sources import SOURCE, nodes_of, source_files


def _tree(base: type[GreenrayError]) -> Iterator[type[GreenrayError]]:
    yield base
    for child in base.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child)


_CLASSES = list(dict.fromkeys(_tree(GreenrayError)))
"""Each once, also one with two bases."""


def _example(error: type[GreenrayError]) -> GreenrayError:
    """An error with a different value for every argument."""
    parameters = list(inspect.signature(error).parameters.values())
    values: list[Any] = [7 if p.annotation == "int" else f"the {p.name}" for p in parameters]
    return error(*values)


def _by_name(error: type[GreenrayError]) -> str:
    return error.__name__


@pytest.mark.parametrize("error", _CLASSES, ids=_by_name)
def test_error_survives_pickling_with_all_its_attributes(error: type[GreenrayError]) -> None:
    raised = _example(error)
    copy = pickle.loads(pickle.dumps(raised))
    assert type(copy) is error
    assert vars(copy) == vars(raised)
    assert {"what", "where", "next_step"} <= vars(raised).keys()
    assert str(copy) == str(raised)


@pytest.mark.parametrize("error", _CLASSES, ids=_by_name)
def test_reason_is_the_errors_own_in_kebab_case(error: type[GreenrayError]) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", vars(error)["reason"])


def test_no_two_errors_share_a_reason() -> None:
    reasons = [error.reason for error in _CLASSES]
    assert len(set(reasons)) == len(reasons)


def test_text_says_where_what_and_what_to_do_next() -> None:
    assert str(GreenrayError("no space left", "/data", "Free some space")) == (
        "/data: no space left. Free some space"
    )
    assert str(GreenrayError("no space left")) == "no space left"


def test_every_error_is_declared_in_the_one_place() -> None:
    known = {error.__name__ for error in _CLASSES}
    elsewhere = [
        f"{path.relative_to(SOURCE)}: {node.name}"
        for path in source_files()
        if path != Path(errors.__file__)
        for node in nodes_of(path, ast.ClassDef)
        for base in node.bases
        if ast.unparse(base).split(".")[-1] in known
    ]
    assert elsewhere == []
