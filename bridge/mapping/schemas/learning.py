"""What a `learning` document may hold."""

from typing import Any

from marshmallow import post_load, validates_schema

from bridge.mapping import kinds
from bridge.mapping.expressions import compile_expression
from bridge.mapping.fields import Choice, Items, Name, Part
from bridge.mapping.schemas.common import DocumentSchema, Strict, arguments, refuse_twins, statement

_OBJECT_ID = compile_expression("object.id", statement=True)


class _LearningRule(Strict):
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


class LearningSchema(DocumentSchema):
    rules = Items(Part(_LearningRule), required=True, least=1)

    @validates_schema
    def refuse_twins(self, data: dict[str, Any], **_: object) -> None:
        """Refuse two rules of one name."""
        refuse_twins("rules", [rule.name for rule in data["rules"]])

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Learning:
        """Give the learning document."""
        return kinds.Learning(**arguments(data, "rules"))
