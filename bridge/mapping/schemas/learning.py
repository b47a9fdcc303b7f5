"""What a `learning` document may hold."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar
from uuid import UUID

from marshmallow import ValidationError, post_load, validates_schema

from bridge.mapping import kinds, matching
from bridge.mapping.expressions import compile_expression
from bridge.mapping.fields import Choice, Complaint, Items, Name, Part, Text, Texts, complaint
from bridge.mapping.problems import nearest, shown
from bridge.mapping.schemas.common import DocumentSchema, Strict, arguments, refuse_twins, statement

_OBJECT_ID = compile_expression("object.id", statement=True)

_ALWAYS_THERE = frozenset({"learner", "activity", "occurred_at"})
"""Keys that have a value when they are left out."""

_NEEDED: dict[kinds.FactKind | None, tuple[tuple[str, ...], str]] = {
    kinds.FactKind.SURVEYED: (("answer",), "answer: result.response"),
    kinds.FactKind.COMMITTED: (("what",), "what: result.response"),
    kinds.FactKind.OBSTACLE: (("category", "text"), "text: result.response"),
    kinds.FactKind.NOTHING: (("because",), "because: why it is left out"),
}
"""Keys of which a rule of the kind must have one, and what it may look like."""


def _keys_of(kind: kinds.FactKind) -> tuple[str, ...]:
    if kind is kinds.FactKind.NOTHING:
        return ("because",)
    return (*kinds.KEYS_OF_ALL_FACTS, *kinds.KEYS_OF_FACTS.get(kind, ()), "required")


_KINDS_OF_KEYS: Mapping[str, list[str]] = {
    key: [other.value for other in kinds.FactKind if key in _keys_of(other)]
    for kind in kinds.FactKind
    for key in _keys_of(kind)
}
"""The kinds of facts that each key goes with."""

_VALUES = tuple(key for key in _KINDS_OF_KEYS if key not in ("required", "because"))
"""The keys that hold an expression for a part of the fact."""


def _rule_json_schema() -> dict[str, Any]:
    """Say which keys go with which kind, and which it needs."""
    always = ("name", "match", "when", "fact")
    return {
        "anyOf": [{"required": ["match"]}, {"required": ["when"]}],
        "allOf": [
            {
                "if": {"properties": {"fact": {"const": kind.value}}, "required": ["fact"]},
                "then": {
                    "propertyNames": {"enum": [*always, *_keys_of(kind)]},
                    "anyOf": [{"required": [key]} for key in _NEEDED.get(kind, (("fact",), ""))[0]],
                },
            }
            for kind in kinds.FactKind
        ],
    }


_NOT_EMPTY = {"minProperties": 1}


def iri(text: str) -> str:
    if ":" not in text or " " in text:
        remedy = "Write it in full, like http://adlnet.gov/expapi/verbs/completed."
        raise complaint(f"{shown(text)} is no IRI", remedy)
    return text


def _pattern(text: str) -> str:
    try:
        return matching.check_pattern(text)
    except ValueError as err:
        remedy = "Write one as RE2 has it (no look-ahead, no back references), or use id or prefix."
        raise complaint(f"{shown(text)} is no regular expression: {err}", remedy) from err


def _registration(text: str) -> str:
    if text in (matching.PRESENT, matching.ABSENT):
        return text
    try:
        return str(UUID(text))
    except ValueError as err:
        raise complaint(f"{shown(text)} is no registration", "Write present, absent or its UUID.") from err


class _Activity(Strict):
    json_schema: ClassVar[Mapping[str, Any]] = _NOT_EMPTY

    id = Texts(iri)
    prefix = Texts()
    pattern = Texts(_pattern)
    type = Texts(iri)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.ActivityMatch:
        """Give what the activity must be."""
        _refuse_empty(data, self.fields)
        return kinds.ActivityMatch(**data)


class MatchSchema(Strict):
    json_schema: ClassVar[Mapping[str, Any]] = _NOT_EMPTY

    verb = Texts(iri)
    activity = Part(_Activity)
    parent = Part(_Activity)
    grouping = Part(_Activity)
    category = Part(_Activity)
    other = Part(_Activity)
    context = Part(_Activity)
    registration = Texts(_registration)
    platform = Texts()
    template = Texts(iri)
    profile = Texts(iri)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Match:
        """Give what the statement must be."""
        _refuse_empty(data, self.fields)
        return kinds.Match(**data)


class _LearningRule(Strict):
    json_schema: ClassVar[Mapping[str, Any]] = _rule_json_schema()

    name = Name(required=True)
    match = Part(MatchSchema)
    when = statement(wants="flag")
    fact = Choice(kinds.FactKind, required=True)
    learner = statement(wants="agent")
    activity = statement(wants="text")
    course = statement(wants="text")
    attempt = statement(wants="text")
    occurred_at = statement(wants="moment")
    duration = statement(wants="duration")
    score = statement(wants="share")
    success = statement(wants="flag")
    progress = statement(wants="share")
    level = statement(wants="number")
    by = statement(wants="agent")
    question = statement(wants="text")
    answer = statement()
    what = statement(wants="text")
    due = statement(wants="moment")
    category = statement(wants="text")
    text = statement(wants="text")
    required = Items(Text(), least=1)
    because = Text()

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def have_a_condition(self, _: object, original: object, **__: object) -> None:
        """Refuse a rule that would hold for every statement."""
        if isinstance(original, dict) and not original.keys() & {"match", "when"}:
            remedy = "Add `match: {verb: ...}` or `when: ...`, or both."
            raise complaint("The rule has neither `match` nor `when`", remedy)

    @validates_schema(skip_on_field_errors=False)
    def fit_the_kind(self, data: dict[str, Any], **_: object) -> None:
        """Refuse keys that mean nothing for this kind of fact, and ask for those without which it says nothing."""
        kind = data.get("fact")
        if kind is None:
            return
        allowed = _keys_of(kind)
        wrong = {key: [_misplaced(key, kind)] for key in data if key in _KINDS_OF_KEYS and key not in allowed}
        if wrong:
            raise ValidationError(wrong)

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def say_something(self, data: dict[str, Any], original: dict[str, Any], **_: object) -> None:
        """Ask for the keys without which a fact of this kind would say nothing."""
        needed, example = _NEEDED.get(data.get("fact"), ((), ""))  # without `fact`, which is another complaint, none
        if needed and not original.keys() & set(needed):
            missing = " or ".join(f"`{key}`" for key in needed)
            raise complaint(f"A rule of kind '{data['fact']}' needs {missing}", f"Add `{example}`.")

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def require_what_is_there(self, data: dict[str, Any], original: dict[str, Any], **_: object) -> None:
        """Refuse to require what the rule does not read."""
        if not isinstance(original, dict):
            return
        there = (original.keys() & set(_VALUES)) | _ALWAYS_THERE
        wrong = {
            place: [Complaint(f"{shown(key)} is required, but this rule does not read it", _remedy(key, there))]
            for place, key in enumerate(data.get("required", []))
            if key not in there
        }
        if wrong:
            raise ValidationError({"required": wrong})

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.LearningRule:
        """Give the rule."""
        values = {key: data.pop(key) for key in _VALUES if key in data}
        if data["fact"] is not kinds.FactKind.NOTHING:
            values.setdefault("activity", _OBJECT_ID)
        required = tuple(sorted(set(data.pop("required", ()))))
        return kinds.LearningRule(**data, values=values, required=required)


class LearningSchema(DocumentSchema):
    match = Part(MatchSchema)
    when = statement(wants="flag")
    rules = Items(Part(_LearningRule), required=True, least=1)

    @validates_schema
    def refuse_twins(self, data: dict[str, Any], **_: object) -> None:
        """Refuse two rules of one name."""
        refuse_twins("rules", [rule.name for rule in data["rules"]])

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Learning:
        """Give the learning document."""
        return kinds.Learning(**arguments(data, "rules"))


def _misplaced(key: str, kind: kinds.FactKind) -> Complaint:
    with_kinds = ", ".join(_KINDS_OF_KEYS[key])
    return Complaint(f"The key {key!r} does not go with fact '{kind}'", f"It goes with {with_kinds}.", about_key=True)


def _remedy(key: str, there: Iterable[str]) -> str:
    return f"Add `{key}: ...`, or take it off this list." if key in _VALUES else nearest(key, there, what="keys")


def _refuse_empty(data: dict[str, Any], known: Iterable[str]) -> None:
    if not data:
        raise complaint("There is nothing in it, so it would match everything", f"Add one of {', '.join(known)}.")
