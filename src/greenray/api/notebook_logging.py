"""Keeps hints for other people's notebooks out of ours."""

from __future__ import annotations

import logging


def hide_widget_hints() -> None:
    """When Ray is imported in a notebook it tells which package its widgets lack; we show none."""
    logging.getLogger("ray.widgets").setLevel(logging.WARNING)
