"""What each kind of mapping document may hold, and how it becomes a value of `kinds`."""

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, post_load, validates_schema

from bridge.mapping import kinds
from bridge.mapping.expressions import compile_expression
from bridge.mapping.fields import Cel, Choice, Complaint, Items, Name, Named, Part, Text, WholeNumber, complaint
from bridge.mapping.positions import Path
from bridge.mapping.problems import MappingError, Problem, nearest
from bridge.mapping.written import Document

_OBJECT_ID = compile_expression("object.id", statement=True)


def row(**settings: Any) -> Cel:  # noqa: ANN401 - as marshmallow has them
    """Give a field for an expression over a source record."""
    return Cel(statement=False, **settings)


def statement(**settings: Any) -> Cel:  # noqa: ANN401 - as marshmallow has them
    """Give a field for an expression over a statement."""
    return Cel(statement=True, **settings)


class _Strict(Schema):
    """Refuses keys that it does not know, naming the nearest that it does."""

    class Meta:
        unknown = EXCLUDE  # `refuse_unknown` does it, with a better message

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def refuse_unknown(self, _: object, original: object, **__: object) -> None:
        """Complain about each unknown key."""
        if not isinstance(original, dict):
            return
        unknown = original.keys() - self.fields.keys()
        if unknown:
            raise ValidationError({key: [self._unknown(key)] for key in sorted(unknown)})

    def _unknown(self, key: str) -> Complaint:
        return Complaint(f"The key {key!r} is not known here", nearest(key, self.fields, what="keys"), about_key=True)


class _Document(_Strict):
    kind = Text(required=True)
    name = Name(required=True)
    title = Text()


class _Account(_Strict):
    home_page = row(required=True)
    name = row(required=True)


class _User(_Strict):
    source = Name(required=True)
    id = row(required=True)


class _Alias(_Strict):
    account = Part(_Account)
    user = Part(_User)
    mbox = row()
    mbox_sha1sum = row()
    openid = row()

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def hold_one(self, _: object, original: object, **__: object) -> None:
        """Refuse an entry of several aliases or of none."""
        if isinstance(original, dict) and len(original.keys() & self.fields.keys()) != 1:
            raise complaint(
                "An alias is one of account, user, mbox, mbox_sha1sum, openid", "Put each after its own dash."
            )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.AliasRule:
        """Give the rule."""
        [(kind, value)] = data.items()
        if kind == "user":
            return kinds.AliasRule(kind, {"id": value["id"]}, source=value["source"])
        return kinds.AliasRule(kind, value if kind == "account" else {"value": value})


class _Roster(_Strict):
    source = Name(required=True)
    learner = row(required=True)
    name = row()
    attributes = Named(keys=Name(word=True), values=row())
    aliases = Items(Part(_Alias), required=True, least=1)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Roster:
        """Give the roster."""
        return kinds.Roster(**data | {"aliases": tuple(data["aliases"])})


class _Identity(_Document):
    unclaimed = Choice(kinds.Unclaimed)
    rosters = Items(Part(_Roster))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Identity:
        """Give the identity document."""
        return kinds.Identity(**_plain(data, "rosters"))


class _LearningRule(_Strict):
    name = Name(required=True)
    when = statement(required=True)
    fact = Choice(kinds.FactKind, required=True)
    activity = statement(load_default=_OBJECT_ID)
    course = statement()
    attempt = statement()
    score = statement()
    success = statement()

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.LearningRule:
        """Give the rule."""
        return kinds.LearningRule(**data)


class _Learning(_Document):
    rules = Items(Part(_LearningRule), required=True, least=1)

    @validates_schema
    def refuse_twins(self, data: dict[str, Any], **_: object) -> None:
        """Refuse two rules of one name."""
        _refuse_twins("rules", [rule.name for rule in data["rules"]])

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Learning:
        """Give the learning document."""
        return kinds.Learning(**_plain(data, "rules"))


class _Metric(_Strict):
    name = Name(word=True, required=True)
    title = Text()
    unit = Text(load_default="")
    family = Choice(kinds.Family, required=True)
    direction = Choice(kinds.Direction, required=True)
    when = row()
    owner = row(required=True)
    occurred_at = row(required=True)
    value = row(required=True)


class _Performance(_Document):
    source = Name(required=True)
    when = row()
    metrics = Items(Part(_Metric), required=True, least=1)

    @validates_schema
    def refuse_twins(self, data: dict[str, Any], **_: object) -> None:
        """Refuse two metrics of one name."""
        _refuse_twins("metrics", [metric["name"] for metric in data["metrics"]])

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Performance:
        """Give the performance document."""
        metrics = [_metric(metric, data["source"]) for metric in data["metrics"]]
        return kinds.Performance(**_plain(data | {"metrics": metrics}, "metrics"))


class _Completion(_Strict):
    of = Items(Text(), required=True, least=1)
    need = Choice(kinds.Need, load_default=kinds.Need.ANY)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Completion:
        """Give what it takes."""
        return kinds.Completion(_unique(data["of"]), data["need"])


class _Program(_Document):
    courses = Items(Text(), required=True, least=1)
    assessments = Items(Text())
    completion = Part(_Completion, required=True)
    metrics = Items(Name(word=True))
    window_days = WholeNumber(1, 3_660)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Program:
        """Give the program."""
        lists = [key for key in ("courses", "assessments", "metrics") if key in data]
        return kinds.Program(**_plain(data | {key: _unique(data[key]) for key in lists}))


class _Report(_Document):
    program = Name(required=True)
    note = Text()
    destinations = Items(Name())

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Report:
        """Give the report."""
        return kinds.Report(**_plain(data, "destinations"))


SCHEMAS: Mapping[str, type[Schema]] = {
    "identity": _Identity,
    "learning": _Learning,
    "performance": _Performance,
    "program": _Program,
    "report": _Report,
}
"""The kinds whose schema is ours; `source` and `destination` documents are validated by `connectors`."""

KINDS = frozenset({*SCHEMAS, "source", "destination"})


def parse(document: Document) -> kinds.Kind | None:
    """Give the value that a document describes; None for a kind that others validate. Raises MappingError."""
    if document.kind not in SCHEMAS:
        return None
    try:
        return SCHEMAS[document.kind]().load(document.data)  # type: ignore[no-any-return]
    except ValidationError as err:
        raise MappingError(_problems(document, err.messages, ())) from err


def _problems(document: Document, messages: Any, path: Path) -> Iterator[Problem]:  # noqa: ANN401 - marshmallow's own
    if isinstance(messages, dict):
        for key, inner in messages.items():
            # Keys that are marshmallow's and not the document's: for a map as a whole, and for one value of a map.
            deeper = key not in ("_schema", "value", "key") or (*path, key) in document.places.values
            yield from _problems(document, inner, (*path, key) if deeper else path)
        return
    for message in messages:
        yield _problem(document, message, path)


def _problem(document: Document, message: object, path: Path) -> Problem:
    match message:
        case Complaint(text, remedy, about_key=True):
            return document.problem_of_key(path, text, remedy)
        case Complaint(text, remedy, inside=(line, column)):
            return document.problem_inside(path, line, column, text, remedy)
        case Complaint(text, remedy):
            return document.problem(path, text, remedy)
        case _:
            return document.problem(path, "A map of keys and values is expected", "Write `key: value` lines, indented.")


def _metric(data: dict[str, Any], source: str) -> kinds.MetricRule:
    described = {name: data[name] for name in ("name", "unit", "family", "direction")}
    metric = kinds.Metric(**described, title=data.get("title", data["name"]), source=source)
    return kinds.MetricRule(metric, data["owner"], data["occurred_at"], data["value"], data.get("when"))


def _plain(data: dict[str, Any], *lists: str) -> dict[str, Any]:
    """Give the arguments of a document's class: no `kind`, a title in any case, lists as tuples."""
    arguments = {key: value for key, value in data.items() if key != "kind"}
    arguments.setdefault("title", data["name"])
    return arguments | {key: tuple(data[key]) for key in lists if key in data}


def _unique(values: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _refuse_twins(key: str, names: list[str]) -> None:
    twins = {place: name for place, name in enumerate(names) if name in names[:place]}
    if twins:
        raise ValidationError(
            {
                key: {
                    place: {"name": [Complaint(f"{name!r} stands twice", "Give it another name.")]}
                    for place, name in twins.items()
                }
            }
        )
