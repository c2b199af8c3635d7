"""Wire dialects of the chain, one package each; here they are found by name.

A dialect is loaded when it is asked for, and what the embedded chain needs of it apart from the
rest: a client has no use for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from greenray.chain.dialect import Dialect, Message
from greenray.protocol.errors import InvalidSetting

if TYPE_CHECKING:
    from greenray.chain.local.ledger.local_dialect import LocalDialect

__all__ = [
    "DEFAULT_DIALECT",
    "Dialect",
    "Message",
    "check_dialect",
    "get_dialect",
    "get_local_dialect",
]


@dataclass(frozen=True, slots=True)
class _Entry:
    load: Callable[[], Dialect]
    load_local: Callable[[], LocalDialect]


def _v0_2() -> Dialect:
    # The type checker compares the module with Dialect here.
    from greenray.chain.dialects import v0_2

    return v0_2


def _v0_2_local() -> LocalDialect:
    from greenray.chain.dialects.v0_2.local_rules import LOCAL_DIALECT

    return LOCAL_DIALECT


_DIALECTS: Mapping[str, _Entry] = MappingProxyType({"v0_2": _Entry(_v0_2, _v0_2_local)})

DEFAULT_DIALECT = "v0_2"
"""Where nobody says another one."""


def get_dialect(name: str = DEFAULT_DIALECT) -> Dialect:
    """The dialect of that name. Raises InvalidSetting when there is none."""
    return _entry(name).load()


def get_local_dialect(name: str = DEFAULT_DIALECT) -> LocalDialect:
    """What the embedded chain needs to speak it. Raises InvalidSetting when there is none."""
    return _entry(name).load_local()


def check_dialect(name: str, where: str = "chain dialect") -> None:
    """Without loading it. Raises InvalidSetting when there is none of that name."""
    if name not in _DIALECTS:
        known = ", ".join(sorted(_DIALECTS))
        raise InvalidSetting(f"there is no chain dialect {name!r}", where, f"Use one of {known}")


def _entry(name: str) -> _Entry:
    check_dialect(name)
    return _DIALECTS[name]
