"""Settings: from where, which wins, and a clear word for each that cannot be."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from provenance import config
from provenance.config import Settings, SettingsError, check_origin
from provenance.domain.canonical import MAX_EVENT_BYTES, MAX_SEAL_BYTES


@pytest.mark.sqlite(reason="it is the default of the settings themselves")
def test_the_data_directory_is_all_that_must_be_said(tmp_path: Path) -> None:
    settings = Settings.load({"PROVENANCE_DATA": str(tmp_path)})
    assert settings == Settings(data=tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path}/provenance.sqlite"
    assert settings.public_url == "http://127.0.0.1:8000"
    assert settings.policy_file == tmp_path / "policy.txt"


def test_options_win_over_the_environment(tmp_path: Path) -> None:
    environ = {"PROVENANCE_DATA": "elsewhere", "PROVENANCE_PORT": "1", "OTHER": "x"}
    settings = Settings.load(environ, data=tmp_path, port=2, host=None)
    assert (settings.data, settings.port, settings.host) == (tmp_path, 2, "127.0.0.1")


def test_every_setting_goes_through_the_environment_unchanged(tmp_path: Path) -> None:
    settings = Settings(
        data=tmp_path,
        database="postgresql://operator@db.example/ledger",
        read_database="postgresql://operator@replica.example/ledger",
        origin="log.example.org/2026",
        base_url="https://example.org/p",
        operator_name="Beispiel Betrieb 示例",
        host="::1",
        port=0,
        workers=3,
        max_seal_events=9,
        publish_interval_ms=10,
    )
    assert Settings.load(settings.to_environment()) == settings
    assert set(settings.to_environment()) == {
        "PROVENANCE_" + field.name.upper() for field in dataclasses.fields(Settings)
    }


def test_an_ipv6_host_stands_in_brackets(tmp_path: Path) -> None:
    assert Settings(data=tmp_path, host="::1", port=9).public_url == "http://[::1]:9"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "data is not set: give --data DIR or PROVENANCE_DATA=DIR"),
        ({"PROVENANCE_DATA": "d", "PROVENANCE_PROT": "1"}, "unknown setting PROVENANCE_PROT"),
        ({"PROVENANCE_DATA": "d", "PROVENANCE_PORT": "8k"}, "PROVENANCE_PORT is '8k'; expected"),
        ({"PROVENANCE_DATA": "d", "PROVENANCE_PORT": "٣"}, "expected a whole number in digits"),
        ({"PROVENANCE_DATA": "d", "PROVENANCE_PORT": "65536"}, "from 0 to 65535"),
        ({"PROVENANCE_DATA": "."}, "a directory of its own"),
    ],
)  # fmt: skip
def test_what_the_environment_says_wrongly(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings.load(environ)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", -1),
        ("port", True),
        ("workers", 0),
        ("max_seal_events", 10_001),
        ("max_body_bytes", 57_343),
        ("max_upload_links", 999),
        ("clock_tolerance_s", 86_401),
        ("publish_interval_ms", 9),
        ("cosign_refresh_s", 43_201),
        ("lease_s", 1),
        ("database_timeout_ms", 99),
        ("database", "mysql://h/d"),
        ("database", "sqlite://"),
        ("read_database", "mysql://h/d"),
        ("read_database", "sqlite:////tmp/x"),
        ("base_url", "example.org"),
        ("base_url", "https://example.org/"),
        ("base_url", "https://user@example.org"),
        ("base_url", "https://example.org?x"),
        ("operator_name", " "),
        ("parts", "database"),
        ("operator_name", "x" * 201),
        ("origin", "https://log.example.org"),
        ("traces", "127.0.0.1:4318"),
        ("traces", "https://user:key@collector.example/v1/traces"),
        ("trace_witnesses", "yes"),
        ("log_format", "xml"),
        ("log_level", "INFO"),
        ("log_clients", "yes"),
        ("publication", "never"),
        ("metrics", "9464"),
        ("metrics", "127.0.0.1"),
        ("metrics", "127.0.0.1:65536"),
        ("metrics", "127.0.0.1:-1"),
        ("metrics", "metrics.example:9464"),
        ("metrics", "::1:9464"),
        ("metrics", "[127.0.0.1]:9464"),
        ("tiles_url", "https://bucket.example"),
        ("tiles_url", "s3://"),
        ("tiles_url", "s3://Upper"),
        ("tiles_url", "s3://bucket/"),
        ("tiles_url", "s3://bucket/../other"),
        ("tiles_url", "s3://bucket//log"),
        ("tiles_url", "s3://user:secret@bucket/log"),
        ("tiles_url", "s3://bucket/log?versionId=1"),
        ("s3_timeout_ms", 99),
    ],
)
def test_values_out_of_range_name_the_setting(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=f"PROVENANCE_{name.upper()} is .*expected"):
        Settings(data=tmp_path, **{name: value})


@pytest.mark.sqlite(reason="it is the default of the settings themselves")
def test_only_postgresql_has_read_replicas(tmp_path: Path) -> None:
    replica = "postgresql://replica.example/ledger"
    with pytest.raises(SettingsError, match=r"PROVENANCE_DATABASE is 'sqlite:…'; .* read replicas"):
        Settings(data=tmp_path, read_database=replica)
    both = Settings(data=tmp_path, database="postgresql://db/ledger", read_database=replica)
    assert both.read_database == replica


def test_a_password_in_a_refused_url_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings(data=tmp_path, database="mysql://u:secret@h/d")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["s3://tiles", "s3://my.tiles-2/log", "s3://tiles/a/b_c.d/2026"])
def test_places_in_a_bucket(tmp_path: Path, url: str) -> None:
    assert Settings(data=tmp_path, tiles_url=url).tiles_url == url


def test_an_endpoint_belongs_to_a_bucket_and_holds_no_credentials(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"TILES_URL is ''; expected .* since s3_endpoint is"):
        Settings(data=tmp_path, s3_endpoint="http://127.0.0.1:9000")
    with pytest.raises(SettingsError, match=r"S3_ENDPOINT is 'https:…'; .*user name") as refused:
        Settings(data=tmp_path, tiles_url="s3://tiles", s3_endpoint="https://me:secret@host")
    assert "secret" not in str(refused.value)


def test_an_unknown_option_is_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="unknown settings: colour"):
        Settings.load({}, data=tmp_path, colour="red")


@pytest.mark.parametrize(
    "origin", ["log.localhost/0a1b2c3d", "a", "log.example.org", "log.example.org:8080/a/b_c~d"]
)
def test_names_of_logs(origin: str) -> None:
    check_origin(origin)


@pytest.mark.parametrize(
    "origin",
    ["", "a/", "/a", "a b", "a+b", "A.example", "http://a", "a//b", "a" * 250, "ä.example", "a\n"],
)
def test_what_no_log_can_be_called(origin: str) -> None:
    with pytest.raises(SettingsError, match="ORIGIN"):
        check_origin(origin)


def test_fixed_limits_are_those_of_the_parser() -> None:
    assert (config.MAX_EVENT_BYTES, config.MAX_SEAL_BYTES) == (MAX_EVENT_BYTES, MAX_SEAL_BYTES)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", None),
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9464", ("::1", 9464)),
    ],
)
def test_the_address_of_the_metrics(
    tmp_path: Path, text: str, address: tuple[str, int] | None
) -> None:
    assert Settings(data=tmp_path, metrics=text).metrics_address == address
