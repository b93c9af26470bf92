"""Finding recordings by who, where and when; pages that stay in place while others store and delete."""

from __future__ import annotations

import base64
import json

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haulier_wats.server import ServerSettings, ServerThread, Tokens
from haulier_wats.server.labels import labels_of

JOAO = {"wats_user": "João.Silva", "user": "administrator", "ip": "10.0.0.5:3389", "name": "Produção 1"}
MARIA = {"wats_user": "maria", "user": "Administrator", "ip": "[fe80::5]:3389", "wats_user_machine": "DESKTOP-1"}
ODD = {"wats_user": 7, "user": None, "ip": "\ud800", "name": ["x"], "wats_user_machine": "y" * 2000}


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [entry["file_id"] for entry in answer.json()["recordings"]]


def store_three(wire, clock):
    """File ids by who made the recording; an hour lies between each two."""
    made = {}
    for name, info in {"joao": JOAO, "maria": MARIA, "odd": ODD}.items():
        made[name] = wire.store(name.encode(), connection_info=info, session_id=f"rdp_{name}")["file_id"]
        clock.now += 3600
    return made


@pytest.fixture
def stored(wire, clock):
    return store_three(wire, clock)


@pytest.fixture(scope="module")
def library(tmp_path_factory, new_wire, new_clock):
    """A server with the three, which is only asked."""
    clock = new_clock()
    settings = ServerSettings(tmp_path_factory.mktemp("library"), Tokens(["t0ken-of-the-tests"]), clock=clock)
    with ServerThread(settings) as server:
        wire = new_wire(server.url)
        yield wire, store_three(wire, clock)
        wire.session.close()


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"user": "joão.silva"}, "joao"),
        ({"user": "JOÃO.SILVA"}, "joao"),
        ({"user": "administrator"}, "maria joao"),
        ({"user": "nobody"}, ""),
        ({"user": ""}, ""),
        ({"host": "produção 1"}, "joao"),
        ({"host": "10.0.0.5:3389"}, "joao"),
        ({"host": "10.0.0.5"}, "joao"),
        ({"host": "fe80::5"}, "maria"),
        ({"host": "desktop-1"}, "maria"),
        ({"host": "administrator"}, ""),
        ({"user": "administrator", "host": "DESKTOP-1"}, "maria"),
        ({"user": "administrator", "session_id": "rdp_joao"}, "joao"),
        ({"user": "' OR 1=1 --"}, ""),
        ({"from": "2024-10-26T14:40:22.123456Z"}, "odd maria"),
        ({"from": "2024-10-26T14:40:22.123457Z"}, "odd"),
        ({"to": "2024-10-26T14:40:22.123456Z"}, "joao"),
        ({"from": "2024-10-26T16:00:00+02:00", "to": "2024-10-26T12:00:00.5-03:00"}, "maria"),
        ({"from": "2024-10-26", "to": "2024-10-27"}, "odd maria joao"),
        ({"from": "2024-10-27"}, ""),
        ({"from": "2024-10-26t13:40:22z", "user": "maria"}, "maria"),
    ],
)
def test_filters_find_by_user_host_and_time(library, query, names):
    wire, stored = library
    answer = wire("GET", "/recordings", params=query)
    assert ids(answer) == [stored[name] for name in names.split()]
    assert answer.json()["total"] == len(names.split())


@pytest.mark.parametrize(
    "query",
    [
        "usr=a",
        "user=a&user=b",
        "from=yesterday",
        "from=2024-10-26T13:40:22",
        "from=2024-10-26T13:40:22+02:00",
        "from=2024-13-01",
        "from=2024-02-30T00:00:00Z",
        "to=0000-01-01",
        "to=20241026",
        "to=2024-W43-6",
        "to=٢٠٢٤-10-26",
        "from=",
        "cursor=",
        "cursor=x",
        "cursor=é",
        "cursor=bnVsbA",
        "cursor=WzEsMl0",
        "cursor=W05hTiwxXQ",
        "cursor=WzEuMCwtMV0",
        "cursor=WzEuMCwxZTQwMF0",
        f"cursor={base64.urlsafe_b64encode(b'[' * 2000).decode()}",
    ],
)
def test_what_makes_no_sense_is_refused(shared, query):
    answer = shared("GET", f"/recordings?{query}")
    assert answer.status_code == 400
    assert query.split("=", 1)[0] in answer.json()["detail"] + "usr"


def test_a_cursor_leads_through_all_pages_whatever_happens_meanwhile(wire, clock):
    made = []
    for number in range(7):
        clock.now += number % 2  # some of one moment
        made.append(wire.store(b"%d" % number)["file_id"])
    first = wire("GET", "/recordings?limit=3").json()
    assert (first["offset"], first["total"]) == (0, 7)
    wire.store(b"new")
    wire("DELETE", f"/recordings/{first['recordings'][-1]['file_id']}")
    second = wire("GET", "/recordings", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    third = wire("GET", "/recordings", params={"limit": 3, "cursor": second["next_cursor"]}).json()
    assert [each["file_id"] for page in (first, second, third) for each in page["recordings"]] == made[::-1]
    assert (second["offset"], third["next_cursor"]) == (None, None)


def test_a_cursor_keeps_to_the_filters(wire, stored):
    query = {"user": "administrator", "limit": 1}
    first = wire("GET", "/recordings", params=query)
    second = wire("GET", "/recordings", params=query | {"cursor": first.json()["next_cursor"]})
    assert ids(first) + ids(second) == [stored["maria"], stored["joao"]]
    assert second.json()["next_cursor"] is None


def test_a_cursor_and_an_offset_exclude_each_other(wire, stored):
    cursor = wire("GET", "/recordings?limit=1").json()["next_cursor"]
    assert wire("GET", "/recordings", params={"cursor": cursor, "offset": 0}).status_code == 400


def test_what_is_deleted_is_found_no_more(wire, stored):
    wire("DELETE", f"/recordings/{stored['maria']}")
    assert ids(wire("GET", "/recordings?user=administrator")) == [stored["joao"]]


def test_recordings_of_an_earlier_server_are_found_as_well(start, data_dir):
    wire = start()
    stored = wire.store(connection_info=JOAO)["file_id"]
    schema = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    wire = start()
    wire.session.close()

    def on_the_database(*statements):
        connection = apsw.Connection(str(data_dir / ".server" / "wats.db"))
        found = [connection.execute(statement).fetchall() for statement in statements]
        connection.close()
        return found

    start.stop()
    fresh, *_ = on_the_database(schema, "DROP TABLE labels", "PRAGMA user_version = 1")
    assert ids(start()("GET", "/recordings?user=joão.silva")) == [stored]
    start.stop()
    assert on_the_database(schema, "PRAGMA user_version") == [fresh, [(2,)]]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["wats_user", "user", "name", "ip", "wats_user_machine", "x"]), json_values))
def test_labels_can_be_stored_whatever_a_client_sends(info):
    for kind, value in labels_of(json.dumps(info)):
        assert kind in {"user", "host"}
        assert value == value.strip().casefold()
        assert value.encode()
