"""Settings: where they come from, and that a misspelt one is refused wherever it stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from greenray.cluster.config.settings import PieceSection, Settings
from greenray.cluster.config.settings_loading import load_settings, settings_by_name, variable_of
from greenray.protocol.errors import InvalidSetting
from greenray.storage.file_location import FileLocation, FileOptions
from greenray.storage.piece_location import PieceLocation
from greenray.storage.s3_location import S3Location, S3Options
from scripts.settings_table import DOCUMENT, with_tables


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text: str | bytes) -> Path:
    path = Path("some.yaml")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def shared_files(directory: str) -> FileLocation:
    return FileLocation(Path(directory), FileOptions(shared=True))


def refusal(config_file: Path | None = None) -> InvalidSetting:
    with pytest.raises(InvalidSetting) as caught:
        load_settings(config_file)
    assert caught.value.next_step
    return caught.value


def test_defaults_need_no_file() -> None:
    assert load_settings().sps == 7


def test_greenray_yaml_in_the_working_directory_is_read() -> None:
    Path("greenray.yaml").write_text("sps: 9")
    assert load_settings().sps == 9


def test_an_option_beats_a_variable_which_beats_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    file = written("sps: 8\nchain: {port: 1, block_interval_s: 0.1}\nbatch_segments: 2")
    monkeypatch.setenv("GREENRAY_SPS", "9")
    monkeypatch.setenv("GREENRAY_CHAIN__PORT", "2")
    settings = load_settings(file, sps=10, state_dir=None, chain={})
    assert (settings.sps, settings.chain.port, settings.batch_segments) == (10, 2, 2)
    assert settings.chain.block_interval_s == 0.1


def test_a_mapping_and_its_entries_can_be_set_by_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENRAY_CHAIN__GENESIS_PARAMS", '{"max_segment_size": 65536}')
    assert load_settings().chain.genesis_params == {"max_segment_size": 65536}


def test_every_setting_can_be_set_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = load_settings().model_dump()
    for name, field in settings_by_name():
        if field.default is None:
            continue
        text = str(field.default)
        monkeypatch.setenv(variable_of(name), "{}" if isinstance(field.default, dict) else text)
    assert load_settings().model_dump() == defaults


@pytest.mark.parametrize(
    ("variable", "suggested"),
    [
        ("GREENRAY_SPSS", "GREENRAY_SPS"),
        ("GREENRAY_CHAIM__PORT", "GREENRAY_CHAIN__PORT"),
        ("GREENRAY_CHAIN__PROT", "GREENRAY_CHAIN__PORT"),
        ("GREENRAY_CHAIN_PORT", "GREENRAY_CHAIN__PORT"),
        ("greenray_codek", "GREENRAY_CODEC"),
    ],
)
def test_a_misspelt_variable_is_refused_with_a_suggestion(
    variable: str, suggested: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "9")
    error = refusal()
    assert error.where == variable
    assert f"did you mean {suggested}?" in error.what


def test_an_entry_of_a_setting_that_has_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENRAY_SPS__COUNT", "9")
    assert refusal().where == "GREENRAY_SPS__COUNT"


def test_variables_that_other_parts_read_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENRAY_KEY_PASSWORD", "x")
    monkeypatch.setenv("GREENRAY_KEY_SP_0_SEAL", "x")
    monkeypatch.setenv("GREENRAY_FREEZE_AFTER_COMMIT", "crashes")
    for variable in ("GREENRAY_PROFILE", "GREENRAY_CHAIN_URL", "GREENRAY_KEY"):
        monkeypatch.setenv(variable, "a client's")
    load_settings()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("spss: 9", "did you mean sps?"),
        ("chain: {prot: 1}", "did you mean chain.port?"),
        ("sps: 1", "sps: Input should be greater than or equal to 2"),
        ("gateway: {port: 65536}", "gateway.port: Input should be less than or equal to 65535"),
        ("chain: {timeout_s: .inf}", "chain.timeout_s: Input should be a finite number"),
        ("chain: x", "chain: "),
        ("chain: [", "is not YAML"),
        (b"\xff\xfe\x00", "is not YAML"),
        ("- 1", "is not a mapping"),
        ("1: 1", "is not a mapping"),
    ],
)
def test_a_wrong_file_is_refused_by_name(text: str | bytes, named: str) -> None:
    error = refusal(written(text))
    assert error.where == "some.yaml"
    assert named in error.what


def test_all_wrong_keys_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENRAY_BATCH_SEGMENTS", "many")
    error = refusal(written("sps: 1\nspss: 4"))
    assert all(name in error.what for name in ("sps:", "spss", "batch_segments:"))
    assert sorted(error.where.split(", ")) == ["GREENRAY_BATCH_SEGMENTS", "some.yaml"]


def shape(k: int | str, m: int | str) -> str:
    return f"{{redundant_data_chunk_num: {k}, redundant_parity_chunk_num: {m}}}"


@pytest.mark.parametrize(("k", "m", "sps"), [(1, 0, 2), (2, 1, 4), (4, 2, 7), (8, 3, 12)])
def test_a_shape_takes_a_primary_and_a_secondary_for_each_of_its_columns(
    k: int, m: int, sps: int
) -> None:
    params = shape(k, m)
    settings = load_settings(written(f"sps: {sps}\nchain: {{genesis_params: {params}}}"))
    assert settings.sps == sps
    if sps > 2:
        error = refusal(written(f"sps: {sps - 1}\nchain: {{genesis_params: {params}}}"))
        assert f"{k}+{m} needs {sps} storage providers" in error.what
        assert f"sps is {sps - 1}: set sps to {sps} or more" in error.what


def test_what_does_not_fit_together_is_looked_for_in_the_file_and_in_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = written("pieces: {bucket: b}")
    assert refusal(file).where == "some.yaml"
    monkeypatch.setenv("GREENRAY_PIECES__PREFIX", "p")
    assert refusal(file).where == "some.yaml, GREENRAY_PIECES__PREFIX"
    assert refusal().where == "GREENRAY_PIECES__PREFIX"


@pytest.mark.parametrize("domain", ["http://gnfd.test", "gnfd.test:9033", "gnfd..test", ".test"])
def test_a_domain_of_gateways_is_a_host_name_alone(domain: str) -> None:
    with pytest.raises(InvalidSetting, match="give one like"):
        load_settings(gateway={"domain": domain})
    assert load_settings(gateway={"domain": "GNFD.test"}).gateway.domain == ("gnfd.test")


def test_the_shape_of_a_variable_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENRAY_CHAIN__GENESIS_PARAMS__REDUNDANT_DATA_CHUNK_NUM", "8")
    assert "8+2 needs 11 storage providers" in refusal().what


def test_a_chain_of_someone_else_has_its_own_shape() -> None:
    chain = f"{{endpoint: 'http://127.0.0.1:1', genesis_params: {shape(8, 3)}}}"
    assert load_settings(written(f"chain: {chain}")).sps == 7


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ("{redundant_data_chunk_nun: 4}", "no parameter named 'redundant_data_chunk_nun'"),
        (shape("many", 2), "redundant_data_chunk_num: 'many' is not like 4"),
        (shape(0, 2), "k must be at least 1"),
        ("{recorded_reject_seal: 1}", "recorded_reject_seal: 1 is not like False"),
    ],
)
def test_a_wrong_consensus_parameter_is_refused_by_name(params: str, named: str) -> None:
    error = refusal(written(f"chain: {{genesis_params: {params}}}"))
    assert named in error.what
    assert "chain.genesis_params" in error.what


@pytest.mark.parametrize("variable", ["GREENRAY_STATE_DIR", "GREENRAY_CHAIN", "GREENRAY_SPS"])
def test_an_empty_variable_says_nothing(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "")
    assert load_settings().model_dump() == Settings.model_construct().model_dump()


def test_an_empty_section_says_nothing() -> None:
    Path("greenray.yaml").write_text("chain:\nbudget:\nsps: 9\n")
    assert load_settings().model_dump() == Settings(sps=9).model_dump()


def test_digits_behind_a_zero_are_the_number_that_they_look_like() -> None:
    Path("greenray.yaml").write_text("chain: {port: 026750, block_interval_s: 1.5}\nsps: 08\n")
    found = load_settings()
    assert (found.chain.port, found.chain.block_interval_s, found.sps) == (26750, 1.5, 8)


def test_a_file_that_was_asked_for_must_be_there() -> None:
    assert refusal(Path("none.yaml")).where == "none.yaml"
    assert refusal(Path()).where == "."


@pytest.mark.parametrize("value", ["{bad", "[]", "x"])
@pytest.mark.parametrize("variable", ["GREENRAY_CHAIN__GENESIS_PARAMS", "GREENRAY_CHAIN"])
def test_a_mapping_that_is_no_json_object_is_refused(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert refusal().where == variable


def test_the_settings_in_the_documentation_are_those_in_the_code() -> None:
    text = DOCUMENT.read_text()
    assert text == with_tables(text), "run: python -m scripts.settings_table"


def test_the_example_in_the_documentation_is_accepted() -> None:
    example = DOCUMENT.read_text().partition("```yaml\n")[2].partition("```")[0]
    settings = load_settings(written(example))
    assert settings.model_dump(mode="json", include=yaml.safe_load(example).keys())
    assert settings.chain.genesis_params == {"max_segment_size": 65536}


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ("{kind: s3}", "needs a bucket"),
        ("{kind: s3, bucket: b, shared: true}", "kind s3 has no shared"),
        ("{kind: s3, bucket: b, directory: /srv}", "kind s3 has no directory"),
        ("{bucket: b, profile: p}", "kind file has no bucket, profile"),
        ("{attempts: 2}", "kind file has no attempts"),
        ("{kind: s3, bucket: b, prefix: /a}", "pieces.prefix"),
        ("{kind: s3, bucket: b, prefix: a//b}", "pieces.prefix"),
        ("{kind: ftp}", "pieces.kind"),
        ("{url: s3://b, bucket: b}", "pieces: url says it all. Remove bucket, or url"),
        ("{url: s3://b, kind: file, prefix: greenray}", "Remove kind and prefix, or url"),
        ("{url: s3://b, shared: true}", "of kind s3 has no shared"),
        ("{url: 'file:///srv', profile: p, attempts: 2}", "of kind file has no profile, attempts"),
        ("{url: 'file:///srv', attempts: 0}", "pieces.attempts"),
        ("{url: 's3://'}", "the bucket is missing. Write s3://BUCKET/PREFIX"),
    ],
)
def test_settings_of_a_piece_store_that_do_not_fit_are_refused(pieces: str, said: str) -> None:
    assert said in refusal(written(f"pieces: {pieces}")).what


def test_a_piece_store_on_s3_needs_a_bucket_only() -> None:
    pieces = load_settings(written("pieces: {kind: s3, bucket: b}")).pieces
    location = pieces.location(Path("unused"), durable=True)
    assert location == S3Location("b", "greenray")


ABROAD = {"endpoint_url": "https://s3.example.org", "region": "x", "profile": "p", "attempts": 2}


@pytest.mark.parametrize(
    ("by_url", "by_kind", "location"),
    [
        ("{}", "{kind: file}", FileLocation(Path("/state/pieces"))),
        ("{shared: true}", "{kind: file, shared: true}", shared_files("/state/pieces")),
        (
            "{url: 'file:///srv/a%20b', shared: true}",
            "{directory: /srv/a b, shared: true}",
            shared_files("/srv/a b"),
        ),
        ("{url: s3://b/greenray}", "{kind: s3, bucket: b}", S3Location("b", "greenray")),
        ("{url: 's3://b'}", "{kind: s3, bucket: b, prefix: ''}", S3Location("b")),
        (
            "{url: 's3://b/what%3F/%23'}",
            "{kind: s3, bucket: b, prefix: 'what?/#'}",
            S3Location("b", "what?/#"),
        ),
        (
            f"{{url: s3://b/p, {json.dumps(ABROAD)[1:]}",
            f"{{kind: s3, bucket: b, prefix: p, {json.dumps(ABROAD)[1:]}",
            S3Location(
                "b", "p", S3Options("https://s3.example.org", region="x", profile="p", attempts=2)
            ),
        ),
    ],
)
def test_a_url_and_the_settings_it_replaces_make_the_same_place(
    by_url: str, by_kind: str, location: PieceLocation
) -> None:
    for text in (by_url, by_kind):
        pieces = load_settings(written(f"pieces: {text}")).pieces
        assert pieces.location(Path("/state/pieces"), durable=True) == location
        assert pieces.scheme == location.scheme


def test_the_url_of_pieces_and_their_options_are_set_by_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GREENRAY_PIECES__URL", "s3://b/p")
    monkeypatch.setenv("GREENRAY_PIECES__READ_TIMEOUT_S", "7")
    location = load_settings().pieces.location(Path("unused"), durable=False)
    assert location == S3Location("b", "p", S3Options(read_timeout_s=7.0))


def test_settings_go_into_another_process_and_come_out_the_same() -> None:
    settings = load_settings(written("pieces: {url: s3://b/p, attempts: 2}"), sps=8)
    assert Settings(**settings.model_dump(exclude_unset=True)) == Settings(
        sps=8, pieces=PieceSection.model_validate({"url": "s3://b/p", "attempts": 2})
    )


def test_the_cpus_of_a_cluster_that_is_not_ours_cannot_be_set() -> None:
    error = refusal(written("{address: auto, cpus: 2}"))
    assert "cpus is of a Ray runtime of our own" in error.what
    assert error.where == "settings"
