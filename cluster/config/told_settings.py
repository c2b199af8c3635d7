"""Settings that are told by those who take them: plain dataclasses, which know no pydantic.

A field of such a class is a setting, with its default, its bounds (``annotated_types``) and the
text below it. ``with_settings_of`` makes it a field of a section; ``NodeConfig`` gives the values
back.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, Field, create_model

M = TypeVar("M", bound=BaseModel)


def with_settings_of(
    *classes: type[Any], names: Sequence[str] | None = None
) -> Callable[[type[M]], type[M]]:
    """Decorates a section: these fields of the dataclasses (None: all) follow its own."""
    told = {name: setting for cls in classes for name, setting in _settings(cls).items()}
    chosen: dict[str, Any] = {name: told[name] for name in names or told}

    def decorate(section: type[M]) -> type[M]:
        name, text, module = section.__name__, section.__doc__, section.__module__
        return create_model(name, __base__=section, __doc__=text, __module__=module, **chosen)

    return decorate


def _settings(cls: type[Any]) -> dict[str, Any]:
    """What ``create_model`` takes, by name."""
    hints = get_type_hints(cls, include_extras=True)
    texts = {name: text for base in reversed(cls.__mro__[:-1]) for name, text in _texts(base)}
    return {
        field.name: (hints[field.name], Field(field.default, description=texts.get(field.name)))
        for field in fields(cls)
    }


def _texts(cls: type[Any]) -> Iterator[tuple[str, str]]:
    """The strings below the fields of this class alone."""
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)
    for field, below in pairwise(definition.body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, inspect.cleandoc(text)
