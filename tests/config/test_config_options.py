"""A backend's table becomes its options; what is wrong is said without showing a secret."""

from __future__ import annotations

import dataclasses
import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from haulier.config.layers import load_config
from haulier.config.models import setting
from haulier.config.options import build_options, options_fingerprint
from haulier.config.secrets import Secret
from haulier.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = "correct-horse-battery"


class Tier(StrEnum):
    HOT = "hot"
    COLD = "cold"


@dataclasses.dataclass(frozen=True)
class ArchiveOptions:
    bucket: str = dataclasses.field(metadata={"help": "Name of the bucket"})
    token: Secret | None = None
    base_url: str = "https://archive.example"
    tier: Tier = Tier.HOT
    mode: Literal["a", "b"] = "a"
    verify: bool = True
    attempts: int = setting(3, text="Attempts", minimum=0, maximum=9)
    chunk: int = setting(1024, text="Chunk", size=True)
    ca_bundle: Path | None = None
    folders: tuple[Path, ...] = ()
    headers: Mapping[str, Secret] = dataclasses.field(default_factory=dict)
    storage: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.bucket == "forbidden":
            raise ValueError("this bucket is not to be used")


class Archive:
    type = "archive"
    options_type = ArchiveOptions


@pytest.fixture
def build(tmp_path):
    def call(table, environ=None, variables=None, lenient=False, **more):
        config = load_config(
            {"backends": {"a": {"type": "archive", **table}}}, environ=variables or {}, cwd=tmp_path, lenient=lenient
        )
        return build_options(Archive, config.backends["a"], environ=environ or {}, base_dir=tmp_path, **more)

    return call


def test_options_have_their_types_and_defaults(build, tmp_path):
    options, warnings = build(
        {
            "bucket": "b",
            "tier": "cold",
            "attempts": 5,
            "chunk": "2KiB",
            "ca_bundle": "ca.pem",
            "folders": ["x", "/y"],
            "storage": {"deep": {"n": 1}},
        }
    )

    assert options == ArchiveOptions(
        bucket="b",
        tier=Tier.COLD,
        attempts=5,
        chunk=2048,
        ca_bundle=tmp_path / "ca.pem",
        folders=(tmp_path / "x", Path("/y")),
        storage={"deep": {"n": 1}},
    )
    assert warnings == ()


def test_options_from_the_environment_may_be_text_and_those_of_a_file_may_not(build):
    options, _ = build(
        {"bucket": "b"}, variables={"HAULIER_BACKENDS__A__ATTEMPTS": "4", "HAULIER_BACKENDS__A__VERIFY": "no"}
    )
    assert (options.attempts, options.verify) == (4, False)
    assert build({"bucket": "b", "attempts": "4"}, lenient=True)[0].attempts == 4

    with pytest.raises(ConfigError, match=r"argument: backends\.a\.attempts: must be a whole number from 0 to 9"):
        build({"bucket": "b", "attempts": "4"})


@pytest.mark.parametrize(
    ("table", "tells"),
    [
        ({}, "needs the option 'bucket'"),
        ({"bucket": 3}, "must be a text"),
        ({"bucket": "b", "bukcet": "x"}, "did you mean 'bucket'"),
        ({"bucket": "b", "attempts": 10}, "must be a whole number from 0 to 9"),
        ({"bucket": "b", "tier": "warm"}, 'must be one of "hot", "cold"'),
        ({"bucket": "b", "mode": "c"}, 'must be one of "a", "b"'),
        ({"bucket": "b", "verify": "yes"}, "must be true or false"),
        ({"bucket": "b", "storage": []}, "must be a table"),
        ({"bucket": "b", "token": 5}, "must be a secret: env:NAME"),
        ({"bucket": "b", "headers": {"x": 5}}, "must be a table"),
        ({"bucket": "forbidden"}, "this bucket is not to be used"),
    ],
)
def test_a_wrong_option_is_refused_with_its_place_and_what_is_allowed(build, table, tells):
    with pytest.raises(ConfigError) as caught:
        build(table)

    assert "backends.a" in caught.value.where
    assert tells in str(caught.value)


def test_the_file_of_a_wrong_option_is_named(tmp_path):
    file = tmp_path / "haulier.toml"
    file.write_text('[backends.archive]\nbucket = "b"\nattempts = "x"\n')
    config = load_config(file, environ={})

    with pytest.raises(ConfigError) as caught:
        build_options(Archive, config.backends["archive"], environ={}, base_dir=tmp_path)

    assert caught.value.where == f"{file}: backends.archive.attempts"


@pytest.mark.parametrize(
    "table",
    [
        {"bucket": "b", "token": [SECRET]},
        {"bucket": "b", "token": {"x": SECRET}},
        {"bucket": "b", "headers": SECRET},
        {"bucket": "b", "attempts": SECRET},
        {"bucket": "b", "tier": SECRET},
        {"bucket": "b", "storage": SECRET},
        {"bucket": ["b", SECRET]},
        {"bucket": "b", "unknown": SECRET},
        {"token": SECRET},
    ],
)
def test_no_error_shows_an_options_value(build, table):
    with pytest.raises(ConfigError) as caught:
        build(table)

    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in f"{error} {error!r}"
        error = None if error.__suppress_context__ else error.__context__


def test_printing_a_configuration_shows_no_secret(tmp_path):
    config = load_config({"backends": {"a": {"token": SECRET}}}, environ={}, cwd=tmp_path)

    assert SECRET not in repr(config)
    assert SECRET not in str(config.backends["a"])


def test_secrets_are_resolved_wherever_the_type_says_secret(build, tmp_path):
    (tmp_path / "token").write_text("from-file\n")
    (tmp_path / "token").chmod(0o600)

    options, warnings = build(
        {"bucket": "env:NOT_A_SECRET", "token": "file:token", "headers": {"x": "env:X", "y": "keyring:svc/me"}},
        environ={"X": "from-environment"},
        keyring_get=lambda service, user: f"{service}+{user}",
    )

    assert options.token == Secret("from-file")
    assert {name: secret.reveal() for name, secret in options.headers.items()} == {
        "x": "from-environment",
        "y": "svc+me",
    }
    assert options.bucket == "env:NOT_A_SECRET"
    assert warnings == ()


def test_a_literal_secret_works_and_is_warned_of_by_key_alone(build):
    options, (warning,) = build({"bucket": "b", "token": SECRET})

    assert options.token.reveal() == SECRET
    assert "backends.a.token" in warning
    assert SECRET not in warning


def test_a_secret_that_is_in_the_environment_already_is_not_warned_of(build):
    options, warnings = build({"bucket": "b"}, variables={"HAULIER_BACKENDS__A__TOKEN": SECRET})

    assert (options.token.reveal(), warnings) == (SECRET, ())


def test_a_missing_secret_names_option_and_reference(build):
    with pytest.raises(ConfigError, match=r"backends\.a\.token: the environment variable TOKEN is not set"):
        build({"bucket": "b", "token": "env:TOKEN"})


@pytest.mark.parametrize(
    "url",
    ["http://archive.example/api", "HTTP://10.0.0.7:8080", "http://u:" + SECRET + "@x.example", "http://[fe80::1]/"],
)
def test_plain_http_to_another_host_is_warned_of_without_credentials(build, url):
    options, (warning,) = build({"bucket": "b", "base_url": url})

    assert options.base_url == url
    assert "not encrypted" in warning
    assert SECRET not in warning


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9000",
        "http://localhost/api",
        "http://[::1]:80",
        "http://a.localhost",
        "https://x.example",
        "memory://x",
        "nonsense",
        "http://[",
    ],
)
def test_loopback_and_encrypted_urls_are_in_order(build, url):
    assert build({"bucket": "b", "base_url": url})[1] == ()


# -- options types -------------------------------------------------------------------------------------------------


class Unusable:
    type = "unusable"
    options_type = dict


class Strange:
    pass


@dataclasses.dataclass(frozen=True)
class StrangeOptions:
    thing: Strange | None = None


class WithStrangeOptions:
    type = "strange"
    options_type = StrangeOptions


@pytest.mark.parametrize("backend_class", [Unusable, WithStrangeOptions])
def test_a_plugin_whose_options_cannot_be_checked_is_blamed(tmp_path, backend_class):
    config = load_config({"backends": {"a": {"thing": "x"}}}, environ={}, cwd=tmp_path).backends["a"]

    with pytest.raises(PluginError):
        build_options(backend_class, config, environ={}, base_dir=tmp_path)


# -- fingerprint ---------------------------------------------------------------------------------------------------


def test_the_fingerprint_changes_with_any_option_and_the_key_and_with_nothing_else():
    base = ArchiveOptions(
        "b", token=Secret(SECRET), headers={"x": Secret("1"), "y": Secret("2")}, ca_bundle=Path("/ca")
    )
    same = ArchiveOptions(
        "b", token=Secret(SECRET), headers={"y": Secret("2"), "x": Secret("1")}, ca_bundle=Path("/ca")
    )
    others = [
        dataclasses.replace(base, token=Secret("other")),
        dataclasses.replace(base, token=None),
        dataclasses.replace(base, headers={"x": Secret("1")}),
        dataclasses.replace(base, tier=Tier.COLD),
        dataclasses.replace(base, ca_bundle=None),
        dataclasses.replace(base, storage={"n": 1}),
        dataclasses.replace(base, bucket="c"),
    ]

    prints = [options_fingerprint(options, b"key") for options in (base, *others)]

    assert options_fingerprint(same, b"key") == prints[0]
    assert len(set(prints)) == len(prints)
    assert options_fingerprint(base, b"another") != prints[0]
    assert all(len(bytes.fromhex(text)) == 32 for text in prints)
    assert SECRET not in json.dumps(prints)
