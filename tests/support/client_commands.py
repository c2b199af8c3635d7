"""The command as a client that knows a network by its chain and a keystore alone."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

import greenray
from greenray.chain.keystore import KeyRing
from greenray.chain.lazy_imports import kept_recursion_limit
from greenray.cli.app import app
from greenray.cluster.config.state_dir import StateDir
from greenray.cluster.local_chain.keys import USER_KEY_NAME

PASSWORD = "a long password"


@dataclass(frozen=True)
class Client:
    """``home``: a directory in which nothing is but what the commands put there."""

    home: Path
    variables: dict[str, str]

    @classmethod
    def of(cls, network: greenray.Network, home: Path) -> Client:
        """By environment variables alone, with the key of the network's user."""
        home.mkdir(parents=True, exist_ok=True)
        keystore = home / "me.json"
        keys = KeyRing.from_key_file(StateDir(network.state_dir).keys_file)
        with kept_recursion_limit():
            from eth_account import Account
        # Opened by each command: one whose key is derived at once.
        document = Account.encrypt(keys.user_key(USER_KEY_NAME), PASSWORD, "pbkdf2", iterations=1)
        keystore.write_text(json.dumps(document))
        return cls(
            home,
            {
                "GREENRAY_CHAIN_URL": network.chain_endpoint,
                "GREENRAY_KEY": str(keystore),
                "GREENRAY_KEY_PASSWORD": PASSWORD,
            },
        )

    def run(self, *arguments: object, stdin: bytes | None = None, **variables: str) -> Result:
        inherited = {name: None for name in os.environ if name.startswith("GREENRAY_")}
        surroundings = {"HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home / "config")}
        return CliRunner().invoke(
            app,
            [str(argument) for argument in arguments],
            input=stdin,
            env={**inherited, **surroundings, **self.variables, **variables},
        )

    def text(self, *arguments: object, stdin: bytes | None = None, **variables: str) -> str:
        """What a command that must succeed prints on stdout."""
        result = self.run(*arguments, stdin=stdin, **variables)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    def document(self, *arguments: object, **variables: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(
            self.text(*arguments, "--json", stdin=None, **variables)
        )
        return document

    def refusal(self, *arguments: object, **variables: str) -> dict[str, Any]:
        """The error of a command that must fail."""
        result = self.run(*arguments, "--json", stdin=None, **variables)
        assert result.exit_code == 1, (result.output, result.exception)
        error: dict[str, Any] = json.loads(result.stdout)["error"]
        return error
