"""How performance documents read one source record with all its versions."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

from bridge.mapping import history, owners, syntax
from bridge.mapping.expressions import Expression
from bridge.mapping.facts import Evaluated, Failure, RecordReading, RuleTrace, Version
from bridge.mapping.history import Given, Key
from bridge.mapping.items import EvaluationError, Item
from bridge.mapping.kinds import MetricRule, OwnerForm, Performance
from bridge.mapping.problems import shown

MAX_VERSIONS = 200
"""The newest versions of a record that are looked at; of 24,918 real tickets none has more than 58."""

MAX_SECONDS = 5.0
"""What a document may take for one record: thousands of times what they take, for none must hold the others up."""


class RecordReader:
    """Reads the records of one source by its performance documents; made once for a set of documents."""

    def __init__(self, performance: Iterable[Performance], hashes: Mapping[str, str] | None = None) -> None:
        """Prepare the documents; `hashes` are the content hashes of their rules by `document/metric`, for `explain`."""
        self._documents = [_Document(document) for document in performance]
        self._hashes = hashes or {}

    def read(self, versions: Sequence[Version]) -> RecordReading:
        """Give the facts of a record's newest version and what its earlier ones gave; the versions come oldest first.

        A pure function of the newest `MAX_VERSIONS` of them. Failures are those of the newest version alone.
        """
        reading = RecordReading()
        versions = versions[-MAX_VERSIONS:]
        for document in self._documents if versions else ():
            gave = list(document.read(versions))
            newest, failures = gave[-1]
            reading.facts.extend(history.newest(versions[-1].id, newest))
            ids = (version.id for version in versions)
            reading.history.extend(history.earlier(zip(ids, (given for given, _ in gave), strict=True)))
            reading.failures.extend(failures)
        return reading

    def explain(self, versions: Sequence[Version]) -> tuple[RuleTrace, ...]:
        """Tell of every metric what it makes of the newest version, and why; it agrees with `read`."""
        versions = versions[-MAX_VERSIONS:]
        return tuple(
            document.trace(name, versions, self._hashes.get(name, ""))
            for document in self._documents
            for name in document.rules
        )


_Read = tuple[dict[Key, Given], list[Failure]]
"""What one version gives by one document, and which of its rules failed."""


class _Document:
    """A performance document, made ready."""

    def __init__(self, document: Performance) -> None:
        self.name, self.source, self.when = document.name, document.source, document.when
        self.changed_at = document.changed_at
        self.functions: dict[str, Callable[..., Any]] = {}
        if document.calendar:
            self.functions["business_hours"] = document.calendar.hours_between
        if document.money:
            self.functions["money"] = document.money.convert
        self.rules = {f"{document.name}/{rule.metric.name}": rule for rule in document.metrics}
        self.looks_back = any(rule.owner.looks_back for rule in document.metrics)
        expressions = [expression for rule in document.metrics for expression in rule.expressions.values()]
        self.fields = _fields([document.when, *expressions])
        self.fields_of_change = _fields([document.changed_at])

    def read(self, versions: Sequence[Version]) -> Iterator[_Read]:
        """Give what each version gives; one that is like the version before it is not read again."""
        record = _Record(self, versions)
        before: tuple[Item | None, _Read] | None = None
        for place, item in enumerate(record.items):
            if before is None or item is not before[0] or self.looks_back:
                before = item, ({}, []) if item is None else self._read(_Seen(record, place, item))
            yield before[1]

    def _read(self, seen: "_Seen") -> _Read:
        given: dict[Key, Given] = {}
        failures: list[Failure] = []
        try:
            if not seen.item.holds(self.when):
                return given, failures
        except EvaluationError as err:
            return given, [Failure(self.name, err.expression, err.reason)]
        for name, rule in self.rules.items():
            try:
                seen.record.check_time()
                if seen.item.holds(rule.when):
                    given.update(((name, alias_key), one) for alias_key, one in _given(rule, seen).items())
            except EvaluationError as err:
                failures.append(Failure(name, err.expression, err.reason))
        return given, failures

    def trace(self, name: str, versions: Sequence[Version], content_hash: str) -> RuleTrace:
        """Tell what a rule makes of the newest version."""
        values: list[Evaluated] = []

        def told(because: str, *, matched: bool = False, tried: bool = True, **rest: Any) -> RuleTrace:  # noqa: ANN401 - as RuleTrace has them
            return RuleTrace(name, content_hash, tried, matched, because, tuple(values), **rest)

        record, rule = _Record(self, versions), self.rules[name]
        if not versions or (item := record.items[-1]) is None:
            return told("the record is deleted", tried=False)
        for key, when in (("document.when", self.when), ("when", rule.when)):
            if when is None:
                continue
            values.append(_evaluated(key, when, item))
            try:
                if not item.holds(when):
                    return told(f"{key} is {shown(values[-1].value) if values[-1].value is not None else 'null'}")
            except EvaluationError as err:
                return told(f"{key} cannot be evaluated", failure=Failure(name, err.expression, err.reason))
        seen = _Seen(record, len(versions) - 1, item)
        values += seen.evaluated(rule)
        try:
            given = {(name, alias_key): one for alias_key, one in _given(rule, seen).items()}
        except EvaluationError as err:
            failure = Failure(name, err.expression, err.reason)
            return told("all conditions hold, but a value cannot be read", matched=True, failure=failure)
        if not given:
            return told("all conditions hold, but there is no time, value, weight or owner", matched=True)
        return told("all conditions hold", matched=True, facts=tuple(history.newest(versions[-1].id, given)))


class _Record:
    """All versions of one record as one document sees them."""

    def __init__(self, document: _Document, versions: Sequence[Version]) -> None:
        self.document, self.versions = document, versions
        self._until = monotonic() + MAX_SECONDS
        self.items = list(self._items(document.fields))
        """None for a version that is a deletion; versions that are alike in what is read share one."""
        self._changes: list[Item | None] | None = None
        self._held: dict[tuple[Expression, int], tuple[datetime | None, str | None]] = {}

    def changes(self) -> list[Item | None]:
        """Give the versions once more, for `changed_at`."""
        if self._changes is None:
            self._changes = list(self._items(self.document.fields_of_change))
        return self._changes

    def _items(self, fields: frozenset[str] | None) -> Iterator[Item | None]:
        """Give each version's item, with the fields that are read; one like the version before it is the same item."""
        before: tuple[Any, Item | None] = (None, None)
        for version in self.versions:
            data = version.data
            row = data if data is None or fields is None else {name: data[name] for name in fields if name in data}
            # Python calls 1, 1.0 and true equal, and CEL does not.
            if row != before[0] or repr(row) != repr(before[0]):
                before = row, None if row is None else self.item({"row": row})
            yield before[1]

    def item(self, values: Mapping[str, Any]) -> Item:
        """Make an item with the document's functions."""
        return Item(values, functions=self.document.functions)

    def check_time(self) -> None:
        """Stop a document that takes too long. Raises EvaluationError."""
        if monotonic() > self._until:
            reason = f"it took too long: this document took more than {MAX_SECONDS:g} s for the versions of one record"
            raise EvaluationError(self.document.name, reason)

    def held(self, expression: Expression, place: int) -> tuple[datetime | None, str | None]:
        """Give when a version came to be, and who held the record in it. Raises EvaluationError."""
        found = self._held.get((expression, place))
        if found is None:
            item, change = self.items[place], self.changes()[place]
            if item is None or change is None:
                found = None, None
            else:
                found = change.moment(self.document.changed_at), item.text(expression)
            self._held[expression, place] = found
        return found


@dataclass(frozen=True, slots=True)
class _Seen:
    """One version of a record, and those before it."""

    record: _Record
    place: int
    item: Item

    @property
    def source(self) -> str:
        return self.record.document.source

    def listed(self, expression: Expression) -> Iterator[Item]:
        """Give an item for each entry of the list that an expression gives. Raises EvaluationError."""
        row = self.record.versions[self.place].data
        listed = owners.entries(expression, self.item.value(expression))
        for entry in listed:
            self.record.check_time()
            yield self.record.item({"row": row, "item": entry})

    def held(self, expression: Expression) -> list[tuple[datetime, str | None]]:
        """Give what an expression gave in each version up to this one; those that do not know their time are left out.

        Sorted by time: of two versions of one time the later one comes last.
        """
        found = [self.record.held(expression, place) for place in range(self.place + 1)]
        held = [(at, name) for at, name in found if at is not None]
        if not held:
            reason = "it gave null in every version, so nobody can tell who held the record when"
            raise EvaluationError(self.record.document.changed_at or "", reason)
        return sorted(held, key=lambda one: one[0])

    def evaluated(self, rule: MetricRule) -> Iterator[Evaluated]:
        """Evaluate all that a rule reads beside its conditions, the owner by entries or versions if it is so told."""
        by_entry = rule.owner.values if rule.owner.form in (OwnerForm.BY_HISTORY, OwnerForm.SPLIT) else {}
        for key, expression in rule.expressions.items():
            place = key.removeprefix("owner.")
            if key == "when" or (place in by_entry and place != "list"):
                continue
            if place in (OwnerForm.AT_THE_TIME, OwnerForm.SHARED_BY_TIME):
                yield from self._by_version(key, expression)
            else:
                yield _evaluated(key, expression, self.item)
        if by_entry:
            yield from self._by_entry(by_entry)

    def _by_version(self, key: str, expression: Expression) -> Iterator[Evaluated]:
        changed_at = self.record.document.changed_at
        for place in range(self.place + 1):
            item, change = self.record.items[place], self.record.changes()[place]
            if item and change and changed_at:
                number = self.record.versions[place].id
                yield _evaluated(f"version {number}: changed_at", changed_at, change)
                yield _evaluated(f"version {number}: {key}", expression, item)

    def _by_entry(self, by_entry: Mapping[str, Expression]) -> Iterator[Evaluated]:
        try:
            entries = list(self.listed(by_entry["list"]))
        except EvaluationError:  # told with the list itself
            return
        for number, entry in enumerate(entries):
            for key, expression in by_entry.items():
                if key != "list":
                    yield _evaluated(f"owner.list[{number}].{key}", expression, entry)


def _given(rule: MetricRule, seen: _Seen) -> dict[str, Given]:
    """Give what a rule reads out of a version, by alias; nothing where time, value, weight or owner is null (yet)."""
    item = seen.item
    occurred_at, value = item.moment(rule.occurred_at), item.number(rule.value)
    weight = 1.0 if rule.weight is None else item.number(rule.weight)
    _check_required(rule, occurred_at=occurred_at, value=value, weight=weight)
    if occurred_at is None or value is None or weight is None:
        return {}
    if weight < 0:
        raise EvaluationError(rule.weight or "", f"it gave {weight:g}; a weight is not negative")
    shares = owners.shares(rule.owner, seen, occurred_at)
    _check_required(rule, owner=shares or None)
    metric = rule.metric.name
    return {key: Given(metric, occurred_at, value, weight * share) for key, share in shares.items() if weight * share}


def _check_required(rule: MetricRule, **values: object) -> None:
    for key, value in values.items():
        if value is None and key in rule.required:
            expression = rule.expressions.get(key) or next(iter(rule.owner.values.values()))
            raise EvaluationError(expression, f"it gave null, and this rule requires {key!r}")


def _fields(expressions: Iterable[Expression | None]) -> frozenset[str] | None:
    """Give the names of the row's fields that expressions read; None where that cannot be told."""
    found: set[str] = set()
    for expression in expressions:
        if expression is None:
            continue
        rows = 0
        for node in syntax.walk(expression.tree):
            match node:
                case syntax.Select(of=syntax.Name(name="row"), field=name):
                    found.add(name)
                    rows -= 1
                case syntax.Index(of=syntax.Name(name="row"), key=syntax.Literal(value=str(name))):
                    found.add(name)
                    rows -= 1
                case syntax.Name(name="row"):
                    rows += 1
        if rows:
            return None
    return frozenset(found)


def _evaluated(key: str, expression: Expression, item: Item) -> Evaluated:
    try:
        return Evaluated(key, str(expression), value=item.value(expression))
    except EvaluationError as err:
        return Evaluated(key, str(expression), error=err.reason)
