"""What `/api/v1` answers, as schemas: for `/api/v1/openapi.json`, and for the test that holds answers against it.

Every key is always there, unless it says otherwise; nothing else is.
"""

from typing import Any

import marshmallow
from marshmallow import fields

from connectors import ColumnType


def _text(*, null: bool = False, **settings: Any) -> fields.String:  # noqa: ANN401 - as marshmallow has them
    return fields.String(required=True, allow_none=null, **settings)


def _about(words: str) -> dict[str, str]:
    return {"description": words}


def _time(*, null: bool = False, words: str = "") -> fields.DateTime:
    return fields.DateTime(required=True, allow_none=null, metadata=_about(words) if words else {})


def _number(*, null: bool = False) -> fields.Float:
    return fields.Float(required=True, allow_none=null)


def _whole(*, null: bool = False) -> fields.Integer:
    return fields.Integer(required=True, allow_none=null)


def _texts() -> fields.List[Any]:
    return fields.List(fields.String(), required=True)


def _map(words: str, *, null: bool = False) -> fields.Dict:
    return fields.Dict(keys=fields.String(), required=True, allow_none=null, metadata=_about(words))


def _many(schema: type[marshmallow.Schema]) -> fields.List[Any]:
    return fields.List(fields.Nested(schema), required=True)


class Answer(marshmallow.Schema):
    """The base of all: nothing but what is named."""

    class Meta:
        unknown = marshmallow.RAISE


class Open(marshmallow.Schema):
    """The base of those that say a part of what is there."""

    class Meta:
        unknown = marshmallow.INCLUDE


class _Page(Answer):
    next = _text(null=True, metadata=_about("The path of the page after this one; null: there is none."))


# --- errors ----------------------------------------------------------------------------------------------------------


class Place(Answer):
    """Where something is wrong, and what to do."""

    detail = _text()
    parameter = fields.String(metadata=_about("Of the query."))
    pointer = fields.String(metadata=_about("Into the body (RFC 6901)."))


class Problem(Answer):
    """What went wrong (RFC 9457)."""

    type = _text()
    title = _text()
    status = _whole()
    detail = _text(metadata=_about("For a person, with what to do."))
    errors = fields.List(fields.Nested(Place), metadata=_about("Each place that is wrong, where there are places."))
    scope = fields.String(metadata=_about("The scope that is lacking."))


# --- people ----------------------------------------------------------------------------------------------------------


class ListedLearner(Answer):
    key = _text()
    name = _text(null=True)
    attributes = _map("Those in force today; to a narrowed key only those that programs go by.")
    aliases = _whole()


class Learners(_Page):
    items = _many(ListedLearner)


class Period(Answer):
    attribute = _text()
    value = _text()
    first = fields.Date(required=True, allow_none=True, data_key="from", metadata=_about("The first day."))
    to = fields.Date(required=True, allow_none=True, metadata=_about("The last day."))


class Alias(Answer):
    alias = _text()
    rule = _text(null=True)
    name = _text(null=True)


class Decision(Answer):
    """What a person decided about who is who."""

    id = _whole()
    kind = _text(validate=marshmallow.validate.OneOf(["merge", "split"]))
    learner = _text(null=True)
    other = _text(null=True)
    aliases = _texts()
    because = _text(null=True)
    made_by = _text()
    made_at = _time()
    undone_by = _text(null=True)
    undone_at = _time(null=True)
    undone_because = _text(null=True)


class Learner(Answer):
    key = _text()
    name = _text(null=True)
    attributes = _map("As of the list.")
    periods = _many(Period)
    aliases = _many(Alias)
    history = fields.List(
        fields.Nested(Decision), required=True, metadata=_about("Empty for a narrowed key, which is told of none.")
    )


class Waiting(Answer):
    alias = _text()
    name = _text(null=True)
    rule = _text(null=True)
    facts = _whole()


class Unmatched(_Page):
    items = _many(Waiting)


class Suggestion(Answer):
    alias = _text()
    name = _text()
    facts = _whole()
    learner = _text()
    learner_name = _text()
    to_accept = _text(metadata=_about("The command that accepts it."))


class Suggestions(Answer):
    items = _many(Suggestion)


class Difference(Answer):
    kind = _text()
    subject = _text(metadata=_about("The key of the record, row, statement, alias or learner."))
    state = _text(metadata=_about("`repaired`, or `open`: for a person."))
    text = _text()


class Reconciliation(Answer):
    """One comparison of what is held here with what somebody else holds."""

    area = _text()
    name = _text()
    started_at = _time()
    ended_at = _time(null=True, words="Null: it is under way, or was killed.")
    agreed = _whole()
    differed = _whole()
    kinds = _map("How many differences of each kind.")
    repaired = _whole()
    needs_a_person = _whole()
    on_their_way = _whole()
    note = _text(null=True)
    error = _text(null=True)
    differences = _many(Difference)


class Reconciliations(Answer):
    items = _many(Reconciliation)


class Decisions(_Page):
    items = _many(Decision)


# --- programs --------------------------------------------------------------------------------------------------------


class Gap(Answer):
    path = _text()
    text = _text()
    remedy = _text()


class Edit(Answer):
    at = _time()
    by = _text()


class ListedProgram(Answer):
    name = _text()
    title = _text()
    state = _text()
    gaps = _many(Gap)
    warnings = _texts()
    launched_at = _time(null=True)
    contract = _whole(null=True)
    contract_hash = _text(null=True)
    changed_since_launch = _texts()
    edited = fields.Nested(Edit, required=True, allow_none=True)


class Programs(Answer):
    items = _many(ListedProgram)


class Event(Answer):
    what = _text()
    at = _time()
    by = _text()
    because = _text(null=True)
    contract_hash = _text()
    details = _map("What belongs to it; empty for a narrowed key.")


class Program(ListedProgram):
    document = _map("As `lrs-bridge mapping schema program` describes it.")
    agreed = _map("The document as it was launched.", null=True)
    history = _many(Event)


class ChangedProgram(Open):
    """As of GET; of a program that no file says any more its name and state alone."""

    name = _text()
    state = _text()


class Impact(Open):
    """As `lrs-bridge impact NAME --json` prints it; `bridge/impact/README.md` says what each key means."""

    program = _text()
    computed_at = _time()
    engine = _text()
    data_hash = _text()
    contract_hash = _text()
    primary = _text()
    metrics = _map("By metric.")


class Evidence(Answer):
    """A fact; what it does not have is left out."""

    what = _text()
    occurred_at = _time()
    value = fields.Float()
    weight = _number()
    success = fields.Boolean()
    activity = fields.String()
    course = fields.String()
    attempt = fields.String()
    detail = fields.Dict()
    rule = _text()
    content_hash = _text()
    alias = _text()
    known_by = fields.String()
    statement = fields.UUID()
    source = fields.String()
    key = fields.String()
    version = fields.Integer()
    pulled_at = fields.DateTime()


class Figure(Answer):
    figure = _text()
    title = _text()
    unit = _text(null=True)
    value = fields.Raw(
        required=True,
        allow_none=True,
        metadata=_about("A number, a text, a time as text; of `tiers` how many facts there are of each."),
    )
    how = _text()
    facts = _many(Evidence)


class Provenance(Answer):
    program = _text()
    learner = _text()
    name = _text(null=True)
    figures = _many(Figure)


# --- what arrives ----------------------------------------------------------------------------------------------------


class StatementKind(Answer):
    state = _text()
    verb = _text()
    activity_type = _text(null=True)
    object_type = _text()
    because = _text(null=True)
    rules = _texts()
    count = _whole()
    percent = _number()
    example = _text()


class SourceCoverage(Answer):
    source = _text()
    state = _text()
    records = _whole()
    records_with_facts = _whole()
    metrics = _texts()
    roster = fields.Boolean(required=True)


class Coverage(Answer):
    stored = _whole()
    looked_at = _whole()
    covered_percent = _number(null=True)
    not_mapped_percent = _number(null=True)
    in_quarantine_percent = _number(null=True)
    left_out_percent = _number(null=True)
    mapped_percent = _number(null=True)
    statements = _many(StatementKind)
    sources = _many(SourceCoverage)


class Explanation(Open):
    """As `lrs-bridge mapping explain --json` prints it."""

    rules = fields.List(fields.Dict(), required=True)
    facts = _map("`would_be`, `stored`, and whether they are the `same`.")
    learners = fields.List(fields.Dict(), required=True)
    quarantine = fields.List(fields.Dict(), required=True)


# --- reports and feeds -----------------------------------------------------------------------------------------------


class ListedReport(Answer):
    name = _text()
    title = _text()
    program = _text()
    note = _text(null=True)
    learners = _whole()
    completed = _whole()


class Reports(Answer):
    items = _many(ListedReport)


class Column(Answer):
    name = _text()
    title = _text()
    unit = _text(null=True)
    type = _text(validate=marshmallow.validate.OneOf(list(ColumnType)))


class Report(_Page):
    """A page of a report: `items` are its rows, with a key for each column."""

    name = _text()
    title = _text()
    note = _text()
    columns = _many(Column)
    items = fields.List(fields.Dict(keys=fields.String()), required=True)


class Account(Answer):
    home_page = _text()
    name = _text()


class User(Answer):
    """By what a learner is known elsewhere."""

    accounts = _many(Account)
    emails = _texts()
    idnumber = _text(null=True)
    username = _text(null=True)
    name = _text(null=True)


class Row(Answer):
    """A row of a feed, or word that it is gone: then without user and with an empty body."""

    feed = _text()
    key = _text(metadata=_about("Unique in its feed, and the same for ever."))
    version = fields.Integer(required=True, metadata=_about("Of two versions of a row the higher is the later."))
    checksum = _text(metadata=_about("SHA-256 of the whole, also where the caller is told a part of it."))
    deleted = fields.Boolean(required=True)
    changed_at = _time()
    user = fields.Nested(User, required=True, allow_none=True)
    body = _map("As `bridge/README.md` lists it for each feed.")


class Rows(_Page):
    items = _many(Row)


class Changes(Answer):
    rows = _many(Row)
    next = _text(metadata=_about("The cursor to send as `after` the next time, also when there is nothing more now."))
    more = fields.Boolean(required=True, metadata=_about("Whether there is more at once."))
