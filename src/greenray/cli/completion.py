"""``greenray completion``: scripts by which shells complete the command's words."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from greenray.cli.output import command_app

app = command_app()

_COMPLETE_VARIABLE = "_GREENRAY_COMPLETE"
"""By which ``__main__`` knows that a shell asks."""


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command()
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print a script that completes commands and options in SHELL.

    Example, for bash: greenray completion bash >> ~/.bashrc

    Example, for zsh: greenray completion zsh > ~/.zfunc/_greenray

    Example, for fish: greenray completion fish > ~/.config/fish/completions/greenray.fish
    """
    from typer._completion_shared import get_completion_script

    script = get_completion_script(
        prog_name="greenray", complete_var=_COMPLETE_VARIABLE, shell=shell.value
    )
    typer.echo(script)
