"""Writes the tables of all settings, as the code has them, into docs/settings.md."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

import annotated_types
from pydantic.fields import FieldInfo

from greenray.cluster.config.settings_loading import settings_by_name, variable_of
from scripts.marked_part import with_part

DOCUMENT = Path(__file__).parent.parent / "docs" / "settings.md"

_HEAD = "| setting | default | takes | meaning |\n| --- | --- | --- | --- |\n"


def settings_markdown() -> str:
    """One table per section; settings outside all sections come first."""
    sections: dict[str, list[str]] = {}
    for name, field in settings_by_name():
        section = name.rpartition(".")[0]
        sections.setdefault(section, []).append(_row(name, field))
    tables = [
        f"{f'### {section}{chr(10)}{chr(10)}' if section else ''}{_HEAD}{''.join(rows)}"
        for section, rows in sections.items()
    ]
    return "\n".join(tables)


def with_tables(text: str) -> str:
    """``text`` with the tables between their two marks."""
    return with_part(text, "settings", f"\n{settings_markdown()}\n")


def _row(name: str, field: FieldInfo) -> str:
    default = "none" if field.default is None else f"`{field.default}`"
    cells = (f"`{name}`<br>`{variable_of(name)}`", default, _takes(field), field.description)
    return "| " + " | ".join(" ".join(str(cell).split()) for cell in cells) + " |\n"


def _takes(field: FieldInfo) -> str:
    return _type_name(field.annotation) + "".join(
        f", {text}" for text in map(_bound, field.metadata) if text
    )


def _type_name(annotation: Any) -> str:
    if annotation is None or annotation is type(None):
        return "none"
    arguments = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return ", ".join(f"`{argument}`" for argument in arguments)
    if origin is dict:
        return f"a mapping to {_type_name(arguments[1])}"
    if arguments:
        return " or ".join(_type_name(argument) for argument in arguments)
    names = {int: "integer", str: "text", bool: "boolean", float: "number", Path: "path"}
    return names[annotation]


def _bound(metadata: Any) -> str:
    match metadata:
        case annotated_types.Ge(ge=value):
            return f">= {value}"
        case annotated_types.Gt(gt=value):
            return f"> {value}"
        case annotated_types.Le(le=value):
            return f"<= {value}"
        case annotated_types.Lt(lt=value):
            return f"< {value}"
    return ""


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text()))
