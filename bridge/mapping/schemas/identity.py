"""What an `identity` document may hold."""

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, post_load, pre_load, validates_schema

from bridge.mapping import formats, kinds
from bridge.mapping.fields import EXPRESSION, Choice, Complaint, Items, Name, Named, Part, Text, complaint
from bridge.mapping.problems import shown
from bridge.mapping.schemas.common import DocumentSchema, Strict, arguments, row


class _Account(Strict):
    home_page = row(required=True)
    name = row(required=True)


class _User(Strict):
    source = Name(required=True)
    id = row(required=True)


class _Alias(Strict):
    json_schema: ClassVar[Mapping[str, Any]] = {"minProperties": 1, "maxProperties": 1}

    account = Part(_Account)
    user = Part(_User)
    mbox = row()
    mbox_sha1sum = row()
    openid = row()
    employee = row()

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def hold_one(self, _: object, original: object, **__: object) -> None:
        """Refuse an entry of several aliases or of none."""
        if isinstance(original, dict) and len(original.keys() & self.fields.keys()) != 1:
            raise complaint(f"An alias is one of {', '.join(self.fields)}", "Put each after its own dash.")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.AliasRule:
        """Give the rule."""
        [(kind, value)] = data.items()
        if kind == "user":
            return kinds.AliasRule(kind, {"id": value["id"]}, source=value["source"])
        return kinds.AliasRule(kind, value if kind == "account" else {"value": value})


class _Attribute(Strict):
    """An attribute with a period of its own; `from` and `to` are words of Python's."""

    value = row(required=True)
    valid_from = row(data_key="from")
    valid_to = row(data_key="to")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.AttributeRule:
        """Give the rule."""
        return kinds.AttributeRule(**data)


class _AttributeField(Part):
    """An expression, or a map of one with the days from which and until which it holds."""

    simple = row()

    json_schema_else = EXPRESSION

    def _deserialize(self, value: Any, *place: Any, **settings: Any) -> Any:  # noqa: ANN401 - as marshmallow has it
        if isinstance(value, dict):
            return super()._deserialize(value, *place, **settings)
        return kinds.AttributeRule(self.simple.read(value))


class _Attributes(Named):
    """Attributes by name; `value` in what is wrong with one is always the key that it is in the document."""

    def _deserialize(self, *value: Any, **settings: Any) -> Any:  # noqa: ANN401 - as marshmallow has it
        try:
            return super()._deserialize(*value, **settings)  # type: ignore[no-untyped-call]
        except ValidationError as err:
            if not isinstance(err.messages, dict):
                raise
            found = {name: inner.get("value") or inner.get("key") for name, inner in err.messages.items()}
            raise ValidationError(found) from err


class _Crm(Strict):
    field = Text(required=True)
    source = Name(required=True)


_FORMATTED = ("platform", "crm")
"""Keys that only ready-made expressions use."""


class _Roster(Strict):
    json_schema: ClassVar[Mapping[str, Any]] = {
        "required": ["source"],
        "anyOf": [{"required": ["aliases"]}, {"required": ["format"]}],
    }

    source = Name(required=True)
    format = Choice(kinds.RosterFormat)
    platform = Text()
    crm = Part(_Crm)
    key = Items(Text(), least=1)
    learner = row()
    name = row()
    valid_from = row()
    valid_to = row()
    attributes = _Attributes(keys=Name(word=True), values=_AttributeField(_Attribute))
    aliases = Items(Part(_Alias), required=True, least=1)

    @pre_load
    def fill(self, data: Any, **_: object) -> Any:  # noqa: ANN401 - whatever the YAML says
        """Put what the format gives in the place of keys that are left out."""
        known = list(kinds.RosterFormat)
        if not isinstance(data, dict) or data.get("format") not in known or not isinstance(data.get("source"), str):
            return data
        _check_given(data)
        return formats.ready(kinds.RosterFormat(data["format"]), data) | data

    @validates_schema(pass_original=True)
    def check_format(self, data: dict[str, Any], original: dict[str, Any], **_: object) -> None:
        """Refuse keys that nothing would use."""
        form = data.get("format")
        for key in _FORMATTED:
            if key in original and form in (None, kinds.RosterFormat.CSV):
                text, remedy = f"{key!r} is only for rosters of a format", "Add `format: moodle`, or write `aliases`."
                raise ValidationError({key: [Complaint(text, remedy, about_key=True)]})
        if form is None and "learner" not in data:
            for key in ("name", "attributes", "valid_from", "valid_to"):
                if key in original:
                    text = f"{key!r} describes a learner, and this roster names none"
                    raise ValidationError({key: [Complaint(text, "Add `learner: ...`.", about_key=True)]})

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Roster:
        """Give the roster."""
        used = {key: value for key, value in data.items() if key not in _FORMATTED}
        used |= {key: tuple(data[key]) for key in ("aliases", "key") if key in data}
        if "format" in used:
            used.setdefault("key", formats.KEYS.get(used["format"], ()))
        return kinds.Roster(**used)


def _check_given(data: dict[str, Any]) -> None:
    """Refuse what could not stand inside the quotes of a ready-made expression."""
    for key, value in (("platform", data.get("platform", "")), ("crm", _crm_field(data))):
        if not isinstance(value, str):
            remedy = {"platform": "Write the site's address.", "crm": "Write crm: {field: crmuserid, source: crm}."}
            raise ValidationError({key: [Complaint(f"{key!r} is not what it should be", remedy[key])]})
        if set(value) & set("\"'\\\n"):
            words = f"{shown(value)} has a quote or a backslash in it"
            raise ValidationError({key: [Complaint(words, "Take it out, or write the aliases yourself.")]})


def _crm_field(data: dict[str, Any]) -> str | None:
    """Give the name of the field that holds the CRM's user id, empty where none is asked for."""
    match data.get("crm", ""):
        case "":
            return ""
        case {"field": str(field), "source": str()}:
            return field
    return None


class _Emails(Strict):
    accounts = Items(Text(), required=True, least=1)


class IdentitySchema(DocumentSchema):
    unclaimed = Choice(kinds.Unclaimed)
    rosters = Items(Part(_Roster))
    link_by = Items(Choice(kinds.LinkRule))
    emails = Part(_Emails)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Identity:
        """Give the identity document."""
        if "emails" in data:
            data = {key: value for key, value in data.items() if key != "emails"} | {
                "mail_accounts": tuple(dict.fromkeys(data["emails"]["accounts"]))
            }
        return kinds.Identity(**arguments(data, "rosters", "link_by"))
