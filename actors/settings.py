"""What the settings of several actors have in common.

An actor's settings are plain dataclasses in ``settings.py`` of its folder, which imports nothing
that costs anything. Their fields are what an operator can set: ``cluster.config.settings`` takes
name, default, bounds and text from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le

MIB = 1024 * 1024

PositiveSeconds = Annotated[float, Gt(0)]
AtLeastOne = Annotated[int, Ge(1)]
NotNegative = Annotated[int, Ge(0)]
ShareOfOne = Annotated[float, Gt(0), Le(1)]


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    lease_s: PositiveSeconds = 30.0
    """How long an owner holds its jobs without a word from it."""
