"""The runner's contract, line by line (connectors/README.md): every change of every record, whatever goes wrong."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
import responses
from helpdesk import BASE_URL, DOCUMENT, KEYSET, NOON, Desk, FakeClock, Pulled, Puller, iso

from connectors import SourceBroken, SourceRefused, SourceUnavailable
from connectors.sources import PAGE_SIZE
from connectors.sources.calls import ATTEMPTS


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def desk(clock: FakeClock) -> Iterator[Desk]:
    """Seven tickets, changed one a minute until noon, three a page."""
    made = Desk(clock)
    for number in range(1, 8):
        made.put(number, at=NOON - timedelta(minutes=10 - number))
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for method in (responses.GET, responses.POST):
            for path in ("tickets", "deleted"):
                mock.add_callback(method, f"{BASE_URL}/{path}", callback=made.answer)
        yield made


@pytest.fixture
def pull(clock: FakeClock) -> Puller:
    return Puller(clock)


def cursor(**keys):
    return DOCUMENT["cursor"] | keys


BUSY = (503, {}, "")


# 1. The window


def test_what_changed_since_the_watermark_is_asked_for(desk, pull, clock):
    state = pull().state
    clock.move(minutes=5)
    desk.put(2, state="solved")
    clock.move(minutes=1)

    again = pull(state)

    assert [row.data.get("state") for row in again.rows] == [None, "solved"]  # the newest known one comes again
    assert desk.asked[-1]["since"] == iso(NOON - timedelta(minutes=3))


def test_window_begins_the_lookback_before_the_watermark_and_finds_what_was_committed_late(desk, pull, clock):
    state = pull(cursor=cursor(lookback="5m")).state
    desk.put(99, at=NOON - timedelta(minutes=6))  # its stamp is older than the newest one that we saw
    clock.move(minutes=5)

    assert "99" in pull(state, cursor=cursor(lookback="5m")).keys
    assert "99" not in pull(state).keys  # the rule is the lookback's doing


def test_watermark_stays_the_settle_time_behind_so_what_is_shown_late_is_found(desk, pull, clock):
    first = pull(cursor=cursor(settle="5m"))  # the window ends at 11:55
    desk.put(99, at=NOON - timedelta(minutes=4))  # 11:56, indexed after 11:57 was
    clock.move(minutes=1)
    second = pull(first.state, cursor=cursor(settle="5m"))

    assert first.state["stream"]["watermark"] == "2026-11-20T11:55:00.000000Z"
    assert second.keys == ["5", "6", "99", "7"]


def test_record_that_changes_all_the_while_is_not_left_out(desk, pull, clock):
    desk.before = lambda desk, _: desk.put(4, at=clock.at - timedelta(seconds=1))  # never as old as the settle time

    assert "4" in pull(cursor=cursor(settle="5m")).keys


@pytest.mark.parametrize("keys", [{}, KEYSET], ids=["rolling", "keyset"])
def test_pull_of_a_system_that_changes_faster_than_it_is_read_ends(desk, pull, clock, keys):
    def change(desk, number):
        assert number < 9, "there is no end to it"
        clock.move(seconds=1)
        for ticket in list(desk.tickets):
            desk.put(ticket)

    desk.before = change

    assert set(pull(**keys).keys) == {"1", "2", "3"}  # the rest next time


def test_window_of_a_request_with_an_end_ends_there(desk, pull, clock):
    keys = {"request": {"path": "/tickets", "params": {"since": "{low}", "until": "{high}"}}}
    first = pull(cursor=cursor(settle="4m"), **keys)
    clock.move(minutes=4)
    second = pull(first.state, cursor=cursor(settle="4m"), **keys)

    assert first.keys == ["1", "2", "3", "4", "5"]  # 11:51 to 11:55; 11:56 is the end, and not within
    assert second.keys == ["5", "6", "7"]


def test_both_sides_of_the_window_are_sent_where_the_request_has_slots_for_them(desk, pull):
    pull(request={"path": "/tickets", "params": {"since": "{low}", "until": "{high}"}}, cursor=cursor(settle="4m"))

    assert desk.asked[0]["since"] == "2000-01-01T00:00:00Z"
    assert desk.asked[0]["until"] == iso(NOON - timedelta(minutes=4))


def test_first_window_begins_where_the_document_says(desk, pull):
    pull(cursor=cursor(start="2026-11-20T11:54:00+00:00"))

    assert desk.asked[0]["since"] == "2026-11-20T11:54:00Z"


def test_end_of_the_window_goes_by_the_clock_of_the_source(desk, pull, clock):
    desk.skew = -timedelta(minutes=5)  # its clock is behind ours: what it stamps now is five minutes old

    first = pull(cursor=cursor(settle="1m"))

    assert first.state["stream"]["skew"] == -300
    assert first.state["stream"]["watermark"] == "2026-11-20T11:54:00.000000Z"  # its 11:55, less the settle time
    clock.move(minutes=10)
    second = pull(first.state, cursor=cursor(settle="1m"))
    assert second.keys == ["4", "5", "6", "7"]


def test_watermark_does_not_run_ahead_over_silence(desk, pull, clock):
    state = pull().state
    clock.move(days=30)
    state = pull(state).state
    desk.put(99, at=NOON - timedelta(minutes=1))  # shown a month late

    assert "99" in pull(state).keys


def test_nothing_is_asked_for_while_the_window_is_empty(desk, pull):
    assert pull(cursor=cursor(start="2026-11-20T12:00:00Z")).states == []
    assert desk.asked == []


# 2. Pages, each with its state


def test_each_page_gives_the_state_to_go_on_from(desk, pull):
    pages = list(pull.pages())

    assert [[row.key for row in page.rows] for page in pages] == [["1", "2", "3"], ["3", "4", "5"], ["5", "6", "7"]]
    assert all(page.state for page in pages)


@pytest.mark.parametrize("broken_after", [0, 1, 2])
@pytest.mark.parametrize(
    "keys",
    [
        {},
        KEYSET,
        {"page": {"type": "page", "param": "page"}},
        {"page": {"type": "offset", "param": "offset"}, "cursor": cursor(ordered=False)},
        {"page": {"type": "next_url", "path": "link"}},
    ],
    ids=["token", "keyset", "rolling pages", "offsets", "next url"],
)
def test_broken_off_pull_goes_on_where_it_was(desk, pull, clock, keys, broken_after):
    whole, stored = pull(**keys), Pulled()
    for number, page in enumerate(pull.pages(**keys)):
        if number == broken_after:
            break  # what this page gave was not stored, nor its state
        stored.take(page)

    rest = pull(stored.state, **keys)

    assert stored.versions | rest.versions == whole.versions
    assert not {"1", "2", "4"} & set(stored.keys) & set(rest.keys)  # what was stored is not read again


def test_finished_window_of_an_earlier_pull_is_followed_by_what_changed_since(desk, pull, clock):
    first = next(iter(pull.pages()))
    clock.move(hours=2)
    desk.put(1, state="reopened")
    clock.move(minutes=1)

    again = pull(first.state)

    assert again.latest()["1"]["state"] == "reopened"
    assert {"4", "5", "6", "7"} <= set(again.keys)


def test_large_answer_is_given_in_pages_and_the_state_moves_with_the_last(desk, pull):
    desk.size = 5000
    for number in range(PAGE_SIZE * 2 + 100):
        desk.put(number, at=NOON - timedelta(hours=1))

    pages = list(pull.pages())

    assert [len(page.rows) for page in pages] == [PAGE_SIZE, PAGE_SIZE, 100]
    assert [bool(page.state) for page in pages] == [False, False, True]


def test_state_that_was_handed_in_is_left_as_it_is(desk, pull, clock):
    state = next(iter(pull.pages())).state
    before = json.dumps(state)
    desk.put(1, owner={"new": 1})
    clock.move(minutes=1)

    pull(state)

    assert json.dumps(state) == before


def test_state_is_json_of_bounded_size(desk, pull):
    for number in range(2000):
        desk.put(number, at=NOON - timedelta(seconds=5000 - number))
    desk.size = 100

    assert max(len(json.dumps(state)) for state in pull().states) < 2000


# Order and ties


@pytest.mark.parametrize(
    "keys",
    [
        {},
        KEYSET,
        {"page": {"type": "page", "param": "page"}},
        {"page": {"type": "offset", "param": "offset"}},
        {"page": {"type": "next_url", "path": "link"}},
    ],
    ids=["token", "keyset", "pages", "offsets", "next url"],
)
def test_more_equal_stamps_than_a_page_holds_lose_nothing(desk, pull, keys):
    for number in range(100, 120):
        desk.put(number, at=NOON - timedelta(minutes=5))

    assert len(set(pull(**keys).keys)) == 27


@pytest.mark.parametrize(
    "keys",
    [
        {},
        KEYSET,
        {"page": {"type": "page", "param": "page"}},
        {"page": {"type": "offset", "param": "offset"}},
        {"page": {"type": "next_url", "path": "link"}},
    ],
    ids=["token", "keyset", "pages", "offsets", "next url"],
)
def test_rows_that_change_while_pages_are_read_push_no_others_out(desk, pull, clock, keys):
    def change(desk, number):
        if number in (2, 3):
            desk.put(number - 1, state="changed")  # leaves the first page for the end: all others move up

    desk.before = change

    first = pull(**keys)
    clock.move(minutes=1)
    second = pull(first.state, **keys)

    assert {*first.keys, *second.keys} == {"1", "2", "3", "4", "5", "6", "7"}
    assert {**first.latest(), **second.latest()}["1"]["state"] == "changed"


NUMBERED = [
    {},
    {"page": {"type": "page", "param": "page"}},
    {"page": {"type": "offset", "param": "offset"}},
    {"page": {"type": "next_url", "path": "link"}},
]


@pytest.mark.parametrize("keys", NUMBERED, ids=["token", "pages", "offsets", "next url"])
@pytest.mark.parametrize("when", range(2, 9))
def test_a_row_that_leaves_a_tie_while_its_pages_are_read_pushes_no_other_out(desk, pull, clock, keys, when):
    """As after a bulk import: nothing but a second look can tell, for no later pull asks for that time again."""
    for number in range(100, 107):
        desk.put(number, at=NOON - timedelta(days=1))

    def change(desk, number):
        if number == when:
            desk.put(100, state="changed")

    desk.before = change
    first = pull(**keys)
    clock.move(minutes=1)
    second = pull(first.state, **keys)

    assert {*first.keys, *second.keys} >= {str(number) for number in range(100, 107)}
    assert not first.problems


def test_a_tie_that_stands_still_is_read_twice_and_what_fits_a_page_once(desk, pull):
    desk.tickets.clear()
    for number in range(6):
        desk.put(number, at=NOON - timedelta(days=1))
    desk.put(9, at=NOON - timedelta(minutes=5))
    pull()
    twice = len(desk.asked)
    desk.size, desk.asked = 10, []
    pull()

    assert (twice, len(desk.asked)) == (7, 1), "begin, two pages and the one that leaves the tie, the same again"


def test_a_tie_that_never_stands_still_is_told_and_ends(desk, pull):
    desk.tickets.clear()
    for number in range(60):
        desk.put(number, at=NOON - timedelta(days=1))

    def change(desk, number):
        if number > 1 and number % 3 == 0:
            desk.put(number % 60, state=f"changed {number}", at=NOON - timedelta(minutes=1))

    desk.before = change
    pulled = pull()

    assert "went on changing while they were read" in pulled.problems[0].message
    assert pulled.state["stream"]["watermark"]


def test_a_pull_that_breaks_off_within_a_tie_goes_on_and_looks_twice(desk, pull, clock):
    desk.tickets.clear()
    for number in range(7):
        desk.put(number, at=NOON - timedelta(days=1))
    whole = pull()
    for kept in whole.states:
        rest_of_it = pull(kept)
        assert len({*whole.keys, *rest_of_it.keys}) == 7
        assert "tie" not in json.dumps(rest_of_it.state)


def test_last_row_is_not_read_again_where_the_system_orders_by_time_and_id(desk, pull, clock):
    pulled = pull(**KEYSET)

    assert [row.key for row in pulled.rows] == ["1", "2", "3", "4", "5", "6", "7"]
    assert len(desk.asked) == 4  # three pages and the empty one that is the end


@pytest.mark.parametrize("keys", [{}, KEYSET], ids=["rolling", "keyset"])
def test_disorder_stops_a_stream_that_goes_on_from_the_last_row(desk, pull, keys):
    old, new = desk.tickets[1]["updated_at"], desk.tickets[7]["updated_at"]
    desk.faults.append(desk.reply({"tickets": [{"id": 7, "updated_at": new}, {"id": 1, "updated_at": old}]}))

    with pytest.raises(SourceBroken, match="does not come in the order of 'updated_at'"):
        pull(**keys)


def test_unordered_stream_moves_its_watermark_at_the_end_only(desk, pull):
    states = pull(cursor=cursor(ordered=False)).states

    assert ["watermark" in state["stream"] for state in states] == [False, False, True]


def test_pages_without_an_end_are_noticed(desk, pull):
    desk.faults.extend([desk.reply({"tickets": [], "next": "same"})] * 3)

    with pytest.raises(SourceBroken, match="again and again"):
        pull()


def pages_that_name_others(desk, numbers, tickets=()):
    """Pages, each of which names one that was not named before."""
    for number in numbers:
        named = {"next": f"n{number}", "link": f"{BASE_URL}/tickets?n={number}"}
        page = {"tickets": list(tickets), **named}
        desk.faults.append(desk.reply(page, Link=f'<{BASE_URL}/tickets?n={number}>; rel="next"'))


@pytest.mark.parametrize(
    "page",
    [
        {"type": "token", "path": "next", "param": "token"},
        {"type": "next_url", "path": "link"},
        {"type": "link_header"},
    ],
)
def test_empty_pages_without_an_end_are_noticed_and_the_next_pull_goes_on_there(desk, pull, page):
    keys = {"page": page, "cursor": cursor(ordered=False)}
    pages_that_name_others(desk, range(1, 999))
    stored = []

    with pytest.raises(SourceBroken, match=r"100 empty pages in a row.*no end.*Correct `page`"):
        stored.extend(page.state for page in pull.pages(**keys))

    assert len(desk.asked) == 100
    desk.faults.clear()
    desk.faults.append(desk.reply({"tickets": []}))
    pull(stored[-1], **keys)
    assert set(desk.asked[100].values()) & {"n100", "100"}


def test_empty_page_need_not_be_the_end(desk, pull):
    pages_that_name_others(desk, range(1, 100))
    pages_that_name_others(desk, [100], [desk.tickets[1]])
    pages_that_name_others(desk, range(101, 200))
    desk.faults.append(desk.reply({"tickets": [desk.tickets[2]], "next": None}))

    assert pull(cursor=cursor(ordered=False)).keys == ["1", "2"]


@pytest.mark.parametrize("ordered", [True, False])
def test_pages_that_are_asked_for_by_a_number_which_the_system_does_not_heed_end(desk, pull, ordered):
    page = {"type": "page", "param": "pagenumber"}  # the first page comes at every number

    with pytest.raises(SourceBroken, match=r"again and again, so there is no end to it. Correct `page`."):
        pull(page=page, cursor=cursor(ordered=ordered))

    assert len(desk.asked) <= 8


def test_page_that_comes_twice_by_a_slip_of_the_system_stops_nothing(desk, pull):
    first = [desk.tickets[number] for number in (1, 2, 3)]
    desk.faults.extend([None, desk.reply({"tickets": first})])

    assert pull(page={"type": "page", "param": "page"}, cursor=cursor(ordered=False)).keys == ["1", "2", "3", "7"]


def test_cursor_that_is_sent_too_coarsely_for_a_keyset_is_told(desk, pull):
    for number in range(100, 104):
        desk.put(number)
        desk.tickets[number]["updated_at"] = "2026-11-20T11:59:00.500Z"  # after the 11:59:00Z that is sent, always

    with pytest.raises(SourceBroken, match="correct `send`, as to iso_ms"):
        pull(**KEYSET)


# 3. Opaque tokens and their age


KEPT = {
    "page": {
        "type": "token",
        "path": "next",
        "param": "token",
        "end": "end",
        "keep": "count",
        "alone": True,
        "expires": "1h",
    }
}


def test_token_that_is_handed_out_at_the_end_begins_the_next_pull(desk, pull, clock):
    state = pull(**KEPT).state
    clock.move(minutes=59)
    desk.put(99)

    again = pull(state, **KEPT)

    assert again.keys == ["99"]
    assert desk.asked[-1]["token"] == "7"


def test_aged_token_falls_back_to_the_window_and_never_to_now(desk, pull, clock):
    state = pull(**KEPT).state
    desk.put(99, at=NOON - timedelta(minutes=1))
    clock.move(minutes=61)

    again = pull(state, **KEPT)

    assert again.keys == ["7", "99"]
    assert ("token" in desk.asked[3], desk.asked[3]["since"]) == (False, iso(NOON - timedelta(minutes=3)))


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_token_that_the_system_has_forgotten_falls_back_to_the_window(desk, pull, clock, status):
    state = pull(**KEPT).state
    desk.put(99, at=NOON - timedelta(minutes=1))
    clock.move(minutes=5)
    desk.faults.append((status, {}, "invalid cursor"))

    assert pull(state, **KEPT).keys == ["7", "99"]


def test_refusal_of_a_fresh_position_is_no_reason_to_begin_anew(desk, pull):
    desk.faults.extend([None, (400, {}, "what is that?")])

    with pytest.raises(SourceRefused, match="400"):
        pull()
    assert len(desk.asked) == 2


def test_token_is_sent_alone_where_the_system_wants_that(desk, pull):
    pull(page=DOCUMENT["page"] | {"alone": True}, cursor=cursor(ordered=False))

    assert [sorted(query) for query in desk.asked] == [["since"], ["token"], ["token"]]


# 5. Busy systems


@pytest.mark.parametrize(
    "fault",
    [
        (429, {"Retry-After": "7"}, ""),
        (503, {"Retry-After": "Fri, 20 Nov 2026 12:00:07 GMT"}, ""),
        (429, {"X-Reset": "7"}, ""),
    ],
    ids=["seconds", "date", "the vendor's own header"],
)
def test_busy_system_is_waited_for_as_long_as_it_asks(desk, pull, clock, fault):
    desk.faults.append(fault)

    assert len(pull(quota={"reset": "X-Reset"}).keys) == 7
    assert clock.slept == [7]


def test_long_wait_is_handed_on_uncapped_and_nothing_is_lost(desk, pull, clock):
    desk.faults.extend([None, (429, {"Retry-After": "7200"}, "")])
    pages = pull.pages()
    first = next(pages)

    with pytest.raises(SourceUnavailable, match="We go on after 2026-11-20 14:00:00 UTC") as caught:
        next(pages)

    assert caught.value.retry_after == 7200
    assert clock.slept == []
    assert pull(first.state).keys == ["3", "4", "5", "6", "7"]


def test_system_that_does_not_say_how_long_is_tried_four_times(desk, pull, clock):
    desk.faults.extend([BUSY] * 4)

    with pytest.raises(SourceUnavailable, match="answered 503"):
        pull()
    assert (clock.slept, len(desk.asked)) == ([1, 2, 4], 4)


def test_half_an_answer_is_asked_for_again_as_a_busy_system_is(desk, pull, clock):
    half = (200, {"Content-Type": "application/json"}, '{"tickets": [{"id": 1,')
    desk.faults.extend([half, half, half])

    assert len(pull().keys) == 7
    assert clock.slept == [1, 2, 4]
    desk.faults.extend([half] * 99)
    with pytest.raises(SourceUnavailable, match="stops half-way"):
        pull()
    assert len(desk.faults) == 99 - 4


def test_declared_number_of_requests_is_kept(desk, pull, clock):
    pull(quota={"requests": 2, "per": "30s"})

    assert len(desk.asked) == 3
    assert clock.slept == [30]


def test_rest_of_the_quota_is_left_to_others(desk, pull, clock):
    page = desk.reply({"tickets": [], "next": "3"}, **{"X-Left": "5", "X-Reset": str(int(NOON.timestamp()) + 40)})
    desk.faults.append(page)

    pull(quota={"remaining": "X-Left", "reset": "X-Reset", "reset_as": "unix", "reserve": 5})

    assert clock.slept == [40]


# 6. Errors, by what to do


def test_lost_permission_stops_and_tells(desk, pull):
    desk.faults.extend([None, (403, {}, "no scope tickets:read")])
    pages = pull.pages()
    next(pages)

    with pytest.raises(
        SourceRefused,
        match=r"We may not read the stream tickets\..*403.*Ask there for permission.*no scope tickets:read",
    ) as caught:
        next(pages)
    assert caught.value.status == 403


def test_refusal_at_the_page_cap_begins_the_window_anew_at_the_last_row(desk, pull):
    desk.faults.extend([None, None, (400, {}, "beyond 6")])

    pulled = pull(page=DOCUMENT["page"] | {"roll": {"on_status": [400]}})

    assert set(pulled.keys) == {"1", "2", "3", "4", "5", "6", "7"}
    assert [query["since"] for query in desk.asked[2:]] == ["2000-01-01T00:00:00Z", iso(NOON - timedelta(minutes=4))]


def test_known_page_cap_is_not_reached(desk, pull):
    pull(page=DOCUMENT["page"] | {"roll": {"after_pages": 2}})

    assert [query.get("token") for query in desk.asked] == [None, "3", None]


def test_more_equal_stamps_than_the_cap_lets_through_are_told(desk, pull):
    for number in range(1, 8):
        desk.put(number, at=NOON - timedelta(minutes=5))
    roll = {"on_status": [400]}
    desk.faults.extend([None, (400, {}, ""), None, (400, {}, "")])

    with pytest.raises(SourceBroken, match="more records that changed at one time"):
        pull(page=DOCUMENT["page"] | {"roll": roll})


def test_unusable_row_goes_into_quarantine_and_the_others_go_on(desk, pull):
    desk.tickets[4]["id"] = None

    pulled = pull()

    assert pulled.keys == ["1", "2", "3", "5", "6", "7"]
    assert (pulled.problems[0].column, pulled.problems[0].row) == ("id", 5)
    assert '"updated_at":"2026-11-20T11:54:00Z"' in pulled.problems[0].raw


@pytest.mark.parametrize(
    ("change", "column", "told"),
    [
        ({"updated_at": "yesterday"}, "updated_at", "is not a time in ISO 8601"),
        ({"updated_at": "2026-11-20T11:54:00"}, "updated_at", "says no UTC offset"),
        ({"updated_at": 7}, "updated_at", "is not a text with a time"),
        ({"id": {"a": 1}}, "id", "The key is empty or no text"),
        ({"id": "x" * 501}, "id", "1 to 500 characters"),
        ({"subject": "a\0b"}, None, "NUL"),
        ({"owner": None}, "owner", "The field is not there"),
    ],
)
def test_reason_of_quarantine_names_the_field_and_the_remedy(desk, pull, change, column, told):
    record = {"id": 1, "updated_at": "2026-11-20T11:54:00Z", "owner": "ann"} | change
    desk.faults.append(desk.reply({"tickets": [record, "no record"], "next": None}))

    pulled = pull(require=["owner"])

    assert pulled.rows == []
    assert pulled.problems[0].column == column
    assert told in pulled.problems[0].message
    assert pulled.problems[1].message.startswith("This is not a record")


@pytest.mark.parametrize("text", ['"\\ud800"', '"a\\u0000"', "NaN", "1e999", '{"\\u0000": 1}'])
def test_what_cannot_be_stored_costs_its_record_and_not_the_answer(desk, pull, text):
    good, bad = '{"id": 1, "updated_at": "2026-11-20T10:00:00Z"}', '"updated_at": "2026-11-20T10:00:01Z"'
    body = f'{{"tickets": [{good}, {{"id": 2, {bad}, "x": {text}}}, {{"id": {text}, {bad}}}]}}'
    desk.faults.append((200, {"Content-Type": "application/json"}, body))

    pulled = pull()

    assert pulled.keys[:1] == ["1"]
    assert 2 in [problem.row for problem in pulled.problems]
    told = [problem.raw for problem in pulled.problems] + list(texts(pulled.states))
    assert all("\0" not in text and text.encode() for text in told if text)  # as PostgreSQL wants it


def texts(value):
    """Give every text in JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from texts(list(pair))
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def test_row_in_quarantine_is_told_until_it_is_mended(desk, pull, clock):
    desk.tickets[4]["updated_at"] = None
    desk.faults.append(desk.reply({"tickets": [desk.tickets[4]], "next": None}))
    first = pull()
    desk.put(4, at=NOON)
    clock.move(minutes=1)
    desk.faults.append(desk.reply({"tickets": [], "next": None}))

    second = pull(first.state)  # the record does not come again
    third = pull(second.state)  # now it does, in order

    assert [len(pulled.problems) for pulled in (first, second, third)] == [1, 1, 0]
    assert second.problems[0].column == "updated_at"


def test_too_many_unusable_rows_stop_the_stream_before_its_watermark_moves(desk, pull):
    desk.size = 100
    for number in range(100, 120):
        desk.put(number, at=NOON - timedelta(minutes=1), id=None)

    pages = pull.pages()
    with pytest.raises(SourceBroken, match=r"Of 27 records of tickets 20 cannot be used; first, 'id' of record 8"):
        next(pages)  # so that no page, and no state, was given


def test_some_unusable_rows_do_not_stop_the_stream(desk, pull):
    desk.size = 100
    for number in range(100, 119):
        desk.put(number, at=NOON - timedelta(minutes=1), id=None)

    assert len(pull().problems) == 19


@pytest.mark.parametrize(
    ("reply", "error", "told"),
    [
        ((200, {"Content-Type": "application/json"}, '{"tickets": [{"id": 1,'), SourceUnavailable, "stops half-way"),
        ((200, {"Content-Type": "text/html"}, "<html>"), SourceBroken, "text/html, not with JSON"),
        ((200, {"Content-Type": "application/json"}, '{"tikets": []}'), SourceBroken, "it has: 'tikets'"),
        ((200, {"Content-Type": "application/json"}, '[{"id": 1}]'), SourceBroken, "it has: list"),
        ((302, {"Location": "https://evil.example.com/"}, ""), SourceRefused, "which we do not follow"),
    ],
)
def test_answer_that_makes_no_sense_is_told(desk, pull, reply, error, told):
    desk.faults.extend([reply] * ATTEMPTS)

    with pytest.raises(error, match=told):
        pull()


# 7. Drift


def test_new_field_and_changed_type_are_noticed_once_they_come(desk, pull, clock):
    desk.put(2, hours=1, at=NOON - timedelta(minutes=1))
    first = pull()
    clock.move(minutes=1)
    desk.put(1, priority="high", custom={"team": 7})
    desk.put(2, hours="1 h")
    clock.move(minutes=1)

    second = pull(first.state)

    told = {problem.column: problem.message for problem in second.problems}
    assert first.problems == []
    assert told.keys() == {"priority", "custom", "hours"}
    assert "new field of type text" in told["priority"]
    assert "was number, now it is text as well" in told["hours"]
    assert {problem.column for problem in pull(second.state).problems} == told.keys()  # still told


def test_block_that_comes_is_one_notice_and_what_comes_into_it_later_one_each(desk, pull, clock):
    desk.put(1, custom=None, at=NOON - timedelta(minutes=1))
    first = pull()
    clock.move(minutes=1)
    desk.put(1, custom={"team": 7, "skill": "a", "level": None})
    desk.put(2, custom={"team": 7, "shift": "late", "level": 2})
    clock.move(minutes=1)
    second = pull(first.state)
    desk.put(3, custom={"team": 7, "shift": "late", "rank": 2})
    clock.move(minutes=1)
    third = pull(second.state)

    assert [problem.column for problem in second.problems] == ["custom"]
    assert {problem.column for problem in third.problems} == {"custom", "custom.rank"}


def test_notices_end_after_a_month(desk, pull, clock):
    state = pull().state
    clock.move(minutes=1)
    desk.put(1, priority="high")
    clock.move(minutes=1)
    state = pull(state).state
    clock.move(days=31)

    assert pull(state).problems == []


# Deletions


def test_flag_makes_a_row_a_deletion(desk, pull):
    desk.put(3, status="deleted", at=NOON - timedelta(minutes=1))

    rows = pull(deleted={"type": "flag", "field": "status", "is": ["deleted", "spam"]}).rows

    assert [row.key for row in rows if row.deleted] == ["3"]
    assert [row.cursor for row in rows if row.deleted] == [("2026-11-20T11:59:00.000000Z",)]


@pytest.mark.parametrize(("value", "deleted"), [(True, True), (1, False), ("true", False), (None, False)])
def test_flag_is_compared_as_json_does(desk, pull, value, deleted):
    desk.put(3, gone=value)
    desk.put(3, at=NOON - timedelta(minutes=1))

    rows = pull(deleted={"type": "flag", "field": "gone", "is": True}).rows

    assert any(row.deleted for row in rows) is deleted


def test_feed_tells_of_deletions_in_a_lane_of_its_own(desk, pull, clock):
    feed = {
        "type": "feed",
        **{key: DOCUMENT[key] for key in ("page", "records", "cursor")},
        "request": {"path": "/deleted", "params": {"since": "{low}"}},
        "key": "ticket_id",
    }
    desk.deletions = [{"id": 900, "ticket_id": 4, "updated_at": iso(NOON - timedelta(minutes=2))}]

    first = pull(deleted=feed)
    clock.move(minutes=1)
    second = pull(first.state, deleted=feed)

    assert [(row.key, row.deleted) for row in first.rows][-2:] == [("7", False), ("4", True)]
    assert [row.key for row in second.rows if row.deleted] == ["4"]  # only since the feed's own watermark
    assert desk.asked[-1]["since"] == iso(NOON - timedelta(minutes=2))


# What is pulled as a whole, and what does not matter


def test_stream_without_a_window_is_read_as_a_whole_each_time(desk, pull, clock):
    keys = {"request": {"path": "/tickets"}, "cursor": ..., "page": {"type": "link_header"}}

    first = pull(**keys)
    again = pull(first.state, **keys)

    assert first.keys == again.keys == ["1", "2", "3", "4", "5", "6", "7"]
    assert {row.cursor for row in first.rows} == {None}


def test_left_out_fields_do_not_make_versions(desk, pull):
    desk.put(1, at=NOON - timedelta(minutes=1), viewed={"count": 1, "by": "ann"})
    before = {row.key: row.content_hash for row in pull(omit=["viewed.count"]).rows}
    desk.put(1, at=NOON - timedelta(minutes=1), viewed={"count": 2, "by": "ann"})

    after = pull(omit=["viewed.count"]).rows

    assert {row.key: row.content_hash for row in after} == before
    assert after[-1].data["viewed"] == {"by": "ann"}


def test_record_that_an_answer_has_twice_is_one_version(desk, pull):
    record = {"id": 1, "updated_at": "2026-11-20T10:00:00Z"}
    desk.faults.append(desk.reply({"tickets": [record, record, record | {"state": "new"}]}))

    rows = pull(cursor=..., request={"path": "/tickets"}).rows  # without a cursor each would count as a change

    assert [row.data.get("state") for row in rows] == [None, "new"]


def test_changed_document_reads_all_again_but_not_for_its_name(desk, pull, clock):
    state = pull().state

    assert len(pull(state, title="Tickets", every="5m", cursor=cursor(lookback="1s")).keys) == 1
    assert len(pull(state, omit=["subject"]).keys) == 7
