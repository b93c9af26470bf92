"""Secrets that are encrypted within the configuration."""

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haulier.config.models import BackendConfig
from haulier.config.options import build_options
from haulier.config.references import ReferenceKind, is_reference, resolve_secret
from haulier.config.sealing import find_keys, make_keys, purpose_of, seal, unseal
from haulier.config.secrets import Secret
from haulier.errors import ConfigError, StateFolderError
from haulier.files.keys import Keys

HERE, ELSEWHERE = Keys(b"h" * 32), Keys(b"e" * 32)
CLEAR = "the-token-itself"


@pytest.fixture
def own_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@given(st.text(min_size=1), st.text())
def test_what_was_sealed_is_opened_again_and_does_not_show(secret, purpose):
    sealed = seal(Secret(secret), purpose, HERE)
    assert unseal(sealed, purpose, lambda: HERE) == Secret(secret)
    assert set(sealed) <= set(string.ascii_letters + string.digits + ":-_=")
    assert sealed.startswith("haulier:v1:")
    assert seal(Secret(secret), purpose, HERE) != sealed


def test_a_sealed_text_is_a_reference_and_resolves_without_a_warning(tmp_path):
    sealed = seal(Secret(CLEAR), "p", HERE)
    assert is_reference(sealed)
    found = resolve_secret(sealed, environ={}, base_dir=tmp_path, purpose="p", keys=lambda: HERE)
    assert found == (Secret(CLEAR), ReferenceKind.SEALED, "")


def refusal(sealed, purpose="p", keys=lambda: HERE):
    with pytest.raises(ConfigError) as refused:
        unseal(sealed, purpose, keys, where="config.json: api.api_token", renew="`make a new one`")
    assert refused.value.where == "config.json: api.api_token"
    assert "`make a new one`" in refused.value.advice
    assert CLEAR not in str(refused.value)
    return refused.value.what


def test_on_another_machine_it_says_so_and_what_to_do():
    sealed = seal(Secret(CLEAR), "p", ELSEWHERE)

    def nothing():
        raise StateFolderError("the key of this installation is missing")

    assert "another machine" in refusal(sealed)
    assert "another machine" in refusal(sealed, keys=nothing)


def test_for_another_purpose_it_does_not_open():
    assert "another server" in refusal(seal(Secret(CLEAR), "p", HERE), "q")


def test_a_key_store_that_does_not_answer_is_told_from_a_missing_key():
    def locked():
        raise RuntimeError("locked " + CLEAR)

    assert "does not answer: RuntimeError" in refusal(seal(Secret(CLEAR), "p", HERE), keys=locked)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-8],
        lambda text: text[:30],
        lambda text: text.rpartition(":")[0] + ":",
        lambda text: text + "!",
        lambda text: text.replace(":v1:", ":v2:"),
        lambda text: "haulier:",
        lambda text: "haulier:token",
    ],
)
def test_what_is_cut_off_damaged_or_newer_is_refused(change):
    assert refusal(change(seal(Secret(CLEAR), "p", HERE)))


def test_every_flipped_bit_is_noticed():
    head, _, coded = seal(Secret(CLEAR), "p", HERE).rpartition(":")
    sealed = base64.urlsafe_b64decode(coded)
    for position in range(len(sealed) * 8):
        flipped = bytearray(sealed)
        flipped[position // 8] ^= 1 << position % 8
        refusal(f"{head}:{base64.urlsafe_b64encode(flipped).decode()}")


def test_the_purpose_is_type_option_and_origins():
    purpose = purpose_of("wats", "api_token", {"base_url": "https://Storage.example/api", "api_token": "x"})
    same = [
        "https://storage.example/other",
        "HTTPS://storage.example:443/api/",
        "https://user@storage.example/",
    ]
    others = [
        "https://storage.example:8443/api",
        "http://storage.example/api",
        "https://evil.example/api",
        "",
        "[",
        "/a",
    ]
    assert {purpose_of("wats", "api_token", {"base_url": url}) for url in same} == {purpose}
    found = {purpose_of("wats", "api_token", {"base_url": url}) for url in others}
    assert len(found) == len(others)
    assert purpose not in found
    assert purpose_of("wats", "client_key", {"base_url": same[0]}) != purpose
    assert purpose_of("s3", "api_token", {"base_url": same[0]}) != purpose


def test_a_backend_s_options_take_one_and_only_for_their_own_address(own_machine, tmp_path):
    from haulier_wats.backend import WatsBackend

    def options(url, token):
        table = BackendConfig("store", "wats", {"base_url": url, "api_token": token})
        return build_options(WatsBackend, table, environ={}, base_dir=tmp_path)

    purpose = purpose_of("wats", "api_token", {"base_url": "https://storage.example"})
    sealed = seal(Secret(CLEAR), purpose, make_keys())
    made, warnings = options("https://storage.example/api", sealed)
    assert (made.api_token.reveal(), warnings) == (CLEAR, ())
    with pytest.raises(ConfigError, match="another server") as refused:
        options("https://evil.example/api", sealed)
    assert "haulier wats token set" in str(refused.value)


def test_the_key_is_made_once_and_private_and_never_made_to_read(own_machine):
    with pytest.raises(StateFolderError):
        find_keys()
    assert not own_machine.exists()
    made = make_keys()
    assert make_keys().secret == find_keys().secret == made.secret
    (file,) = (path for path in own_machine.rglob("*") if path.is_file())
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
