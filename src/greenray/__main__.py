"""The entry point of the ``greenray`` command and of ``python -m greenray``."""

from __future__ import annotations

import os

COMPLETE_VARIABLE = "_GREENRAY_COMPLETE"
"""Set by the scripts of ``greenray completion``, when a shell asks what could follow."""


def main() -> None:
    from greenray.cli.app import app

    if COMPLETE_VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
    app(prog_name="greenray")


if __name__ == "__main__":
    main()
