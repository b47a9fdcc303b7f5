"""What a `performance` document may hold."""

from typing import Any

from marshmallow import post_load, validates_schema

from bridge.mapping import kinds
from bridge.mapping.fields import Choice, Items, Name, Part, Text
from bridge.mapping.schemas.common import DocumentSchema, Strict, arguments, refuse_twins, row


class _Metric(Strict):
    name = Name(word=True, required=True)
    title = Text()
    unit = Text(load_default="")
    family = Choice(kinds.Family, required=True)
    direction = Choice(kinds.Direction, required=True)
    when = row()
    owner = row(required=True)
    occurred_at = row(required=True)
    value = row(required=True)


class PerformanceSchema(DocumentSchema):
    source = Name(required=True)
    when = row()
    metrics = Items(Part(_Metric), required=True, least=1)

    @validates_schema
    def refuse_twins(self, data: dict[str, Any], **_: object) -> None:
        """Refuse two metrics of one name."""
        refuse_twins("metrics", [metric["name"] for metric in data["metrics"]])

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Performance:
        """Give the performance document."""
        metrics = [_metric(metric, data["source"]) for metric in data["metrics"]]
        return kinds.Performance(**arguments(data | {"metrics": metrics}, "metrics"))


def _metric(data: dict[str, Any], source: str) -> kinds.MetricRule:
    described = {name: data[name] for name in ("name", "unit", "family", "direction")}
    metric = kinds.Metric(**described, title=data.get("title", data["name"]), source=source)
    owner = kinds.Owner(kinds.OwnerForm.IS, {"is": data["owner"]})
    return kinds.MetricRule(metric, owner, data["occurred_at"], data["value"], when=data.get("when"))
