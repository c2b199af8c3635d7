"""Where settings come from: options, then GREENRAY_... variables, then a file, then defaults.

A name that no setting has is refused wherever it stands, and the nearest known name is suggested.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
)

from greenray.chain.keystore import ENVIRONMENT_PREFIX
from greenray.client.access import ACCESS_VARIABLES
from greenray.cluster.config.journal_freeze import FREEZE_VARIABLE
from greenray.cluster.config.settings import VARIABLE_PREFIX, VARIABLE_SEPARATOR, Settings
from greenray.protocol.errors import InvalidSetting

DEFAULT_FILE = Path("greenray.yaml")
_SEE = "see docs/settings.md"


def load_settings(config_file: Path | None = None, **overrides: Any) -> Settings:
    """Arguments (those that are not None) over environment over file over defaults.

    ``config_file`` None: ``greenray.yaml`` in the working directory, if there is one. Raises
    InvalidSetting naming every wrong key and where it stands.
    """
    if config_file is not None and not config_file.exists():
        raise InvalidSetting("the file does not exist", str(config_file), "Check --config")
    file = config_file or DEFAULT_FILE
    from_file = _read(file) if file.exists() else {}
    _check_variables(os.environ)

    class _FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, from_file)

    given = {name: value for name, value in overrides.items() if value not in (None, {})}
    try:
        return _FromFile(**given)
    except ValidationError as error:
        details = error.errors()
        sources = dict.fromkeys(_source_of(e, given, file) for e in details)
        raise InvalidSetting(
            "; ".join(_explain(e) for e in details),
            ", ".join(sources),
            f"Correct it, {_SEE}",
        ) from None


def settings_by_name(model: type[BaseModel] = Settings) -> Iterator[tuple[str, FieldInfo]]:
    """Every single setting, in order, as (dotted name, field); sections are not settings."""
    for name, field in model.model_fields.items():
        section = _section(field)
        if section is None:
            yield name, field
        else:
            for inner, inner_field in settings_by_name(section):
                yield f"{name}.{inner}", inner_field


def variable_of(name: str) -> str:
    """The environment variable of a setting: ``GREENRAY_CHAIN__PORT`` for ``chain.port``."""
    return VARIABLE_PREFIX + name.replace(".", VARIABLE_SEPARATOR).upper()


def _section(field: FieldInfo) -> type[BaseModel] | None:
    annotation = field.annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _read(file: Path) -> dict[str, Any]:
    """Raises InvalidSetting."""
    try:
        document = yaml.load(file.read_text(encoding="utf-8"), Loader=_PlainNumbers)
    except OSError as error:
        raise InvalidSetting(
            f"cannot be read ({error.strerror})", str(file), "Check the path and its permissions"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"is not YAML: {error}", str(file), f"Correct it, {_SEE}") from None
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise InvalidSetting("is not a mapping of settings", str(file), f"Correct it, {_SEE}")
    return _said(document, Settings)


class _PlainNumbers(yaml.SafeLoader):
    """Digits are a decimal number, as in YAML 1.2 and in variables, also behind a zero; YAML 1.1
    takes 026750 for an octal number, and 1:30 for ninety."""


def _decimal(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(str(loader.construct_scalar(node)))


_PlainNumbers.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:int"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PlainNumbers.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?[0-9]+"), list("-+0123456789")
)
_PlainNumbers.add_constructor("tag:yaml.org,2002:int", _decimal)


def _said(document: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Without sections in which nothing stands: who leaves one empty says nothing."""
    said = {}
    for name, value in document.items():
        section = _section(model.model_fields[name]) if name in model.model_fields else None
        if section is None:
            said[name] = value
        elif isinstance(value, dict):
            said[name] = _said(value, section)
        elif value is not None:
            said[name] = value
    return said


def _check_variables(environment: Mapping[str, str]) -> None:
    """Raises InvalidSetting for a GREENRAY_... variable that nothing reads, or that cannot be."""
    for variable, value in sorted(environment.items()):
        name = variable.upper()
        if not name.startswith(VARIABLE_PREFIX) or _is_read_elsewhere(name):
            continue
        path = name.removeprefix(VARIABLE_PREFIX).lower().split(VARIABLE_SEPARATOR)
        kind = _kind_of(path, Settings)
        if kind is None:
            raise InvalidSetting(
                f"no setting has this name{_suggestion('.'.join(path), variables=True)}",
                variable,
                f"Correct or unset it, {_SEE}",
            )
        if kind is dict and value and not _is_json_object(value):
            raise InvalidSetting("must be a JSON object", variable, f"Correct it, {_SEE}")


def _is_read_elsewhere(variable: str) -> bool:
    is_of_clients = variable in ACCESS_VARIABLES.values()
    is_key = variable.startswith(ENVIRONMENT_PREFIX)
    return variable == FREEZE_VARIABLE or is_key or is_of_clients


def _kind_of(path: list[str], model: type[BaseModel]) -> type | None:
    """``dict`` for what is written as a JSON object, ``str`` for any other setting, None for none.

    The entries of a setting that is a mapping are settings too.
    """
    field = model.model_fields.get(path[0])
    if field is None:
        return None
    section = _section(field)
    if section is not None and len(path) > 1:
        return _kind_of(path[1:], section)
    is_mapping = get_origin(field.annotation) is dict
    if len(path) > 1:
        return str if is_mapping and len(path) == 2 else None
    return dict if is_mapping or section is not None else str


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _source_of(error: ErrorDetails, given: Mapping[str, Any], file: Path) -> str:
    """Where the value stands that the error is about."""
    path = [str(part) for part in error["loc"]]
    if not path:
        return "settings"  # of several together, wherever each stands
    value: Any = given
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is not None:
        return "command line"
    present = {name.upper(): name for name in os.environ}
    for length in range(len(path), 0, -1):
        variable = variable_of(".".join(path[:length]))
        if variable in present:
            return present[variable]
    # About several settings of a section: those may stand in both.
    section = variable_of(".".join(path)) + VARIABLE_SEPARATOR
    of_section = [present[name] for name in sorted(present) if name.startswith(section)]
    if of_section and not file.exists():
        return ", ".join(of_section)
    return ", ".join([str(file), *of_section])


def _explain(error: ErrorDetails) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"no setting has the name {name}{_suggestion(name)}"
    message = error["msg"].removeprefix("Value error, ")  # pydantic's, before our own words
    return f"{name}: {message}" if name else message


def _suggestion(name: str, *, variables: bool = False) -> str:
    known = [name for name, _ in settings_by_name()]
    near = get_close_matches(name, known, n=1)
    if not near:
        return ""
    return f" (did you mean {variable_of(near[0]) if variables else near[0]}?)"
