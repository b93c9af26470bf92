"""Which file is read."""

from pathlib import Path

import pytest

from haulier.config.layers import load_config
from haulier.config.locate import locate
from haulier.errors import ConfigError


@pytest.fixture
def places(tmp_path):
    """A working folder and a user's folder with a configuration each, and two more files."""
    for number, name in enumerate(["named.toml", "variable.toml", "cwd/haulier.toml", "user/haulier.toml"], start=11):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"[upload]\nmax_retries = {number}\n[plugins]\nfiles = ['p.py']\n")
    return tmp_path


def load(places, named=None, environ=None):
    return load_config(named, environ=environ or {}, cwd=places / "cwd", user_folder=places / "user")


def test_the_named_file_comes_first_then_the_variable_then_the_working_folder_then_the_users(places):
    variable = {"HAULIER_CONFIG": str(places / "variable.toml")}

    assert load(places, places / "named.toml", variable).upload.max_retries == 11
    assert load(places, None, variable).upload.max_retries == 12
    assert load(places).upload.max_retries == 13
    (places / "cwd/haulier.toml").unlink()
    assert load(places).upload.max_retries == 14
    (places / "user/haulier.toml").unlink()
    assert load(places).path is None


def test_the_working_folder_may_hold_json(places):
    (places / "cwd/haulier.toml").unlink()
    (places / "cwd/haulier.json").write_text('{"upload": {"max_retries": 21}}')

    assert load(places).upload.max_retries == 21


def test_a_file_that_merely_lies_in_the_working_folder_loads_no_plugin_files(places):
    config = load(places)

    assert config.plugins.files == ()
    (warning,) = config.warnings
    assert "plugins.files" in warning
    assert "--config" in warning
    assert load(places, "haulier.toml").plugins.files == (places / "cwd/p.py",)


def test_a_strangers_file_in_the_working_folder_is_passed_over_with_a_warning(places):
    found = locate(None, environ={}, cwd=places / "cwd", user_folder=places / "user", owned=lambda path: False)

    assert found.path == places / "user/haulier.toml"
    assert "another user" in found.warnings[0]


def test_a_file_whose_owner_cannot_be_asked_is_a_strangers(places):
    def owned(path: Path) -> bool:
        raise PermissionError

    found = locate(None, environ={}, cwd=places / "cwd", user_folder=places / "user", owned=owned)

    assert found.path == places / "user/haulier.toml"


@pytest.mark.parametrize("environ", [{}, {"HAULIER_CONFIG": "missing.toml"}])
def test_a_named_file_that_is_missing_is_an_error(places, environ):
    with pytest.raises(ConfigError, match=r"missing\.toml.*does not exist.*haulier init"):
        load(places, None if environ else "missing.toml", environ)


def test_a_folder_is_no_file(places):
    with pytest.raises(ConfigError, match="is a folder"):
        load(places, places)
