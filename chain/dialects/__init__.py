"""Wire dialects of the chain, one module each."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from greenray.chain.dialects.base import Dialect, Message
from greenray.protocol.errors import InvalidSetting

__all__ = ["Dialect", "Message", "get_dialect"]

_DIALECTS = {"v0_2": "greenray.chain.dialects.v0_2"}


def get_dialect(name: str = "v0_2") -> Dialect:
    """The dialect of that name.

    Raises:
        InvalidSetting: there is none.
    """
    if name not in _DIALECTS:
        raise InvalidSetting(
            f"there is no chain dialect {name!r}",
            "chain dialect",
            f"Use one of {', '.join(sorted(_DIALECTS))}.",
        )
    return cast(Dialect, import_module(_DIALECTS[name]))
