"""What a performance document may hold, what is said about one that is wrong, and what a change of it touches."""

import pytest

from bridge.mapping import MappingError
from bridge.mapping.business import Calendar
from bridge.mapping.kinds import OwnerForm, OwnerKind
from bridge.mapping.money import Money

DOCUMENT = """\
kind: performance
name: tickets
source: desk
{more}
metrics:
  - name: hours
    family: duration
    direction: down
    owner: {owner}
    occurred_at: row.closed
    value: {value}
"""


@pytest.fixture
def document(load):
    def load_document(more="title: x", owner="row.owner", value="row.value", metric=""):
        text = DOCUMENT.replace("{more}", more).replace("{owner}", owner).replace("{value}", value) + metric
        [found] = load(text).performance
        return found

    return load_document


@pytest.fixture
def complaint(document):
    """Give (line, column, text, remedy) of the one thing that is wrong."""

    def complain(**parts):
        with pytest.raises(MappingError) as caught:
            document(**parts)
        [problem] = caught.value.problems
        return problem.line, problem.column, problem.text, problem.remedy

    return complain


def test_a_calendar_is_read_as_it_is_meant(document):
    more = """\
calendar:
  timezone: Europe/Berlin
  days: [sat, mon, mon]
  hours: ["22:00 - 6:00", "13:00-17:00", "9:00-12:00"]
  holidays: [2026-12-25, 2026-01-01, 2026-12-25]"""

    assert document(more).calendar == Calendar(
        "Europe/Berlin", (0, 5), ((540, 720), (780, 1020), (1320, 360)), ("2026-01-01", "2026-12-25")
    )


def test_a_calendar_without_days_is_that_of_workdays(document):
    calendar = document('calendar: {timezone: UTC, hours: "00:00-24:00"}').calendar

    assert calendar == Calendar("UTC", (0, 1, 2, 3, 4), ((0, 1440),))


def test_rates_are_read_as_they_are_written(document):
    more = """\
money:
  base: USD
  rates: {EUR: 1.08, JPY: '0.0067', GBP: [{from: 2026-07-01, rate: 1.3}, {from: 2026-01-01, rate: 1}]}"""

    assert document(more).money == Money(
        "USD",
        {"EUR": (("", "1.08"),), "JPY": (("", "0.0067"),), "GBP": (("2026-01-01", "1"), ("2026-07-01", "1.3"))},
    )


@pytest.mark.parametrize(
    ("owner", "form", "kind"),
    [
        ("row.owner", OwnerForm.IS, OwnerKind.USER),
        ("{is: row.mail, as: email}", OwnerForm.IS, OwnerKind.EMAIL),
        ("{at_the_time: row.owner}", OwnerForm.AT_THE_TIME, OwnerKind.USER),
        ("{by_history: {list: row.log, owner: item.to, at: item.at}}", OwnerForm.BY_HISTORY, OwnerKind.USER),
        ("{shared_by_time: row.number, from: row.opened, to: row.closed, as: employee}", OwnerForm.SHARED_BY_TIME,
         OwnerKind.EMPLOYEE),
        ("{split: {list: row.team, owner: item}}", OwnerForm.SPLIT, OwnerKind.USER),
    ],
)  # fmt: skip
def test_an_owner_is_told_in_one_of_these_forms(document, owner, form, kind):
    [rule] = document("changed_at: row.updated", owner).metrics

    assert (rule.owner.form, rule.owner.kind) == (form, kind)


@pytest.mark.parametrize(
    ("more", "place", "text", "remedy"),
    [
        ('calendar: {timezone: Europe/Berln, hours: "09:00-17:00"}', (4, 22), "'Europe/Berln' is no time zone",
         "Did you mean 'Europe/Berlin'?"),
        ('calendar: {timezone: europe/berlin, hours: "09:00-17:00"}', (4, 22), "'europe/berlin' is no time zone",
         "Did you mean 'Europe/Berlin'?"),
        ('calendar: {timezone: ../../etc/passwd, hours: "09:00-17:00"}', (4, 22), "'../../etc/passwd' is no time zone",
         "Write one like Europe/Berlin or UTC."),
        ('calendar: {hours: "09:00-17:00"}', (4, 11), "The key 'timezone' is missing", "Add `timezone: ...`."),
        ("calendar: {timezone: UTC}", (4, 11), "The key 'hours' is missing", "Add `hours: ...`."),
        ("calendar: {timezone: UTC, hours: 9-17}", (4, 34), "'9-17' is no window of hours",
         'Write it like "09:00-17:00"; 24:00 is the end of a day.'),
        ('calendar: {timezone: UTC, hours: ["08:00-24:01"]}', (4, 35), "'08:00-24:01' is no window of hours",
         'Write it like "09:00-17:00"; 24:00 is the end of a day.'),
        ('calendar: {timezone: UTC, hours: "24:00-06:00"}', (4, 34), "'24:00-06:00' is no window of hours",
         'Write it like "09:00-17:00"; 24:00 is the end of a day.'),
        ('calendar: {timezone: UTC, hours: "09:00-09:00"}', (4, 34), "'09:00-09:00' ends when it begins",
         'The whole day is "00:00-24:00".'),
        ('calendar: {timezone: UTC, hours: ["09:00-13:00", "12:00-17:00"]}', (4, 34), "Two of these windows overlap",
         "Make one of them, or let each end before the next begins."),
        ('calendar: {timezone: UTC, hours: ["22:00-06:00", "05:00-12:00"]}', (4, 34), "Two of these windows overlap",
         "Make one of them, or let each end before the next begins."),
        ('calendar: {timezone: UTC, hours: "09:00-17:00", days: [mon, tues]}', (4, 61), "'tues' cannot stand in `days`",
         "Did you mean 'tue'?"),
        ('calendar: {timezone: UTC, hours: "09:00-17:00", holidays: [25.12.2026]}', (4, 60),
         "'25.12.2026' is no date", "Write it like 2026-12-25."),
        ('calendar: {timezone: UTC, hours: "09:00-17:00", holidays: [0026-12-25]}', (4, 60),
         "'0026-12-25' is not between 1970 and 2199", "Check the year."),
        ("money: {base: usd}", (4, 15), "'usd' is no currency", "Write its three capital letters, like EUR."),
        ("money: {rates: {EUR: 1}}", (4, 8), "The key 'base' is missing", "Add `base: ...`."),
        ("money: {base: USD, rates: {USD: 1}}", (4, 28), "'USD' is the base currency, so its rate is 1",
         "Take it away."),
        ("money: {base: USD, rates: {EUR: 0.0}}", (4, 33), "A rate is more than 0",
         "Write what one unit is worth in the base currency, like 1.08."),
        ("money: {base: USD, rates: {EUR: '1,08'}}", (4, 33), "'1,08' is no rate",
         "Write what one unit is worth in the base currency, like 1.08."),
        ("money: {base: USD, rates: {EUR: []}}", (4, 33), "'rates' is an empty list", "Add at least one item."),
        ("money: {base: USD, rates: {EUR: [{from: 2026-01-01}]}}", (4, 34), "The key 'rate' is missing",
         "Add `rate: ...`."),
        ("money: {base: USD, rates: {EUR: [{from: 2026-01-01, rate: 1}, {from: 2026-01-01, rate: 2}]}}", (4, 70),
         "There are two rates from 2026-01-01 on", "Keep one."),
        ("when: business_hours(row.a, row.b) > 1.0", (4, 7),
         "business_hours() needs the document's `calendar`, and there is none",
         'Add `calendar: {timezone: ..., hours: "09:00-17:00"}` to the document.'),
    ],
)  # fmt: skip
def test_a_part_that_is_wrong_is_told_with_its_place_and_remedy(complaint, more, place, text, remedy):
    assert complaint(more=more) == (*place, text, remedy)


FORMS = "is, at_the_time, by_history, shared_by_time, split"


@pytest.mark.parametrize(
    ("owner", "column", "text", "remedy"),
    [
        ("{}", 12, f"An owner is told by one of {FORMS}", "Write one of them."),
        ("{is: row.a, at_the_time: row.b}", 12, f"An owner is told by one of {FORMS}", "Write one of them."),
        ("{at_teh_time: row.a, is: row.a}", 13, "The key 'at_teh_time' is not known here",
         "Did you mean 'at_the_time'?"),
        ("{by_history: {list: row.log, owner: item.to}}", 25, "The key 'at' is missing", "Add `at: ...`."),
        ("{split: {list: row.team, owner: itm.user}}", 44, "There is no variable 'itm' here", "Did you mean 'item'?"),
        ("{is: item.user}", 17, "There is no variable 'item' here", "The variables known here: row."),
        ("{shared_by_time: row.a, from: row.b}", 29, "The key 'to' is missing beside it", "Add `to: ...`."),
        ("{is: row.a, from: row.b}", 24, "'from' goes with shared_by_time", "Take it away."),
        ("{is: row.a, as: mail}", 28, "'mail' cannot stand in `as`", "Did you mean 'email'?"),
        ("{is: row.a, as: account}", 28, "An account is one of a platform, and none is named",
         "Add `home_page: \"'https://lms.example.com'\"`."),
        ("{is: row.a, home_page: row.b}", 24, "'home_page' goes with accounts", "Add `as: account`, or take it away."),
        ("17", 12, "'17' is a number, an expression is expected", 'Put it in quotes: "..."'),
    ],
)  # fmt: skip
def test_an_owner_that_is_wrong_is_told_with_its_place_and_remedy(complaint, owner, column, text, remedy):
    assert complaint(more="changed_at: row.updated", owner=owner) == (9, column, text, remedy)


@pytest.mark.parametrize("form", ["at_the_time: row.a", "shared_by_time: row.a, from: row.b, to: row.c"])
def test_who_looks_back_must_know_when_versions_came_to_be(complaint, form):
    assert complaint(owner=f"{{{form}}}") == (
        9,
        13,
        f"'{form.partition(':')[0]}' needs to know when each version of a record came to be",
        "Add `changed_at: row....`, the time of the last change, to the document.",
    )


def test_functions_need_what_they_reckon_by(complaint):
    assert complaint(value="money(row.amount, row.currency, row.closed)") == (
        11,
        12,
        "money() needs the document's `money`, and there is none",
        "Add `money: {base: USD, rates: {EUR: ...}}` to the document.",
    )


LEARNING = """\
kind: learning
name: lms
rules:
  - name: late
    fact: completed
    when: business_hours(statement.stored, statement.timestamp) > 8.0
"""
IDENTITY = """\
kind: identity
name: people
rosters:
  - source: desk
    aliases: [{mbox: row.mail}]
    learner: string(money(row.a, row.b, row.c))
---
kind: source
name: desk
type: csv
"""


@pytest.mark.parametrize(("text", "function"), [(LEARNING, "business_hours"), (IDENTITY, "money")])
def test_other_documents_have_nothing_to_reckon_by(load, text, function):
    with pytest.raises(MappingError) as caught:
        load(text)

    [problem] = caught.value.problems
    assert (problem.line, problem.text) == (6, f"{function}() is not there in documents of this kind")
    assert problem.remedy == "Only a `performance` document says what it reckons by."


@pytest.mark.parametrize(
    ("key", "text", "remedy"),
    [
        ("ownr", "'ownr' is required, but this metric does not read it", "Did you mean 'owner'?"),
        ("weight", "'weight' is required, but this metric does not read it",
         "Add `weight: ...`, or take it off this list."),
    ],
)  # fmt: skip
def test_only_what_is_read_can_be_required(complaint, key, text, remedy):
    assert complaint(metric=f"    required: [value, {key}]\n") == (12, 23, text, remedy)


CALENDAR = 'calendar: {timezone: UTC, hours: "09:00-17:00"}'
MONEY = "money: {base: USD, rates: {EUR: 1.08}}"
REST = f"{CALENDAR}\n{MONEY}\nchanged_at: row.updated"


@pytest.fixture
def content(load):
    """Give the content hash of the metric's rule."""

    def content_of(more=REST, owner="row.owner", value="row.value", metric="", before=lambda text: text):
        text = DOCUMENT.replace("{more}", more).replace("{owner}", owner).replace("{value}", value) + metric
        [key] = load(before(text)).rules
        assert (key.kind, key.document, key.name, key.metric) == ("performance", "tickets", "hours", "hours")
        return key.content_hash

    return content_of


@pytest.mark.parametrize(
    "change",
    [
        {"more": f"{REST}\ntitle: Other"},
        {"metric": "    title: Other\n    description: Other.\n    unit: h\n"},
        {"owner": "{is: row.owner}"},  # says the same
        {"more": f"{MONEY}\nchanged_at: row.updated"},  # not used
        {"more": f"{CALENDAR}\nchanged_at: row.updated"},
        {"more": f"{CALENDAR}\n{MONEY}\nchanged_at: row.other"},
        {"before": lambda text: text.replace("down", "up").replace("duration", "count")},
        {"before": lambda text: "# A comment.\n" + text},
    ],
)
def test_what_does_not_decide_the_facts_leaves_the_rule_as_it_is(content, change):
    assert content(**change) == content()


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({}, {"value": "row.other"}),
        ({}, {"owner": "{is: row.owner, as: email}"}),
        ({}, {"metric": "    weight: row.size\n"}),
        ({}, {"metric": "    required: [value]\n"}),
        ({}, {"metric": "    when: row.value != null\n"}),
        ({}, {"more": f"{REST}\nwhen: row.value != null"}),
        ({}, {"before": lambda text: text.replace("source: desk", "source: other")}),
        ({"owner": "{at_the_time: row.owner}"}, {"more": "changed_at: row.other"}),
        ({"value": "business_hours(row.a, row.b)"}, {"more": REST.replace("UTC", "CET")}),
        ({"metric": "    when: business_hours(row.a, row.b) > 1.0\n"}, {"more": REST.replace("17:00", "18:00")}),
        ({"more": f"{REST}\nwhen: business_hours(row.a, row.b) > 1.0"},
         {"more": f"{REST}\nwhen: business_hours(row.a, row.b) > 1.0".replace("UTC", "CET")}),
        ({"value": "money(row.a, row.b, row.c)"}, {"more": REST.replace("1.08", "1.09")}),
        ({"owner": "{split: {list: row.a, owner: item, share: 'money(1, row.b, row.c)'}}"},
         {"more": REST.replace("1.08", "1.09")}),
    ],
)  # fmt: skip
def test_what_decides_the_facts_makes_another_rule_of_it(content, base, change):
    assert content(**base | change) != content(**base)
