"""What an `identity` document may hold."""

from typing import Any

from marshmallow import post_load, validates_schema

from bridge.mapping import kinds
from bridge.mapping.fields import Choice, Items, Name, Named, Part, complaint
from bridge.mapping.schemas.common import DocumentSchema, Strict, arguments, row


class _Account(Strict):
    home_page = row(required=True)
    name = row(required=True)


class _User(Strict):
    source = Name(required=True)
    id = row(required=True)


class _Alias(Strict):
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


class _Roster(Strict):
    source = Name(required=True)
    learner = row(required=True)
    name = row()
    attributes = Named(keys=Name(word=True), values=row())
    aliases = Items(Part(_Alias), required=True, least=1)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Roster:
        """Give the roster."""
        return kinds.Roster(**data | {"aliases": tuple(data["aliases"])})


class IdentitySchema(DocumentSchema):
    unclaimed = Choice(kinds.Unclaimed)
    rosters = Items(Part(_Roster))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Identity:
        """Give the identity document."""
        return kinds.Identity(**arguments(data, "rosters"))
