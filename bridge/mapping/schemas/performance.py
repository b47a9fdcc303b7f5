"""What a `performance` document may hold."""

import difflib
import re
import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache, partial
from typing import Any, ClassVar

from marshmallow import ValidationError, post_load, validates_schema

from bridge.mapping import kinds
from bridge.mapping.business import Calendar
from bridge.mapping.expressions import Expression
from bridge.mapping.fields import EXPRESSION, Choice, Complaint, Day, Items, Name, Named, Part, Text, Texts, complaint
from bridge.mapping.kinds import OwnerForm
from bridge.mapping.money import CODE, Money
from bridge.mapping.problems import nearest, shown
from bridge.mapping.schemas import common
from bridge.mapping.schemas.common import DocumentSchema, Strict, arguments, refuse_twins

_WINDOW = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9]) ?- ?([01]?[0-9]|2[0-4]):([0-5][0-9])")
_RATE = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")


row = partial(common.row, supplied=True)


class _Listed(Strict):
    """A list in the row; `owner` and what else is said of an entry are read from `item`."""

    list = row(required=True, wants="list")
    owner = row(required=True, wants="text", extra=("item",))


class _History(_Listed):
    at = row(required=True, wants="moment", extra=("item",))


class _Split(_Listed):
    share = row(wants="number", extra=("item",))


class _Owner(Strict):
    """Whose it is, in one of the forms; the keys with an underscore are words of Python's."""

    json_schema: ClassVar[Mapping[str, Any]] = {"oneOf": [{"required": [form.value]} for form in OwnerForm]}

    is_ = row(data_key="is", wants="text")
    at_the_time = row(wants="text")
    by_history = Part(_History)
    shared_by_time = row(wants="text")
    from_ = row(data_key="from", wants="moment")
    to = row(wants="moment")
    split = Part(_Split)
    as_ = Choice(kinds.OwnerKind, data_key="as", load_default=kinds.OwnerKind.USER)
    home_page = row(wants="text")

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def hold_one(self, _: object, original: object, **__: object) -> None:
        """Refuse several forms, none, and keys that go with another one."""
        if not isinstance(original, dict):
            return
        forms = [form for form in OwnerForm if form in original]
        if len(forms) != 1:
            raise complaint(f"An owner is told by one of {', '.join(OwnerForm)}", "Write one of them.")
        wrong: dict[str, list[Complaint]] = {}
        for key in ("from", "to"):
            if forms[0] is OwnerForm.SHARED_BY_TIME and key not in original:
                wrong["shared_by_time"] = [Complaint(f"The key {key!r} is missing beside it", f"Add `{key}: ...`.")]
            if forms[0] is not OwnerForm.SHARED_BY_TIME and key in original:
                wrong[key] = [Complaint(f"{key!r} goes with shared_by_time", "Take it away.", about_key=True)]
        account = original.get("as") == kinds.OwnerKind.ACCOUNT
        if account and "home_page" not in original:
            remedy = "Add `home_page: \"'https://lms.example.com'\"`."
            wrong["as"] = [Complaint("An account is one of a platform, and none is named", remedy)]
        if not account and "home_page" in original:
            text = "'home_page' goes with accounts"
            wrong["home_page"] = [Complaint(text, "Add `as: account`, or take it away.", about_key=True)]
        if wrong:
            raise ValidationError(wrong)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Owner:
        """Give the owner."""
        form = next(form for form in OwnerForm if data.get(_PYTHON.get(form, form)) is not None)
        of_form = data[_PYTHON.get(form, form)]
        if form is OwnerForm.SHARED_BY_TIME:
            values = {form.value: of_form, "from": data["from_"], "to": data["to"]}
        else:
            values = of_form if isinstance(of_form, dict) else {form.value: of_form}
        return kinds.Owner(form, values, data["as_"], data.get("home_page"))


_PYTHON = {OwnerForm.IS: "is_"}
"""The forms whose field has another name than the key."""


class _OwnerField(Part):
    """An expression for the owner in the newest version, or a map that says more."""

    json_schema_else = EXPRESSION

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - as marshmallow has them
        super().__init__(_Owner, **settings)

    def _deserialize(self, value: Any, *rest: Any, **settings: Any) -> Any:  # noqa: ANN401 - as marshmallow has it
        if isinstance(value, dict):
            return super()._deserialize(value, *rest, **settings)
        return kinds.Owner(OwnerForm.IS, {OwnerForm.IS.value: row(wants="text").read(value)})


class _Metric(Strict):
    name = Name(word=True, required=True)
    title = Text()
    description = Text(load_default="")
    unit = Text(load_default="")
    family = Choice(kinds.Family, required=True)
    direction = Choice(kinds.Direction, required=True)
    when = row(wants="flag")
    owner = _OwnerField(required=True)
    occurred_at = row(required=True, wants="moment")
    value = row(required=True, wants="number")
    weight = row(wants="number")
    required = Items(Text(), least=1)

    @validates_schema
    def require_what_is_there(self, data: dict[str, Any], **_: object) -> None:
        """Refuse names of other keys in `required`."""
        keys = ("owner", "occurred_at", "value", "weight")
        wrong = {
            place: [
                Complaint(f"{shown(key)} is required, but this metric does not read it", _remedy(key, keys)),
            ]
            for place, key in enumerate(data.get("required", []))
            if key not in keys or key not in data
        }
        if wrong:
            raise ValidationError({"required": wrong})


def _remedy(key: str, keys: Sequence[str]) -> str:
    return f"Add `{key}: ...`, or take it off this list." if key in keys else nearest(key, keys, what="keys")


class Weekday(StrEnum):
    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class _Zone(Text):
    """A time zone of the IANA database."""

    def read(self, value: object) -> str:
        name = super().read(value)
        known = _zones()
        if name not in known.values():
            near = difflib.get_close_matches(name.lower()[:100], known, n=1)
            remedy = f"Did you mean {known[near[0]]!r}?" if near else "Write one like Europe/Berlin or UTC."
            raise complaint(f"{shown(name)} is no time zone", remedy)
        return name


@cache
def _zones() -> dict[str, str]:
    """Give all time zones by their names in lower case."""
    return {name.lower(): name for name in zoneinfo.available_timezones()}


def _window(text: str) -> str:
    found = _WINDOW.fullmatch(text)
    begin, end = _minutes(text) if found else (0, 0)
    if not found or begin >= 1440 or end > 1440:
        raise complaint(
            f"{shown(text)} is no window of hours", 'Write it like "09:00-17:00"; 24:00 is the end of a day.'
        )
    if begin == end:
        raise complaint(f"{shown(text)} ends when it begins", 'The whole day is "00:00-24:00".')
    return text


def _minutes(window: str) -> tuple[int, int]:
    """Give where a window begins and ends, in minutes of the day."""
    numbers = [int(number) for number in re.findall("[0-9]+", window)]
    return numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]


class _Calendar(Strict):
    timezone = _Zone(required=True)
    days = Items(Choice(Weekday), least=1, load_default=lambda: list(Weekday)[:5])
    hours = Texts(_window, required=True)
    holidays = Items(Day())

    @validates_schema
    def be_apart(self, data: dict[str, Any], **_: object) -> None:
        """Refuse windows that overlap, also with what goes over midnight."""
        windows = sorted(map(_minutes, data["hours"]))
        ends = [end if end > begin else 1440 + end for begin, end in windows]
        begins = [begin for begin, _ in windows]
        if any(end > begin for end, begin in zip(ends, [*begins[1:], begins[0] + 1440], strict=True)):
            remedy = "Make one of them, or let each end before the next begins."
            raise ValidationError({"hours": [Complaint("Two of these windows overlap", remedy)]})

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Calendar:
        """Give the calendar."""
        numbers = {day: number for number, day in enumerate(Weekday)}
        return Calendar(
            timezone=data["timezone"],
            days=tuple(sorted({numbers[day] for day in data["days"]})),
            hours=tuple(sorted(map(_minutes, data["hours"]))),
            holidays=tuple(sorted(set(data.get("holidays", ())))),
        )


class _Currency(Text):
    """A currency's code."""

    @property
    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{CODE.pattern}$"}

    def read(self, value: object) -> str:
        code = super().read(value)
        if not CODE.fullmatch(code):
            raise complaint(f"{shown(code)} is no currency", "Write its three capital letters, like EUR.")
        return code


_RATE_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": f"^{_RATE.pattern}$"}]
}


class _Rate(Text):
    """A positive number, kept as it is written."""

    @property
    def json_schema(self) -> dict[str, Any]:
        return _RATE_SCHEMA

    def read(self, value: object) -> str:
        text = str(value)
        if isinstance(value, bool) or not isinstance(value, int | float | str) or not _RATE.fullmatch(text):
            raise complaint(
                f"{shown(value)} is no rate", "Write what one unit is worth in the base currency, like 1.08."
            )
        if not float(text):
            raise complaint("A rate is more than 0", "Write what one unit is worth in the base currency, like 1.08.")
        return text


class _Since(Strict):
    from_ = Day(required=True, data_key="from")
    rate = _Rate(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> tuple[str, str]:
        """Give from when on which rate holds."""
        return data["from_"], data["rate"]


class _Rates(Items):
    """A rate that always holds, or a list of those that hold from a day on."""

    json_schema_else = _RATE_SCHEMA

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **settings: Any) -> Any:  # noqa: ANN401 - as marshmallow has it
        if not isinstance(value, list):
            return (("", _Rate().read(value)),)
        found = super()._deserialize(value, attr, data, **settings)
        days = [day for day, _ in found]
        twins = {
            place: {"from": [Complaint(f"There are two rates from {day} on", "Keep one.")]}
            for place, day in enumerate(days)
            if day in days[:place]
        }
        if twins:
            raise ValidationError(twins)
        return tuple(sorted(found))


class _Money(Strict):
    base = _Currency(required=True)
    rates = Named(keys=_Currency(), values=_Rates(Part(_Since), least=1), load_default=dict)

    @validates_schema
    def need_no_rate_of_the_base(self, data: dict[str, Any], **_: object) -> None:
        """Refuse a rate of the base currency."""
        if data["base"] in data["rates"]:
            text = f"{data['base']!r} is the base currency, so its rate is 1"
            raise ValidationError({"rates": {data["base"]: [Complaint(text, "Take it away.", about_key=True)]}})

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Money:
        """Give the currencies."""
        return Money(data["base"], data["rates"])


_NEEDED = {
    "business_hours": ("calendar", 'Add `calendar: {timezone: ..., hours: "09:00-17:00"}` to the document.'),
    "money": ("money", "Add `money: {base: USD, rates: {EUR: ...}}` to the document."),
}
"""What a document must say for a function, and how."""


class PerformanceSchema(DocumentSchema):
    source = Name(required=True)
    when = row(wants="flag")
    changed_at = row(wants="moment")
    calendar = Part(_Calendar)
    money = Part(_Money)
    metrics = Items(Part(_Metric), required=True, least=1)

    @validates_schema
    def refuse_twins(self, data: dict[str, Any], **_: object) -> None:
        """Refuse two metrics of one name."""
        refuse_twins("metrics", [metric["name"] for metric in data["metrics"]])

    @validates_schema
    def say_what_is_needed(self, data: dict[str, Any], **_: object) -> None:
        """Refuse functions and owners that need a part of the document that is not there."""
        wrong: dict[str, Any] = {}
        for key in ("when", "changed_at"):
            if found := [*_missing(data.get(key), data)]:
                wrong[key] = found
        places = {place: _missing_in(metric, data) for place, metric in enumerate(data["metrics"])}
        if metrics := {place: found for place, found in places.items() if found}:
            wrong["metrics"] = metrics
        if wrong:
            raise ValidationError(wrong)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Performance:
        """Give the performance document."""
        metrics = [_rule(metric, data["source"]) for metric in data["metrics"]]
        return kinds.Performance(**arguments(data | {"metrics": metrics}, "metrics"))


def _missing_in(metric: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Give the complaints about a metric's expressions, by key."""
    found = {key: [*_missing(metric.get(key), document)] for key in ("when", "occurred_at", "value", "weight")}
    owner: kinds.Owner = metric["owner"]
    found["owner"] = [problem for expression in owner.values.values() for problem in _missing(expression, document)]
    if owner.looks_back and "changed_at" not in document:
        text = f"{owner.form.value!r} needs to know when each version of a record came to be"
        remedy = "Add `changed_at: row....`, the time of the last change, to the document."
        return found | {"owner": {owner.form.value: [Complaint(text, remedy, about_key=True)]}}
    return {key: problems for key, problems in found.items() if problems}


def _missing(expression: Expression | None, document: dict[str, Any]) -> Iterator[Complaint]:
    for name in expression.functions if expression else ():
        key, remedy = _NEEDED.get(name, ("kind", ""))
        if key not in document:
            yield Complaint(f"{name}() needs the document's `{key}`, and there is none", remedy)


def _rule(data: dict[str, Any], source: str) -> kinds.MetricRule:
    described = {name: data[name] for name in ("name", "description", "unit", "family", "direction")}
    return kinds.MetricRule(
        metric=kinds.Metric(**described, title=data.get("title", data["name"]), source=source),
        owner=data["owner"],
        occurred_at=data["occurred_at"],
        value=data["value"],
        weight=data.get("weight"),
        when=data.get("when"),
        required=tuple(sorted(set(data.get("required", ())))),
    )
