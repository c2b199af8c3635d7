"""Settings that are told by those who take them: plain dataclasses, which know no pydantic.

A field of such a class is a setting, with its default, its bounds (``annotated_types``) and the
text below it. ``with_settings_of`` makes it a field of a section; ``taken`` gives the value back.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import MISSING, fields
from itertools import pairwise
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, Field, create_model

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


def with_settings_of(*classes: type[Any]) -> Callable[[type[M]], type[M]]:
    """Decorates a model: the fields of these dataclasses follow its own. Fields of the same name,
    of classes that are not used together, are one setting."""
    told = {name: setting for cls in classes for name, setting in _settings(cls).items()}

    def decorate(model: type[M]) -> type[M]:
        return create_model(
            model.__name__,
            __base__=model,
            __doc__=model.__doc__,
            __module__=model.__module__,
            **told,
        )

    return decorate


def taken(wanted: type[T], section: BaseModel) -> T:
    """What an actor gets: its fields, from a section that has them all."""
    return wanted(**{name: getattr(section, name) for name in _names(wanted)})


def _names(cls: type[Any]) -> list[str]:
    return [field.name for field in fields(cls)]


def _settings(cls: type[Any]) -> dict[str, Any]:
    """What ``create_model`` takes, by name."""
    hints = get_type_hints(cls, include_extras=True)
    texts = _texts(cls)
    settings = {}
    for field in fields(cls):
        assert field.default is not MISSING, f"{cls.__name__}.{field.name} has no plain default"
        text = texts.get(field.name)
        settings[field.name] = (hints[field.name], Field(field.default, description=text))
    return settings


def _texts(cls: type[Any]) -> dict[str, str]:
    """The strings below the fields."""
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)
    texts = {}
    for field, below in pairwise(definition.body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                texts[name] = inspect.cleandoc(text)
    return texts
