"""What is sent to a Moodle, and what becomes of its answers: errors within HTTP 200, half answers, other pages."""

import json
from dataclasses import replace

import moodle_site
import pytest
import responses
from helpdesk import FakeClock
from moodle_site import JSON, TOKEN, URL, MoodleSite, error

from connectors import (
    ConfigError,
    DestinationRefused,
    DestinationUnavailable,
    Outcome,
    OutgoingRow,
    Reach,
    RowDestination,
)
from connectors.destinations import moodle as module
from connectors.destinations.moodle import load
from connectors.moodle import MOST_FIELDS, Calls, form
from connectors.secrets import Secrets

ADA = {"accounts": [{"home_page": URL, "name": "7"}], "emails": [], "idnumber": None, "username": None, "name": "Ada"}


def row(number, version=1, *, feed="records", deleted=False, user=None, **body):
    key = f"{number:05d}/sales"
    return OutgoingRow(feed, key, version, f"{number:063d}{version % 10}", deleted, user, {} if deleted else body)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def web():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def site(web):
    made = MoodleSite(users={"7"})
    web.add_callback(responses.POST, moodle_site.ADDRESS, callback=made.answer)
    return made


@pytest.fixture
def there(clock):
    return moodle_site.destination(clock)


def outcomes(answers):
    return {answer.key: answer.outcome for answer in answers}


# --- the document ----------------------------------------------------------------------------------------------------


def test_document_says_what_is_sent_where():
    given = {"feeds": ["impacts"], "programs": ["sales"], "url": f"{URL}/", "title": "Our Moodle"}
    made = load({**moodle_site.DOCUMENT, **given}, base=None)

    assert isinstance(made, RowDestination)
    assert (made.name, made.title, made.site) == ("moodle", "Our Moodle", URL)
    assert (made.feeds, made.programs, made.batch) == (("impacts",), ("sales",), 200)


def test_people_may_be_known_by_another_home_page_than_the_address_that_is_called():
    made = load({**moodle_site.DOCUMENT, "site": "https://learn.example.com"}, base=None)

    assert (made.site, made.at.url) == ("https://learn.example.com", URL)


@pytest.mark.parametrize(
    ("keys", "path", "told"),
    [
        ({"url": "http://moodle.example.com"}, ("url",), "Write https://"),
        ({"url": "https://me:pw@moodle.example.com"}, ("url",), "no place for secrets"),
        ({"url": "http://127.0.0.1:8765"}, ("url",), "allow_private: [127.0.0.1]"),
        ({"url": "https://10.1.2.3"}, ("url",), "no address of the open internet"),
        ({"token": "t0ken"}, ("token",), "A secret does not stand in a document"),
        ({"feeds": ["record"]}, ("feeds", 0), "Did you mean 'records'?"),
        ({"tokn": 1}, ("tokn",), "Did you mean 'token'?"),
    ],
)
def test_fault_is_told_at_its_key_with_the_remedy(keys, path, told):
    with pytest.raises(ConfigError) as caught:
        load({**moodle_site.DOCUMENT, **keys}, base=None)

    assert caught.value.path == path
    assert told in str(caught.value)


def test_private_address_that_is_allowed_may_be_called():
    made = load({**moodle_site.DOCUMENT, "url": "http://127.0.0.1:8765", "allow_private": ["127.0.0.1"]}, base=None)

    assert made.at.server == "http://127.0.0.1:8765/webservice/rest/server.php"


# --- rows ------------------------------------------------------------------------------------------------------------


def test_each_row_is_stored_and_answered(there, site):
    sent = [row(1, user=ADA, best_score=0.5), row(2, user={**ADA, "accounts": []}), row(3, deleted=True), row(4)]

    answers = list(there.send(sent))

    assert [answer.outcome for answer in answers] == [
        Outcome.STORED,
        Outcome.UNMATCHED,
        Outcome.DELETED,
        Outcome.STORED,
    ]
    assert answers[1].message == "Nobody here is like that."
    assert site.rows["records"]["00001/sales"]["body"] == {"best_score": 0.5}
    assert site.rows["records"]["00001/sales"]["user"] == ADA
    assert {held.key: (held.version, held.checksum) for held in there.held("records")} == site.held("records")


def test_row_sent_again_or_in_an_older_version_changes_nothing(there, site):
    list(there.send([row(1, version=5, at="first")]))

    assert outcomes(there.send([row(1, version=5)])) == {"00001/sales": Outcome.UNCHANGED}
    assert outcomes(there.send([row(1, version=4)])) == {"00001/sales": Outcome.UNCHANGED}
    assert site.writes == [("records", "00001/sales", 5)]


def test_text_of_any_language_arrives_as_it_is(there, site):
    odd = "Ünïcode 😀 & = + % \" \\ \u2028 \x7f <script> ]]> '"

    list(there.send([row(1, program_title=odd)]))

    assert site.rows["records"]["00001/sales"]["body"] == {"program_title": odd}


def test_number_that_json_has_no_word_for_is_not_sent(there, site):
    with pytest.raises(ValueError, match="Out of range float"):
        list(there.send([row(1, best_score=float("nan"))]))
    assert site.asked == []


def test_a_call_has_few_fields_however_many_rows(there, site):
    list(there.send([row(number) for number in range(there.batch)]))

    assert [len(asked) for asked in site.asked] == [4]
    assert len(site.held("records")) == there.batch


def test_large_rows_go_in_several_calls_and_each_is_answered(there, site, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 5000)
    sent = [row(number, text="x" * 1500) for number in range(7)] + [row(7, text='"' * 9000)] + [row(8)]

    assert outcomes(there.send(sent)) == dict.fromkeys((one.key for one in sent), Outcome.STORED)
    assert len(site.asked) == 6
    assert max(site.sizes) > 27_000  # the one that is too large by itself goes alone
    assert sorted(site.sizes)[-2] < 5500


def test_what_came_back_before_an_error_is_given(there, site, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 400)
    site.faults.extend([None, error("invalidparameter", exception="invalid_parameter_exception")])
    answers = there.send([row(number, text="x" * 100) for number in range(2)])

    assert next(answers).key == "00000/sales"
    with pytest.raises(DestinationRefused):
        next(answers)


def lost(reply):
    """Take the last row out of an answer."""
    status, headers, body = reply
    said = json.loads(body)
    return status, headers, json.dumps({**said, "answers": said["answers"][:-1]})


def test_row_without_an_answer_is_to_be_sent_again(there, site):
    site.faults.append(lost)
    answers = there.send([row(1), row(2)])

    assert next(answers).key == "00001/sales"
    with pytest.raises(DestinationUnavailable, match=r"got 2 of 2 rows and answered for 1 of them"):
        next(answers)


def test_fewer_rows_than_were_sent_are_told(there, site):
    site.faults.append((200, JSON, json.dumps({"received": 1, "answers": []})))

    with pytest.raises(DestinationUnavailable, match=r"got 1 of 2 rows"):
        list(there.send([row(1), row(2)]))


def test_answers_for_rows_that_were_not_sent_and_second_answers_are_passed_over(there, site):
    said = [{"key": key, "outcome": "stored", "message": ""} for key in ("x", "00001/sales", "00001/sales")]
    site.faults.append((200, JSON, json.dumps({"received": 1, "answers": said})))

    assert [(answer.key, answer.message) for answer in there.send([row(1)])] == [("00001/sales", None)]


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        {"received": 1},
        {"received": 1, "answers": [{"key": "00001/sales", "outcome": "thrown away"}]},
        {"received": 1, "answers": [{"outcome": "stored"}]},
    ],
)
def test_answer_of_another_form_says_that_versions_differ(there, site, said):
    site.faults.append((200, JSON, json.dumps(said)))

    with pytest.raises(DestinationRefused, match="update the older of the two"):
        list(there.send([row(1)]))


def test_all_that_is_held_comes_page_by_page(there, site, monkeypatch):
    monkeypatch.setattr(module, "HELD_PAGE", 10)
    list(there.send([row(number) for number in range(31)]))
    site.asked.clear()

    assert [held.key for held in there.held("records")] == [f"{number:05d}/sales" for number in range(31)]
    assert [asked["after"] for asked in site.asked] == ["", "00009/sales", "00019/sales", "00029/sales"]
    assert list(there.held("impacts")) == []


@pytest.mark.parametrize("shown", [[], [{"key": "", "version": 1, "checksum": "a"}]])
def test_page_that_does_not_go_on_ends_the_reading(there, site, shown):
    site.functions["local_lrsbridge_held"] = lambda **_: {"rows": shown, "more": True}

    with pytest.raises(DestinationUnavailable, match="same page of records again and again"):
        list(there.held("records"))


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "exception", "told"),
    [
        ("invalidtoken", "moodle_exception", "Manage tokens"),
        ("accessexception", "webservice_access_exception", "webservice/rest:use"),
        ("nopermissions", "required_capability_exception", "Give the role"),
        ("wsaccessusersuspended", "moodle_exception", "is suspended there"),
        ("invalidparameter", "invalid_parameter_exception", "Update the plugin"),
        ("pushoff", "moodle_exception", "It says no (pushoff)"),
        ("nocriteriaset", "moodle_exception", "(nocriteriaset)"),
    ],
)
def test_refusal_within_http_200_is_told_with_its_remedy_and_not_tried_again(there, site, code, exception, told):
    site.faults.extend([error(code, exception=exception)] * 4)

    with pytest.raises(DestinationRefused) as caught:
        list(there.send([row(1)]))

    assert told in str(caught.value)
    assert len(site.asked) == 1


def test_missing_plugin_is_told(there, site):
    del site.functions["local_lrsbridge_push_rows"]

    with pytest.raises(DestinationRefused, match="no function local_lrsbridge_push_rows: install or update the plugin"):
        list(there.send([row(1)]))


@pytest.mark.parametrize(
    "fault",
    [
        error("sitemaintenance", "The site is undergoing maintenance"),
        error("upgraderunning", "Site is being upgraded"),
        error("dmlwriteexception", "Error writing to database", "dml_write_exception"),
        error("dbconnectionfailed", "Error: Database connection failed", "dml_connection_exception"),
        error("generalexceptionmessage", "Exception - boom", "Error"),
        error("codingerror", "Coding error", "coding_exception"),
        error("busy", "Others write here"),
        (200, JSON, '{"received": 1, "answers": [{"key": "0000'),
        (200, JSON, ""),
        (200, {"Content-Type": "text/html"}, "<!DOCTYPE html><title>Log in</title>"),
        (500, {"Content-Type": "text/html"}, "<h1>Internal Server Error</h1>"),
        (502, {}, ""),
        (429, {}, ""),
    ],
)
def test_passing_fault_is_worth_another_try_which_is_the_senders(there, site, clock, fault):
    site.faults.append(fault)

    with pytest.raises(DestinationUnavailable):
        list(there.send([row(1)]))

    assert (len(site.asked), clock.slept) == (1, [])
    assert outcomes(there.send([row(1)])) == {"00001/sales": Outcome.STORED}


def test_what_is_read_is_tried_again_within_seconds(there, site, clock):
    list(there.send([row(1)]))
    site.faults.extend([error("upgraderunning"), (500, {}, ""), (200, JSON, '{"rows": [')])

    assert [held.key for held in there.held("records")] == ["00001/sales"]
    assert clock.slept == [1.0, 2.0, 4.0]


@pytest.mark.parametrize("fault", [lambda reply: (reply[0], reply[1], reply[2][:20]), lambda _: (504, {}, "")])
def test_answer_that_was_lost_after_the_rows_were_stored_stores_nothing_twice(there, site, fault):
    site.faults.append(fault)
    with pytest.raises(DestinationUnavailable):
        list(there.send([row(1), row(2)]))

    assert outcomes(there.send([row(1), row(2)])) == dict.fromkeys(["00001/sales", "00002/sales"], Outcome.UNCHANGED)
    assert len(site.writes) == 2


def test_fault_that_stays_is_told_as_worth_another_try_later(there, site):
    site.faults.extend([error("upgraderunning", "Site is being upgraded")] * 4)

    with pytest.raises(DestinationUnavailable, match=r"held: Site is being upgraded \(upgraderunning\)"):
        list(there.held("records"))
    assert len(site.asked) == 4


def test_page_in_place_of_json_says_what_to_check(there, site):
    site.faults.append((200, {"Content-Type": "text/html; charset=utf-8"}, "<html>"))

    with pytest.raises(DestinationUnavailable, match=r"text/html, not with JSON. Check `url`"):
        list(there.send([row(1)]))


def test_maintenance_says_when_to_come_back(there, site):
    site.faults.append((503, {"Retry-After": "300", "Content-Type": "text/html"}, "<html>under maintenance"))

    with pytest.raises(DestinationUnavailable) as caught:
        list(there.send([row(1)]))

    assert caught.value.retry_after == 300
    assert len(site.asked) == 1


def test_web_services_that_are_off_are_told(there, site):
    site.faults.append((403, {"Content-Type": "text/html"}, ""))  # so does Moodle 4.3, with nothing in it

    with pytest.raises(DestinationRefused, match=r"Enable web services .* and the REST protocol") as caught:
        list(there.send([row(1)]))
    assert caught.value.status == 403


def test_redirect_is_not_followed_with_a_token(there, site, web):
    site.faults.append((303, {"Location": "https://elsewhere.example.com/"}, ""))

    with pytest.raises(DestinationRefused, match="303"):
        list(there.send([row(1)]))
    assert len(web.calls) == 1


def test_token_is_in_no_error_and_no_address(there, site, web):
    said = f"No such token: {TOKEN} {TOKEN.upper()}"
    site.faults.append(error("invalidtoken", said))

    with pytest.raises(DestinationRefused) as caught:
        list(there.send([row(1)]))

    assert "No such token: ***" in str(caught.value)
    behind = caught.value
    while behind is not None:
        assert TOKEN not in f"{behind!r}{behind.args}"
        behind = behind.__cause__ or behind.__context__
    assert "?" not in web.calls[0].request.url
    assert site.asked[0]["wstoken"] == TOKEN
    assert TOKEN not in repr(there)


def test_learner_data_in_debug_words_of_moodle_is_not_repeated(there, site):
    said = {"exception": "dml_write_exception", "errorcode": "dmlwriteexception", "message": "Error writing"}
    site.faults.append((200, JSON, json.dumps({**said, "debuginfo": "Key (name)=(Ada)"})))

    with pytest.raises(DestinationUnavailable) as caught:
        list(there.send([row(1)]))
    assert "Ada" not in str(caught.value)


def test_missing_secret_is_told_by_its_name(there, site, clock, tmp_path):
    bare = there.reaching(Reach(Secrets({}, tmp_path), clock=clock))

    with pytest.raises(DestinationRefused, match="LRS_BRIDGE_SOURCE_MOODLE_TOKEN"):
        list(bare.send([row(1)]))
    assert site.asked == []


def test_name_of_a_private_address_is_not_connected_to(clock, monkeypatch):
    there = moodle_site.destination(clock)
    hidden = replace(there, at=replace(there.at, url="https://localtest.example.com"))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 443))])

    with pytest.raises(DestinationRefused, match=r"add 'localtest.example.com' to `allow_private`"):
        list(hidden.send([row(1)]))


# --- any function ----------------------------------------------------------------------------------------------------


def test_parameters_are_written_as_php_reads_them(there, site, clock):
    site.functions["core_try"] = lambda **given: given

    with Calls(there.at, there.reach) as calls:
        given = calls.call(
            "core_try", courseid=2, active=True, values=["a", "b"], options=[{"name": "n", "value": None}]
        )

    assert given == {"courseid": "2", "active": "1", "values[0]": "a", "values[1]": "b", "options[0][name]": "n"}


def test_call_with_more_fields_than_php_reads_is_not_made():
    assert form({"values": list(range(MOST_FIELDS))})
    with pytest.raises(ValueError, match="PHP may drop some"):
        form({"values": list(range(MOST_FIELDS + 1))})


def test_void_function_answers_nothing(there, site):
    site.functions["core_void"] = lambda: None

    with Calls(there.at, there.reach) as calls:
        assert calls.call("core_void") is None
