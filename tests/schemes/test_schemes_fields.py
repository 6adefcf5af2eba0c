"""Where events stand in a body, what is taken out of them, and what tells one from another."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.schemes import Headers, Request
from relay.schemes.entry import Fields
from relay.schemes.fields import FieldPlaces, remove


def places(*, hashed=True, options=None, **form):
    return FieldPlaces(Fields(**form), options or {}, hashed=hashed)


def identify(data, headers=(), *, hashed=True, **form):
    request = Request("POST", "", Headers([("content-type", "application/json"), *headers]), b'{"w": "whole"}', 0)
    return places(hashed=hashed, **form).identify(request, data)


@pytest.mark.parametrize(
    ("each", "data", "items"),
    [
        ((), {"a": 1}, [{"a": 1}]),
        ((), [1, 2], [[1, 2]]),
        ((), None, [None]),
        ("data", [{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}]),
        ("data", [], []),
        ("data", {"a": 1}, [{"a": 1}]),
        ("data.value", {"value": [1, 2]}, [1, 2]),
        ("data.value", {"value": []}, []),
        ("data.value", {"other": 1}, [{"other": 1}]),
        ("data.value", {"value": None}, [{"value": None}]),
        ("data.value", [], [[]]),
        ("data.a.b", {"a": {"b": [1]}}, [1]),
        ("data.0", [[1, 2]], [1, 2]),
        ("data", 5, [5]),
        ("data.e.*.c", {"e": [{"c": [1, 2]}, {"x": 1}, {"c": []}, 7, {"c": [3]}]}, [1, 2, {"x": 1}, 7, 3]),
        (("data.e.*.c", "data.e.*.d"), {"e": [{"c": "x"}, {"d": [1], "c": [2]}]}, [{"c": "x"}, 2, 1]),
        (("data.e.*.c", "data.e.*.d"), {"e": [{"c": [1], "d": {"v": 2}, "n": 3}]}, [1, {"d": {"v": 2}, "n": 3}]),
        ("data.e.*.c", {"e": [{"c": [], "n": 1}, {"c": [2], "n": None}]}, [{"n": 1}, 2]),
        ("data.e.*.c.d", {"e": [{"c": {"d": [1], "n": 2}, "m": 3}]}, [1, {"c": {"n": 2}, "m": 3}]),
        ("data.e.*.c", {"e": []}, [{"e": []}]),
        ("data.e.*.c", {"e": {"c": [1]}}, [{"e": {"c": [1]}}]),
        ("data.*.c", [{"c": [1]}, {"c": [2]}], [1, 2]),
        (("data.a", "data.b"), {"b": [1], "a": [2, 3]}, [2, 3, 1]),
        (("data.a", "data.b"), {"b": [1]}, [1]),
    ],
)
def test_a_batch_is_the_list_that_the_entry_names(each, data, items):
    assert places(each=each).items(data) == items


@pytest.mark.parametrize("value", ["x", 5, False, {"a": 1}, ""])
def test_what_is_no_list_where_one_should_be_is_said_so(value):
    with pytest.raises(ValueError, match=r"data\.value is not a list of events"):
        places(each="data.value").items({"value": value})


def test_each_item_gets_what_the_envelope_says_unless_it_says_it_itself():
    data = {"value": [{"a": 1}, {"id": "own"}, 7], "id": "envelope", "rest": 1}
    assert places(each="data.value", carry=("id", "gone")).items(data) == [
        {"a": 1, "id": "envelope"},
        {"id": "own"},
        7,
    ]
    assert data["value"][0] == {"a": 1}


def test_an_item_deep_inside_gets_what_each_envelope_on_the_way_says():
    data = {"object": "page", "entry": [{"id": 1, "changes": [{"v": 1}]}, {"id": 2, "changes": [{"v": 2, "id": 3}]}]}
    assert places(each="data.entry.*.changes", carry=("object", "id")).items(data) == [
        {"object": "page", "id": 1, "v": 1},
        {"object": "page", "id": 3, "v": 2},
    ]


LEAVES = st.integers().map(lambda number: f"leaf {number}")
ENTRIES = st.lists(
    st.dictionaries(
        st.sampled_from(["c", "d", "id", "hop"]), st.lists(st.fixed_dictionaries({"v": LEAVES}), max_size=3) | LEAVES
    ),
    min_size=1,
    max_size=4,
)


def leaves(value):
    if isinstance(value, str):
        return {value}
    inner = value.values() if isinstance(value, dict) else value
    return set().union(*(leaves(each) for each in inner))


@given(ENTRIES)
def test_nothing_that_an_entry_says_is_in_no_event(entries):
    found = places(each=("data.e.*.c", "data.e.*.d"), carry=("id",)).items({"e": entries})
    # What is carried is in each event of its entry, of which an entry with nothing else has none.
    said = [{key: value for key, value in entry.items() if key != "id"} for entry in entries]
    assert leaves(said) <= leaves(found) <= leaves(entries)


def test_of_several_places_the_first_that_is_there_counts():
    form = {"id": ["{{ data.gone }}", '{{ headers["x-id"] }}', "{{ data.id }}"], "type": "{{ data.a }}.{{ data.b }}"}
    assert identify({"id": 1, "a": "x", "b": "y"}, [("X-Id", "h")], **form).external_id == "h"
    found = identify({"id": 1, "a": "x"}, **form)
    assert (found.external_id, found.type, found.subject, found.time) == ("1", None, None, None)


def test_a_field_of_an_item_may_come_from_the_whole_body():
    assert identify({"id": 1}, id="{{ envelope.w }}/{{ data.id }}").external_id == "whole/1"


@pytest.mark.parametrize("data", [{}, [], "", 0, False, {"a": [None]}, "x"])
def test_without_an_id_it_is_the_hash_of_the_canonical_body(data):
    found = identify(data).external_id
    assert found.startswith("sha256:")
    assert len(found) == 71
    assert identify(data, hashed=False).external_id is None


def test_the_hash_is_of_what_the_body_says_and_not_of_how_it_is_written():
    one = identify({"a": 1, "b": [{"c": 2, "d": 3}]}).external_id
    assert identify({"b": [{"d": 3, "c": 2}], "a": 1}).external_id == one
    others = [{"a": 1, "b": [{"c": 2, "d": 4}]}, {"a": 1, "b": []}, {"a": "1", "b": [{"c": 2, "d": 3}]}, {}]
    assert len({identify(other).external_id for other in others} | {one}) == 5


def test_what_counts_the_tries_is_left_out_of_the_hash():
    form = {"without": ("data.attempt", "data.meta.sent", "data.items.*.try", "data.gone.x")}
    first = {"attempt": 1, "meta": {"sent": 1, "id": 2}, "items": [{"try": 1, "id": 3}]}
    again = {"attempt": 2, "meta": {"sent": 9, "id": 2}, "items": [{"try": 2, "id": 3}]}
    other = {"attempt": 1, "meta": {"sent": 1, "id": 5}, "items": [{"try": 1, "id": 3}]}
    before = copy.deepcopy(first)
    assert identify(first, **form).external_id == identify(again, **form).external_id
    assert identify(first, **form).external_id != identify(other, **form).external_id
    assert first == before


def test_nothing_has_no_hash():
    assert identify(None).external_id is None


@pytest.mark.parametrize(
    ("data", "path", "gone", "rest"),
    [
        ({"a": 1, "b": 2}, "a", True, {"b": 2}),
        ({"a": {"b": 1, "c": 2}}, "a.b", True, {"a": {"c": 2}}),
        ({"a": [{"b": 1}, {"b": 2, "c": 3}, {}, 5]}, "a.*.b", True, {"a": [{}, {"c": 3}, {}, 5]}),
        ([{"a": 1}, {"a": 2}], "*.a", True, [{}, {}]),
        ({"a": [[{"b": 1}]]}, "a.*.*.b", True, {"a": [[{}]]}),
        ({"a": None}, "a", True, {}),
        ({"a": 1}, "b", False, {"a": 1}),
        ({"a": 1}, "a.b", False, {"a": 1}),
        ({"a": [1]}, "a.0", False, {"a": [1]}),
        ({"a": [1]}, "a.*", False, {"a": [1]}),
        ({"a": {"b": 1}}, "a.*.b", False, {"a": {"b": 1}}),
        (None, "a", False, None),
    ],
)
def test_a_value_is_taken_out_of_a_tree(data, path, gone, rest):
    assert remove(data, path.split(".")) is gone
    assert data == rest
