"""By which way a client comes to a network, and as whom: chosen from what was said where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from greenray.client.profiles import Profile, Profiles
from greenray.protocol.errors import InvalidInput, InvalidSetting

DEFAULT_STATE_DIR = Path("~/.greenray")
ACCESS_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "state_dir": "GREENRAY_STATE_DIR",
        "profile": "GREENRAY_PROFILE",
        "chain": "GREENRAY_CHAIN_URL",
        "gateway": "GREENRAY_GATEWAY_URL",
        "key": "GREENRAY_KEY",
    }
)
"""By field of ``Said``; one that is empty says nothing."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one place (the options, the environment) says; empty: nothing."""

    state_dir: str = ""
    profile: str = ""
    chain: str = ""
    gateway: str = ""
    key: str = ""

    @classmethod
    def by_variables(cls, environment: Mapping[str, str]) -> Said:
        return cls(**{name: environment.get(v, "") for name, v in ACCESS_VARIABLES.items()})

    @property
    def is_remote(self) -> bool:
        return bool(self.chain or self.profile)


@dataclass(frozen=True, slots=True)
class Access:
    """``chain`` is the endpoint of a node; empty: the network of ``state_dir`` on this machine is
    meant, and its user where there is no ``key``. ``gateway`` empty: the network's first, or one
    that the chain knows. ``ask_password`` is asked for the password of a keystore that nobody has
    told; None: nobody can be."""

    state_dir: Path = DEFAULT_STATE_DIR
    chain: str = ""
    gateway: str = ""
    key: Path | None = None
    password_file: Path | None = None
    ask_password: Callable[[Path], str] | None = None


def chosen_access(
    options: Said,
    variables: Said,
    profiles: Callable[[], Profiles],
    ask_password: Callable[[Path], str] | None = None,
) -> Access:
    """Options go before variables, variables before the default profile, and that before the
    network in ``~/.greenray``. Where the network is (state directory, chain, gateway) is taken from
    one place as a whole; the profile that is named fills in what is not said there, and its key
    goes before a variable's if an option names it.

    Raises InvalidInput: two networks are named in one place, or there is no such profile;
    InvalidSetting: no URL.
    """
    place = next((said for said in (options, variables) if said.is_remote or said.state_dir), None)
    if place is not None and place.is_remote and place.state_dir:
        raise InvalidInput(
            "a state directory names one network, a profile or a chain another",
            place.state_dir,
            "Give one of them",
        )
    key = options.key or variables.key
    if place is not None and place.state_dir:
        return Access(
            Path(place.state_dir),
            gateway=options.gateway or (place.gateway if place is variables else ""),
            key=Path(key) if key else None,
            ask_password=ask_password,
        )
    profile = _profile(options.profile or variables.profile, profiles)
    if place is None and profile is None:
        return Access(
            gateway=options.gateway or variables.gateway,
            key=Path(key) if key else None,
            ask_password=ask_password,
        )
    if options.profile and profile is not None:
        key = options.key or profile.key or key
    return _remote(options, place or Said(), key, profile or Profile(""), ask_password)


def _profile(name: str, profiles: Callable[[], Profiles]) -> Profile | None:
    known = profiles()
    if name or known.default:
        return known.named(name or known.default)
    return None


def _remote(
    options: Said,
    place: Said,
    key: str,
    profile: Profile,
    ask_password: Callable[[Path], str] | None,
) -> Access:
    # The gateway of another chain than the one that is asked would be a wrong one.
    gateway = options.gateway or place.gateway or ("" if place.chain else profile.gateway)
    password_file = profile.password_file if key in ("", profile.key) else ""
    return Access(
        chain=checked_url(place.chain or profile.chain, "chain"),
        gateway=checked_url(gateway, "gateway") if gateway else "",
        key=Path(key or profile.key).expanduser() if key or profile.key else None,
        password_file=Path(password_file) if password_file else None,
        ask_password=ask_password,
    )


def checked_url(text: str, what: str) -> str:
    """Raises InvalidSetting: it is not ``http(s)://host[:port]``."""
    try:
        url = urlsplit(text)
        is_url = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        is_url = False
    if not is_url or any(ord(c) <= 32 or c == "\x7f" for c in text):
        raise InvalidSetting(
            f"{text[:80]!r} is not the URL of a {what}",
            what,
            "Give http://HOST:PORT, or https://HOST",
        )
    return text.rstrip("/")
