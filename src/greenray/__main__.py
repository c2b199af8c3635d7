"""The entry point of the ``greenray`` command and of ``python -m greenray``."""

from __future__ import annotations


def main() -> None:
    from greenray.cli.app import app

    app(prog_name="greenray")


if __name__ == "__main__":
    main()
