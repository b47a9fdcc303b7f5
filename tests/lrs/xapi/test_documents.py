"""Parameters, preconditions and merging of documents: xAPI 1.0.3, Communication 2.2, 2.3, 2.6, 2.7 and 3.1."""

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrs.errors import Conflict, Invalid, PreconditionFailed
from lrs.xapi import documents, times
from lrs.xapi.documents import (
    ACTIVITY_PROFILE,
    AGENT_PROFILE,
    RESOURCES,
    STATE,
    Context,
    Preconditions,
    Resource,
    asked_to_delete,
    asked_to_read,
    asked_to_write,
    check_posted,
    check_put,
    etag_of,
    merge,
    read_preconditions,
)
from lrs.xapi.versions import Version

ACTIVITY = "http://example.com/activities/1"
AGENT = '{"mbox": "mailto:Ana@example.com"}'
REGISTRATION = "EC531277-B57B-4C15-8D91-D292C5B2B8F7"
JSON = "application/json"


def parameters(resource: Resource, **others: str) -> dict[str, list[str]]:
    about = {"activityId": ACTIVITY, "agent": AGENT}
    return {name: [value] for name, value in ({name: about[name] for name in resource.required} | others).items()}


# --- parameters ------------------------------------------------------------------------------------------------------


def test_parameters_name_a_context_and_a_document() -> None:
    asked = asked_to_write(STATE, parameters(STATE, stateId="bookmark", registration=REGISTRATION))

    assert asked.document_id == "bookmark"
    assert asked.context == Context(STATE, ACTIVITY, "mbox:mailto:ana@example.com", REGISTRATION.lower())


@pytest.mark.parametrize("resource", RESOURCES)
def test_reading_takes_one_id_or_none(resource: Resource) -> None:
    one = asked_to_read(resource, parameters(resource, **{resource.id: "x"}))
    all_of_them = asked_to_read(resource, parameters(resource, since="1970-01-01T00:00:01Z"))

    assert (one.document_id, one.since) == ("x", None)
    assert (all_of_them.document_id, all_of_them.since) == (None, times.from_number(1_000_000))


def test_state_alone_is_deleted_without_an_id() -> None:
    assert asked_to_delete(STATE, parameters(STATE)).document_id is None

    for profile in (ACTIVITY_PROFILE, AGENT_PROFILE):
        with pytest.raises(Invalid, match="profileId is missing"):
            asked_to_delete(profile, parameters(profile))


@pytest.mark.parametrize("resource", RESOURCES)
def test_what_is_required_cannot_be_left_out(resource: Resource) -> None:
    for name in (*resource.required, resource.id):
        given_ = parameters(resource, **{resource.id: "x"})
        del given_[name]
        with pytest.raises(Invalid) as caught:
            asked_to_write(resource, given_)
        assert caught.value.pointer == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("foo", "1"),
        ("stateid", "x"),  # 3.2: matches in all but case
        ("StateId", "x"),
        ("profileId", "x"),  # of another resource
        ("since", "2026-01-31T13:45:00Z"),  # of another request
    ],
)
def test_parameters_that_are_not_recognized_here_are_refused(name: str, value: str) -> None:
    with pytest.raises(Invalid, match="There is no parameter") as caught:
        asked_to_read(STATE, parameters(STATE, stateId="x", **{name: value}))

    assert caught.value.pointer == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("activityId", "no-scheme"),
        ("activityId", ""),
        ("activityId", "http://example.com/with space"),
        ("agent", "not JSON"),
        ("agent", "true"),
        ("agent", '"x"'),
        ("agent", "{}"),
        ("agent", '{"mbox": "ana@example.com"}'),
        ("agent", '{"mbox": "mailto:a@b.c", "openid": "http://a.b"}'),
        ("agent", '{"mbox": "mailto:a@b.c", "foo": 1}'),
        ("agent", '{"objectType": "agent", "mbox": "mailto:a@b.c"}'),
        ("agent", '{"objectType": "Group", "mbox": "mailto:a@b.c"}'),  # 2.6: not a Group
        ("agent", '{"account": {"homePage": "http://a.b", "name": "\\u0000"}}'),
        ("agent", '{"account": {"homePage": "http://a.b", "name": "\\ud800"}}'),
        ("agent", "[" * 50_000),
        ("registration", "true"),
        ("registration", "ec531277b57b4c158d91d292c5b2b8f7"),
        ("since", "not a timestamp"),
        ("since", "2026-01-31"),
        ("since", "2026-02-31T00:00:00Z"),
        ("since", "0001-01-01T00:00:00+23:59"),
        ("since", "2026-01-31T13:45:00-00:00"),
    ],
)
def test_values_have_their_form(name: str, value: str) -> None:
    with pytest.raises(Invalid) as caught:
        asked_to_read(STATE, parameters(STATE) | {name: [value]})

    assert caught.value.pointer == name
    assert caught.value.rule


@pytest.mark.parametrize("value", ["a\x00b", "\ud800"])
def test_an_id_that_no_database_holds_is_refused(value: str) -> None:
    with pytest.raises(Invalid):
        asked_to_write(STATE, parameters(STATE, stateId=value))


def test_a_parameter_comes_once() -> None:
    with pytest.raises(Invalid, match="comes 2 times"):
        asked_to_read(STATE, parameters(STATE) | {"stateId": ["x", "y"]})


def test_different_contexts_and_ids_never_share_a_digest() -> None:
    names = [None, "", "None", "null", "a", "a|", "|a", '"', '","', ", "]
    apart = [
        (Context(resource, *about), document_id)
        for resource, *about in product(RESOURCES, names, names, names)
        for document_id in ("", "a", "|a")
    ]

    assert len({context.digest_of(document_id) for context, document_id in apart}) == len(apart)


# --- preconditions: 3.1 ----------------------------------------------------------------------------------------------

TAG = etag_of(b"{}")


@pytest.mark.parametrize(
    ("header", "holds"),
    [
        (f'"{TAG}"', True),
        (f'"x", "{TAG}"', True),
        ("*", True),
        (TAG, True),  # as TinCanJS sends it
        (f'W/"{TAG}"', True),  # as a proxy that compresses makes it
        ('"x"', False),
        ("", False),
    ],
)
def test_if_match_wants_the_etag_of_what_is_there(header: str, holds: bool) -> None:
    preconditions = read_preconditions(header, None)

    if holds:
        preconditions.check(TAG)
    else:
        with pytest.raises(PreconditionFailed):
            preconditions.check(TAG)
    with pytest.raises(PreconditionFailed):
        preconditions.check(None)


@pytest.mark.parametrize(("header", "holds"), [("*", False), (f'"{TAG}"', False), ('"x"', True), ("", True)])
def test_if_none_match_wants_another_or_none(header: str, holds: bool) -> None:
    preconditions = read_preconditions(None, header)

    preconditions.check(None)
    if holds:
        preconditions.check(TAG)
    else:
        with pytest.raises(PreconditionFailed):
            preconditions.check(TAG)


def test_both_headers_must_hold() -> None:
    with pytest.raises(PreconditionFailed):
        read_preconditions("*", f'"{TAG}"').check(TAG)


@pytest.mark.parametrize(
    ("resource", "version", "etag", "refused"),
    [
        (STATE, Version.ONE, None, None),
        (STATE, Version.ONE, TAG, None),  # 3.1: state conflicts are unlikely, and TinCanJS sends no header
        (STATE, Version.TWO, None, None),
        (STATE, Version.TWO, TAG, Conflict),  # 2.0, 4.1.4
        (ACTIVITY_PROFILE, Version.ONE, None, Invalid),
        (ACTIVITY_PROFILE, Version.ONE, TAG, Conflict),
        (AGENT_PROFILE, Version.ONE, None, Invalid),
        (AGENT_PROFILE, Version.TWO, TAG, Conflict),
    ],
)
def test_put_without_a_header(
    resource: Resource, version: Version, etag: str | None, refused: type[Exception] | None
) -> None:
    if refused is None:
        check_put(resource, version, Preconditions(), etag)
        return
    with pytest.raises(refused) as caught:
        check_put(resource, version, Preconditions(), etag)
    assert type(caught.value) is refused


# --- merging: 2.2 ----------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd") | st.text(), VALUES, max_size=4)


def merged(existing: bytes, posted: bytes) -> bytes:
    return merge((JSON, existing), (JSON, posted))


@given(existing=OBJECTS, posted=OBJECTS, ascii_only=st.booleans())
def test_merge_sets_each_property_at_the_top(
    existing: dict[str, Any], posted: dict[str, Any], ascii_only: bool
) -> None:
    texts = [json.dumps(one, ensure_ascii=ascii_only).encode() for one in (existing, posted)]

    assert json.loads(merged(*texts)) == existing | posted


@given(existing=OBJECTS, posted=OBJECTS)
def test_merge_twice_is_merge_once(existing: dict[str, Any], posted: dict[str, Any]) -> None:
    texts = [json.dumps(one).encode() for one in (existing, posted)]

    once = merged(*texts)

    assert merged(once, texts[1]) == once


def test_merge_replaces_objects_whole_and_keeps_values_as_written() -> None:
    existing = b'{"x": {"a": 1, "b": 2}, "y": 0.10000000000000000000000000001, "z": 1E400}'

    assert merged(existing, b'{"x": { "c" : 3 }}') == (
        b'{"x":{ "c" : 3 },"y":0.10000000000000000000000000001,"z":1E400}'
    )


@pytest.mark.parametrize(
    "text", [b"", b"{", b"{}{", b"[]", b"1", b"null", b'{"a": 01}', b'{"a": NaN}', b"\xff", b'{"a":"\xff"}']
)
def test_what_is_no_json_object_does_not_merge(text: bytes) -> None:
    for pair in ((b"{}", text), (text, b"{}")):
        with pytest.raises(Invalid):
            merged(*pair)
    with pytest.raises(Invalid):
        check_posted(JSON, text)


def test_nesting_without_end_does_not_merge() -> None:
    with pytest.raises(Invalid):
        merged(b"{}", b'{"a":' * 100_000)


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/jsonp", "application/vnd.x+json", "not/json"]
)
def test_what_does_not_say_that_it_is_json_does_not_merge(content_type: str | None) -> None:
    for pair in (((JSON, b"{}"), (content_type, b"{}")), ((content_type, b"{}"), (JSON, b"{}"))):
        with pytest.raises(Invalid):
            merge(*pair)
    check_posted(content_type, b"abc")  # to a document that is not there it may be anything


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
def test_json_is_told_by_the_media_type(content_type: str) -> None:
    assert merge((content_type, b'{"a":1}'), (content_type, b'{"b":2}')) == b'{"a":1,"b":2}'


@pytest.mark.parametrize("content_type", ["", "text/plain\r\nX: y", "caf\u00e9/x", "x" * 1001])
def test_a_content_type_that_no_header_can_hold_is_refused(content_type: str) -> None:
    with pytest.raises(Invalid):
        documents.check_content_type(content_type)
