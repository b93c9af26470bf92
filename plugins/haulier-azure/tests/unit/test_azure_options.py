"""What a table may say, and what is said of one that may not."""

from __future__ import annotations

import pytest

from haulier.config.secrets import Secret
from haulier_azure.options import AzureOptions

KEY = Secret("YS1rZXktZm9yLXRlc3Rz")
SAS = Secret("?sv=2024-11-04&sp=rcwl&sig=SECRET%3D")
URL = "https://recordings.blob.core.windows.net"
KNOWN = (
    f"DefaultEndpointsProtocol=https;AccountName=recordings;AccountKey={KEY.reveal()};EndpointSuffix=core.windows.net"
)


def made(**more):
    return AzureOptions(**{"container": "sessions", "account_url": URL, "credential": KEY, **more})


def test_an_account_key_belongs_to_the_account_that_the_address_names():
    account = made().account
    assert (account.name, account.url, account.key.reveal()) == ("recordings", URL, KEY.reveal())
    assert not account.by_identity


def test_a_sas_is_taken_with_and_without_its_question_mark():
    for text in (SAS.reveal(), SAS.reveal().lstrip("?")):
        account = made(credential=Secret(text)).account
        assert account.sas.reveal() == SAS.reveal().lstrip("?")
        assert not account.key


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1"),
        ("http://localhost:10000/devstoreaccount1/", "devstoreaccount1"),
        ("https://recordings-secondary.blob.core.windows.net", "recordings"),
    ],
)
def test_the_account_s_name_is_told_from_the_address(url, name):
    assert made(account_url=url).account.name == name


def test_a_connection_string_names_all():
    account = made(account_url="", credential=Secret(""), connection_string=Secret(KNOWN)).account
    assert (account.name, account.url, account.key.reveal()) == ("recordings", URL, KEY.reveal())


def test_a_connection_string_may_bring_a_sas():
    text = f"BlobEndpoint={URL}/;SharedAccessSignature={SAS.reveal()}"
    account = made(account_url="", credential=Secret(""), connection_string=Secret(text)).account
    assert (account.name, account.url, account.sas.reveal()) == ("recordings", URL, SAS.reveal().lstrip("?"))


def test_without_a_credential_an_identity_is_used():
    assert made(credential=Secret("")).account.by_identity


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"container": ""}, "container is empty"),
        ({"container": "Sessions"}, "lower-case letters"),
        ({"container": "a--b"}, "single dashes"),
        ({"prefix": "/in"}, "prefix must be relative"),
        ({"prefix": "in/../out"}, "prefix must be relative"),
        ({"account_url": "recordings"}, "account_url is no http or https address"),
        ({"account_url": f"{URL}?sig=SECRET"}, "they belong into credential"),
        ({"account_url": ""}, "account_url or connection_string"),
        ({"connection_string": Secret(KNOWN)}, "account_url or connection_string"),
        ({"account_url": "", "connection_string": Secret(KNOWN)}, "brings its own credential"),
        ({"credential": Secret("no key!")}, "neither an account key"),
        ({"identity": "managed"}, "exclude each other"),
        ({"identity": "somebody"}, "identity must be one of"),
        ({"credential": Secret(""), "identity_client_id": "x"}, 'needs identity = "managed"'),
        ({"credential": Secret(""), "account_url": "http://10.0.0.1/recordings"}, "https only"),
        ({"account_url": "https://storage.example"}, "account_name is needed"),
        ({"tier": "lukewarm"}, "tier must be one of"),
        ({"checksum": "sha1"}, "checksum must be one of"),
        ({"immutability_mode": "locked"}, "goes together with"),
        ({"immutability_days": 3}, "goes together with"),
        (
            {"immutability_mode": "locked", "immutability_days": 3, "immutability_until": "2031-12-31"},
            "exclude each other",
        ),
        ({"immutability_mode": "locked", "immutability_until": "soon"}, "must be a day"),
        ({"proxy": "http://me:SECRET@proxy:3128"}, "they belong into proxy_credentials"),
    ],
)
def test_what_does_not_fit_is_refused_and_no_secret_is_quoted(more, words):
    with pytest.raises(ValueError, match=words) as caught:
        made(**more)
    assert "SECRET" not in str(caught.value)
    assert KEY.reveal() not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "UseDevelopmentStorage=true",
        f"AccountKey={KEY.reveal()}",
        f"AccountName=recordings;AccountKey={KEY.reveal()};SharedAccessSignature=sig=SECRET",
        f"BlobEndpoint={URL}?sig=SECRET;AccountKey={KEY.reveal()}",
    ],
)
def test_a_connection_string_that_cannot_be_used_is_refused_without_quoting_it(text):
    with pytest.raises(ValueError, match="connection_string") as caught:
        made(account_url="", credential=Secret(""), connection_string=Secret(text))
    assert "SECRET" not in str(caught.value)
    assert KEY.reveal() not in str(caught.value)


def test_no_secret_is_in_the_representation():
    told = repr(made()) + repr(made(credential=SAS)) + repr(made().account) + repr(made(credential=SAS).account)
    assert KEY.reveal() not in told
    assert "SECRET" not in told
