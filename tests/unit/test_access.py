"""Which network is meant, and as whom, when several places say something."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenray.client.access import DEFAULT_STATE_DIR, Access, Said, chosen_access
from greenray.client.profiles import (
    Profile,
    Profiles,
    profiles_file,
    read_profiles,
    write_profiles,
)
from greenray.protocol.errors import InvalidInput, InvalidName, InvalidSetting, UnreadableFile

HOME = Profile("http://home:26750", "http://home:9033", "/keys/home", "/keys/password")
AWAY = Profile("https://away")
PROFILES = Profiles({"home": HOME, "away": AWAY})
NOBODY = Said()


def chosen(options: Said = NOBODY, variables: Said = NOBODY, default: str = "") -> Access:
    return chosen_access(options, variables, lambda: PROFILES.with_default(default))


def test_where_nobody_says_anything_the_network_of_this_machine_is_meant() -> None:
    assert chosen() == Access(DEFAULT_STATE_DIR)


def test_a_profile_brings_its_gateway_its_key_and_where_the_password_is() -> None:
    access = chosen(Said(profile="home"))
    assert (access.chain, access.gateway) == (HOME.chain, HOME.gateway)
    assert (access.key, access.password_file) == (Path(HOME.key), Path(HOME.password_file))


def test_an_option_goes_before_a_variable_and_that_before_the_default_profile() -> None:
    by_variable = Said(profile="away")
    assert chosen(Said(profile="home"), by_variable).chain == HOME.chain
    assert chosen(variables=by_variable, default="home").chain == AWAY.chain
    assert chosen(default="home").chain == HOME.chain
    local = chosen(Said(state_dir="here"), by_variable, default="home")
    assert (local.chain, local.state_dir) == ("", Path("here"))
    assert chosen(variables=Said(state_dir="here"), default="home").chain == ""


def test_a_chain_alone_takes_no_gateway_from_a_profile_of_another_chain_but_its_key() -> None:
    access = chosen(Said(chain="http://other:1"), Said(profile="home"))
    assert (access.chain, access.gateway, access.key) == ("http://other:1", "", Path(HOME.key))


def test_a_key_that_is_named_goes_before_that_of_the_profile() -> None:
    mine = chosen(Said(profile="home", key="mine"))
    assert (mine.key, mine.password_file) == (Path("mine"), None)
    assert chosen(variables=Said(profile="home", key="mine")).key == Path("mine")
    named = chosen(Said(profile="home"), Said(key="mine"))
    assert (named.key, named.password_file) == (Path(HOME.key), Path(HOME.password_file))


def test_a_gateway_alone_is_one_of_the_network_of_this_machine() -> None:
    assert chosen(Said(gateway="http://127.0.0.1:9034")) == Access(
        DEFAULT_STATE_DIR, gateway="http://127.0.0.1:9034"
    )


def test_an_empty_variable_says_nothing() -> None:
    variables = Said.by_variables({"GREENRAY_STATE_DIR": "", "GREENRAY_PROFILE": ""})
    assert chosen(variables=variables) == Access(DEFAULT_STATE_DIR)


def test_two_networks_in_one_place_are_refused() -> None:
    with pytest.raises(InvalidInput, match="Give one of them"):
        chosen(Said(state_dir="here", profile="home"))


def test_an_unknown_profile_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidInput, match="Known: home, away"):
        chosen(Said(profile="hoem"))


@pytest.mark.parametrize(
    "url", ["home:26750", "ftp://home", "http://", "http://h:x", "http://h:99999", "http://a b"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidSetting, match="is not the URL of a chain"):
        chosen(Said(chain=url))


def test_profiles_are_kept_in_one_file_and_found_again(tmp_path: Path) -> None:
    path = profiles_file({"XDG_CONFIG_HOME": str(tmp_path)})
    assert read_profiles(path) == Profiles()
    kept = Profiles().added("home", HOME, replacing=False, is_default=True)
    write_profiles(path, kept.added("away", AWAY, replacing=False, is_default=False))
    assert read_profiles(path) == PROFILES.with_default("home")
    write_profiles(path, read_profiles(path).without("home"))
    assert read_profiles(path) == Profiles({"away": AWAY})


def test_a_profile_is_replaced_only_when_that_is_asked_for() -> None:
    with pytest.raises(InvalidInput, match="--replace"):
        PROFILES.added("home", AWAY, replacing=False, is_default=False)
    assert PROFILES.added("home", AWAY, replacing=True, is_default=False).named("home") == AWAY


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "a" * 64])
def test_a_profile_has_a_name_that_can_be_typed(name: str) -> None:
    with pytest.raises(InvalidName):
        Profiles().added(name, HOME, replacing=False, is_default=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        '{"profiles": {"a": {}}}',
        '{"profiles": {"a": {"chain": 5}}}',
        '{"profiles": {"a": {"chain": "u", "private_key": "x"}}}',
        '{"profiles": {}, "default": "a"}',
    ],
)
def test_a_file_that_is_no_profiles_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "profiles.json"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=str(path)):
        read_profiles(path)


def test_profiles_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnreadableFile, match="file"):
        write_profiles(tmp_path / "file" / "profiles.json", PROFILES)
