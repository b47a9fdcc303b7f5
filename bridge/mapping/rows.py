"""How performance documents read one source record."""

from collections.abc import Iterable
from typing import Any

from bridge.mapping import aliases
from bridge.mapping.facts import Failure, PerformanceFact, RecordReading
from bridge.mapping.items import EvaluationError, Item
from bridge.mapping.kinds import MetricRule, Performance


def read_record(performance: Iterable[Performance], data: dict[str, Any]) -> RecordReading:
    """Give the metrics' values in the newest version of a record; the documents must be those of its source."""
    reading = RecordReading()
    item = Item({"row": data})
    for document in performance:
        try:
            if not item.holds(document.when):
                continue
        except EvaluationError as err:
            reading.failures.append(Failure(document.name, err.expression, err.reason))
            continue
        for rule in document.metrics:
            _read_metric(reading, f"{document.name}/{rule.metric.name}", rule, item)
    return reading


def _read_metric(reading: RecordReading, name: str, rule: MetricRule, item: Item) -> None:
    try:
        if item.holds(rule.when) and (fact := _fact(name, rule, item)):
            reading.facts.append(fact)
    except EvaluationError as err:
        reading.failures.append(Failure(name, err.expression, err.reason))


def _fact(name: str, rule: MetricRule, item: Item) -> PerformanceFact | None:
    """Give the fact, or None where the record has no owner, no time or no value (yet)."""
    if (owner := item.text(rule.owner)) is None:
        return None
    if (occurred_at := item.moment(rule.occurred_at)) is None:
        return None
    if (value := item.number(rule.value)) is None:
        return None
    return PerformanceFact(name, rule.metric.name, aliases.of_user(rule.metric.source, owner), occurred_at, value)
