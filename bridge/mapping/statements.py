"""How the learning rules read one statement."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

from bridge.mapping import aliases, matching
from bridge.mapping.conditions import VARIABLES, Required
from bridge.mapping.expressions import Expression
from bridge.mapping.facts import Evaluated, Failure, LearningFact, RuleTrace, StatementReading
from bridge.mapping.functions import duration_seconds, moment, type_of
from bridge.mapping.items import EvaluationError, Item
from bridge.mapping.kinds import VALUE_OF_FACTS, FactKind, Forward, Learning
from bridge.mapping.matching import Condition
from bridge.mapping.problems import shown
from bridge.mapping.profiles import Profiles
from bridge.mapping.seen import Seen, map_at, text_at

_FINDING = "it is a finding of ours, and what was found out is no evidence"
_MOST_REMEMBERED = 10_000
"""Sets of verb, event and type whose rules are remembered; a sender that makes up verbs must not fill the memory."""
_REMEMBERED_LENGTH = 1_000
"""Characters of the three together; longer ones are looked up each time."""

_OF_THE_FACT = frozenset({"learner", "activity", "course", "attempt", "occurred_at", "success"})
"""Values that are parts of a fact of their own; what is neither that nor its value stands in its detail."""


@dataclass(frozen=True, slots=True)
class _Agent:
    """Somebody who can be told."""

    alias_key: str
    name: str | None


class StatementReader:
    """Reads statements by all learning rules; made once for a set of documents.

    A statement costs about as much as the rules that can match its verb, its Moodle event and the type of its object.
    """

    def __init__(
        self,
        learning: Iterable[Learning],
        hashes: Mapping[str, str] | None = None,
        profiles: Profiles | None = None,
    ) -> None:
        """Prepare the rules; `hashes` are their content hashes by `document/rule`, for `explain`.

        `profiles` must hold those that the rules name.
        """
        self._rules = [rule for document in learning for rule in _prepared(document, profiles or Profiles())]
        self._hashes = hashes or {}
        self._candidates: dict[tuple[str, ...], tuple[_Rule, ...]] = {}

    def read(self, statement: dict[str, Any]) -> StatementReading:
        """Give the facts of all rules that match, and the rules that failed or leave it out on purpose."""
        reading = StatementReading()
        seen = Seen(statement)
        candidates = () if seen.is_finding else self._of(seen)
        if not candidates:
            return reading
        opened = _Opened(seen)
        for rule in candidates:
            try:
                if not opened.holds(rule):
                    continue
                if rule.fact is FactKind.NOTHING:
                    reading.left_out.append(rule.name)
                elif fact := _fact(rule, opened):
                    reading.facts.append(fact)
            except EvaluationError as err:
                reading.failures.append(Failure(rule.name, err.expression, err.reason))
        return reading

    def explain(self, statement: dict[str, Any]) -> tuple[RuleTrace, ...]:
        """Tell of every rule what it makes of a statement, and why; it agrees with `read`."""
        seen = Seen(statement)
        opened = _Opened(seen)
        traces: list[RuleTrace] = []
        for rule in self._rules:
            content_hash = self._hashes.get(rule.name, "")
            if lacking := (_FINDING if seen.is_finding else rule.lacks(_variables(seen))):
                traces.append(RuleTrace(rule.name, content_hash, tried=False, matched=False, because=lacking))
            else:
                traces.append(_trace(rule, opened, content_hash))
        return tuple(traces)

    def _of(self, seen: Seen) -> tuple["_Rule", ...]:
        """Give the rules that may match by what they need, in their order."""
        key = _variables(seen)
        found = self._candidates.get(key)
        if found is None:
            found = tuple(rule for rule in self._rules if rule.lacks(key) is None)
            if len(self._candidates) < _MOST_REMEMBERED and sum(map(len, key)) < _REMEMBERED_LENGTH:
                self._candidates[key] = found
        return found


class Chosen:
    """Which statements a forward document is about; made once for it."""

    def __init__(self, forward: Forward, profiles: Profiles) -> None:
        self._home_pages = frozenset(forward.home_page)
        self._not_from = frozenset(forward.not_from)
        self._since = moment(forward.since) if forward.since else None
        self._rest = _Document(forward.name, matching.conditions_of(forward.match, profiles), forward.when)

    def holds(self, statement: dict[str, Any]) -> bool:
        """Tell whether a stored statement is one of them. Raises EvaluationError."""
        account = map_at(map_at(statement, "actor"), "account")
        return (
            (not self._home_pages or text_at(account, "homePage") in self._home_pages)
            and text_at(map_at(statement, "authority"), "name") not in self._not_from
            and (self._since is None or moment(statement.get("stored")) >= self._since)
            and _Opened(Seen(statement)).document_holds(self._rest)
        )


@dataclass(frozen=True, slots=True)
class _Document:
    """What holds for all rules of a document."""

    name: str
    conditions: tuple[Condition, ...]
    when: Expression | None


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule, made ready."""

    name: str
    fact: FactKind
    values: tuple[tuple[str, Expression], ...]
    required: frozenset[str]
    conditions: tuple[Condition, ...]
    when: Expression | None
    because: str | None
    document: _Document
    needed: Required

    def lacks(self, there: Sequence[str]) -> str | None:
        """Say which of `VARIABLES` it needs to be another one; None where it may match."""
        for name, text in zip(VARIABLES, there, strict=True):
            wanted = self.needed[name]
            if wanted is not None and text not in wanted:
                return f"the {name} {' or '.join(map(shown, sorted(wanted)))} is expected, and there is {shown(text)}"
        return None


def _prepared(document: Learning, profiles: Profiles) -> Iterator[_Rule]:
    shared = _Document(document.name, matching.conditions_of(document.match, profiles), document.when)
    for rule in document.rules:
        yield _Rule(
            name=f"{document.name}/{rule.name}",
            fact=rule.fact,
            values=tuple(rule.values.items()),
            required=frozenset(rule.required),
            conditions=matching.conditions_of(rule.match, profiles),
            when=rule.when,
            because=rule.because,
            document=shared,
            needed=matching.needed(document, rule, profiles),
        )


def _variables(seen: Seen) -> tuple[str, ...]:
    return seen.verb, seen.event, seen.type


class _Opened:
    """One statement as the rules see it; what several rules need is worked out once, when first needed."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self._documents: dict[str, bool | EvaluationError] = {}

    @cached_property
    def item(self) -> Item:
        seen, statement = self.seen, self.seen.statement
        return Item(
            {
                "statement": statement,
                "actor": map_at(statement, "actor"),
                "verb": seen.verb,
                "object": seen.object,
                "result": map_at(statement, "result"),
                "context": seen.context,
                "event": seen.event,
                "type": seen.type,
                "parents": seen.ids("parent", "grouping"),
            }
        )

    @cached_property
    def actor(self) -> _Agent | None:
        return _identified(map_at(self.seen.statement, "actor"))

    @cached_property
    def timestamp(self) -> datetime:
        """The time of the event; an LRS adds `timestamp` where the sender had none, and `stored` always."""
        try:
            return moment(self.seen.statement.get("timestamp") or self.seen.statement.get("stored"))
        except (TypeError, ValueError) as err:
            raise EvaluationError("timestamp", str(err)) from err

    def holds(self, rule: _Rule) -> bool:
        """Tell whether a rule and its document match. Raises EvaluationError."""
        return (
            self.document_holds(rule.document)
            and all(condition.holds(self.seen) for condition in rule.conditions)
            and (rule.when is None or self.item.holds(rule.when))
        )

    def document_holds(self, document: _Document) -> bool:
        """Tell whether what holds for all of a document does. Raises EvaluationError."""
        if not document.conditions and document.when is None:
            return True
        found = self._documents.get(document.name)
        if found is None:
            found = self._documents[document.name] = self._try(document)
        if isinstance(found, EvaluationError):
            raise found
        return found

    def _try(self, document: _Document) -> bool | EvaluationError:
        try:
            held = all(condition.holds(self.seen) for condition in document.conditions)
            return held and (document.when is None or self.item.holds(document.when))
        except EvaluationError as err:
            return err


def _fact(rule: _Rule, opened: _Opened) -> LearningFact | None:
    """Give the fact of a rule that matches; None where nobody can be told to be its learner. Raises EvaluationError."""
    learner = opened.actor
    values: dict[str, Any] = {}
    for key, expression in rule.values:
        value = values[key] = _READ[key](opened.item, expression)
        if value is None and key in rule.required:
            raise EvaluationError(expression, f"it gave null, and this rule requires {key!r}")
        if key == "learner" and (learner := value) is None:
            return None
    if learner is None:
        if "learner" in rule.required:
            raise EvaluationError("actor", "it is an anonymous group, and this rule requires 'learner'")
        return None
    if values["activity"] is None:
        raise EvaluationError(dict(rule.values)["activity"], "it gave null, and a fact must be about an activity")
    value = values.pop(VALUE_OF_FACTS.get(rule.fact, ""), None)
    if isinstance(value, str):
        values["answer"], value = value, None
    return LearningFact(
        rule=rule.name,
        kind=rule.fact,
        alias_key=learner.alias_key,
        actor_name=learner.name,
        occurred_at=values.get("occurred_at") or opened.timestamp,
        activity=values["activity"],
        course=values.get("course"),
        attempt=values.get("attempt"),
        value=value,
        success=values.get("success"),
        detail={key: found for key, found in values.items() if found is not None and key not in _OF_THE_FACT},
    )


def _identified(agent: dict[str, Any]) -> _Agent | None:
    alias_key = aliases.of_actor(agent)
    return _Agent(alias_key, text_at(agent, "name") or None) if alias_key else None


def _agent(item: Item, expression: Expression) -> _Agent | None:
    """Give who an agent or group is; None for null and for an anonymous group."""
    agent = item.value(expression)
    if agent is None:
        return None
    if not isinstance(agent, dict):
        raise EvaluationError(
            expression, f"it gave {type_of(agent)} ({shown(agent)}), an agent is expected, like actor"
        )
    found = _identified(agent)
    if found is None and agent.get("objectType") != "Group":
        raise EvaluationError(expression, "it gave a map without mbox, mbox_sha1sum, openid or account; it is no agent")
    return found


def _alias_key(item: Item, expression: Expression) -> str | None:
    agent = _agent(item, expression)
    return agent.alias_key if agent else None


def _share(item: Item, expression: Expression, *, cure: str) -> float | None:
    share = item.number(expression)
    if share is not None and not 0 <= share <= 1:
        raise EvaluationError(expression, f"it gave {share:g}; 0 to 1 is expected: {cure}")
    return share


def _answer(item: Item, expression: Expression) -> float | str | None:
    value = item.value(expression)
    return item.text(expression) if isinstance(value, str) else item.number(expression)


def _seconds(item: Item, expression: Expression) -> float | None:
    """Read seconds: a number of them, a CEL duration, or an ISO 8601 text."""
    value = item.value(expression)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if not isinstance(value, str):
        return item.number(expression)
    try:
        return duration_seconds(value)
    except ValueError as err:
        raise EvaluationError(expression, str(err)) from err


def _time_text(item: Item, expression: Expression) -> str | None:
    found = item.moment(expression)
    return found.isoformat().replace("+00:00", "Z") if found else None


_READ: Mapping[str, Callable[[Item, Expression], Any]] = {
    "learner": _agent,
    "activity": Item.text,
    "course": Item.text,
    "attempt": Item.text,
    "occurred_at": Item.moment,
    "duration": _seconds,
    "score": partial(_share, cure="use fraction(result.score)"),
    "success": Item.flag,
    "progress": partial(_share, cure="divide by 100.0"),
    "level": Item.number,
    "by": _alias_key,
    "question": Item.text,
    "answer": _answer,
    "what": Item.text,
    "due": _time_text,
    "category": Item.text,
    "text": Item.text,
}
"""How the value of each key is read."""


def _trace(rule: _Rule, opened: _Opened, content_hash: str) -> RuleTrace:
    values: list[Evaluated] = []

    def told(because: str, *, matched: bool = False, **rest: Any) -> RuleTrace:  # noqa: ANN401 - as RuleTrace has them
        return RuleTrace(
            rule.name, content_hash, tried=True, matched=matched, because=because, values=tuple(values), **rest
        )

    def failed(because: str, err: EvaluationError, *, matched: bool) -> RuleTrace:
        return told(because, matched=matched, failure=Failure(rule.name, err.expression, err.reason))

    for prefix, conditions, when in (
        ("document.", rule.document.conditions, rule.document.when),
        ("", rule.conditions, rule.when),
    ):
        try:
            refused = next((one for one in conditions if not one.holds(opened.seen)), None)
        except EvaluationError as err:
            return failed(f"{prefix}match cannot be evaluated", err, matched=False)
        if refused:
            return told(f"{prefix}{refused.refusal(opened.seen)}")
        if when is None:
            continue
        values.append(_evaluated(f"{prefix}when", when, opened.item))
        try:
            if not opened.item.holds(when):
                return told(f"{prefix}when is {'null' if values[-1].value is None else 'false'}")
        except EvaluationError as err:
            return failed(f"{prefix}when cannot be evaluated", err, matched=False)
    if rule.fact is FactKind.NOTHING:
        return told(f"left out on purpose: {rule.because}", matched=True)
    values += (_evaluated(key, expression, opened.item) for key, expression in rule.values)
    try:
        fact = _fact(rule, opened)
    except EvaluationError as err:
        return failed("all conditions hold, but a value cannot be read", err, matched=True)
    if fact is None:
        return told("all conditions hold, but nobody can be told to be the learner", matched=True)
    return told("all conditions hold", matched=True, facts=(fact,))


def _evaluated(key: str, expression: Expression, item: Item) -> Evaluated:
    try:
        return Evaluated(key, str(expression), value=item.value(expression))
    except EvaluationError as err:
        return Evaluated(key, str(expression), error=err.reason)
