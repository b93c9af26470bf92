"""What is accepted without pydantic is what pydantic would have given."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haulier.config import validation
from haulier.config.models import PluginsConfig, UploadConfig, WatchConfig, setting
from haulier.config.plain import UNSURE, plainly
from haulier.config.secrets import Secret
from haulier.config.settings import settings_of


@dataclass(frozen=True)
class Odd:
    """Kinds that plugins may use."""

    perhaps: str | None = None
    sizes: tuple[int, ...] = ()
    pair: tuple[str, str] = ("", "")
    mode: Literal["a", 1] = "a"
    table: dict[str, str] = field(default_factory=dict)
    rate: float = setting(1.0, text="A rate.", minimum=0.5, maximum=2**60)
    key: Secret = field(default_factory=lambda: Secret("secret"))


SETTINGS = [one for owner in (UploadConfig, WatchConfig, PluginsConfig, Odd) for one in settings_of(owner).values()]
TEXTS = st.sampled_from(["", "content", "a", ".", "~/x", "8MiB", "5", "true", "é", "\ud800", "\0"]) | st.text(
    max_size=4
)
NUMBERS = st.integers() | st.integers(0, 100) | st.floats() | st.sampled_from([2**53, 2**53 + 1, 0.1, -0.0])
SCALARS = TEXTS | NUMBERS | st.booleans() | st.none() | TEXTS.map(Path)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.lists(TEXTS, max_size=3).map(tuple) | st.just({})


@given(st.sampled_from(SETTINGS), VALUES, st.booleans())
def test_a_value_accepted_plainly_is_what_pydantic_makes_of_it(one, value, as_text):
    found = UNSURE if one.secret else plainly(one, value)
    if found is UNSURE:
        return

    checked = validation._checked(one, value, as_text=as_text)

    assert found == checked
    assert type(found) is type(checked)
    assert repr(found) == repr(checked)


@pytest.mark.parametrize("owner", [UploadConfig, WatchConfig, PluginsConfig])
def test_every_default_is_plain(owner):
    for one in settings_of(owner).values():
        assert plainly(one, one.make_default()) == one.make_default(), one.name
