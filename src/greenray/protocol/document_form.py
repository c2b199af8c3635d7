"""Whether a JSON document of a peer has the form that its reader relies on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Form = Any
"""A type (``float`` takes whole numbers as well, and no ``nan``); a frozenset of values; a list
with the form of all its members; a mapping with the forms of a document's members, beside which
others may stand; or a tuple of forms of which one must fit."""

NULL = frozenset({None})


def misfit(value: object, form: Form, name: str) -> str | None:
    """What does not fit, None when all does. ``name``: of the document."""
    if isinstance(form, tuple):
        found = [misfit(value, one, name) for one in form]
        # The last one is the one that says most: None comes first where it may be none.
        return None if None in found else found[-1]
    if isinstance(form, Mapping):
        if not isinstance(value, Mapping):
            return f"{name} is not an object"
        return _first(misfit(value.get(key), one, f"{name}.{key}") for key, one in form.items())
    if isinstance(form, list):
        if not isinstance(value, list):
            return f"{name} is not a list"
        return _first(misfit(one, form[0], f"{name}[{i}]") for i, one in enumerate(value))
    if isinstance(form, frozenset):
        fits = isinstance(value, (str, int, type(None))) and value in form
        return None if fits else f"{name} is none of the values that are known here"
    return None if _is_a(value, form) else f"{name} is not of type {form.__name__}"


def _is_a(value: object, kind: type) -> bool:
    if kind is float:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and math.isfinite(value)  # type: ignore[arg-type]
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _first(found: Any) -> str | None:
    return next((one for one in found if one is not None), None)
