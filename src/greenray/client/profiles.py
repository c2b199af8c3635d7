"""Named networks of a user, kept in one file of theirs: which chain, which gateway, whose key.

The file holds no key, only where keystores are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from greenray.files.whole_file import write_whole
from greenray.protocol.errors import InvalidInput, InvalidName, UnreadableFile

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_CONFIG_VARIABLE = "XDG_CONFIG_HOME"


@dataclass(frozen=True, slots=True)
class Profile:
    """Endpoints are URLs; empty: ``gateway`` is found on chain, ``key`` must be told."""

    chain: str
    gateway: str = ""
    key: str = ""
    password_file: str = ""

    def to_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Profiles:
    """``default``: the one that is meant where nothing else is said; empty: none."""

    by_name: Mapping[str, Profile] = field(default_factory=dict)
    default: str = ""

    def named(self, name: str) -> Profile:
        """Raises InvalidInput."""
        if name not in self.by_name:
            known = ", ".join(self.by_name) or "none"
            raise InvalidInput(
                "there is no profile of this name",
                f"{name[:80]!r}",
                f"Known: {known}. Make one with 'greenray profile add'",
            )
        return self.by_name[name]

    def added(self, name: str, profile: Profile, *, replacing: bool, is_default: bool) -> Profiles:
        """Raises InvalidName, InvalidInput (it is there already)."""
        if _NAME.fullmatch(name) is None:
            raise InvalidName(
                "a profile's name has letters, digits, dots, dashes and underscores", f"{name!r}"
            )
        if name in self.by_name and not replacing:
            raise InvalidInput(
                "there is a profile of this name", name, "Choose another, or give --replace"
            )
        default = name if is_default else self.default
        return Profiles({**self.by_name, name: profile}, default)

    def without(self, name: str) -> Profiles:
        """Raises InvalidInput."""
        self.named(name)
        rest = {other: kept for other, kept in self.by_name.items() if other != name}
        return Profiles(rest, "" if self.default == name else self.default)

    def with_default(self, name: str) -> Profiles:
        """``name`` empty: none is. Raises InvalidInput."""
        if name:
            self.named(name)
        return replace(self, default=name)


def profiles_file(environment: Mapping[str, str]) -> Path:
    """Where a user's profiles are."""
    home = environment.get(_CONFIG_VARIABLE) or "~/.config"
    return Path(home).expanduser() / "greenray" / "profiles.json"


def read_profiles(path: Path) -> Profiles:
    """Those of the file; none when there is no file. Raises UnreadableFile, InvalidInput."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Profiles()
    except OSError as error:
        raise UnreadableFile(
            f"profiles cannot be read ({error.strerror})", str(path), "Check its permissions"
        ) from error
    except (ValueError, RecursionError):
        raise _damaged(path, "it is not JSON") from None
    return _profiles_of(document, path)


def write_profiles(path: Path, profiles: Profiles) -> None:
    """Raises UnreadableFile; what was there before stays then."""
    document = {
        "default": profiles.default,
        "profiles": {name: profile.to_json() for name, profile in profiles.by_name.items()},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(document, indent=2) + "\n").encode())
    except OSError as error:
        raise UnreadableFile(
            f"profiles cannot be written ({error.strerror})", str(path), "Check its permissions"
        ) from error


def _profiles_of(document: Any, path: Path) -> Profiles:
    known = {f.name for f in fields(Profile)}
    found = document.get("profiles") if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise _damaged(path, "it has no object 'profiles'")
    for name, entry in found.items():
        is_whole = isinstance(entry, dict) and "chain" in entry and entry.keys() <= known
        if not is_whole or not all(isinstance(value, str) for value in entry.values()):
            raise _damaged(path, f"profile {name[:80]!r} is not of the form that is written there")
    default = document.get("default", "")
    if default not in ("", *found):
        raise _damaged(path, "its default is none of its profiles")
    return Profiles({name: Profile(**entry) for name, entry in found.items()}, default)


def _damaged(path: Path, why: str) -> InvalidInput:
    return InvalidInput(f"these are no profiles: {why}", str(path), "Correct it, or remove it")
