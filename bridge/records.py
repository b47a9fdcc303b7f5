"""The unified learner-to-performance record: one row for each learner and program, built set-wise from facts.

The rules guarded here:

- A learner has a record in a program as soon as one learning fact touches its courses or activities.
- An activity is completed at its earliest `completed` at or after its latest `uncompleted`: Moodle sends both in the
  same second, in either order, and then `completed` holds.
- Only facts that count are read (the view `counted_fact`): of rules in force, and not of voided statements, whichever
  of the two statements came first.
- The window before is [completed - days, completed), the window since is [completed, completed + days): half-open, so
  that nothing counts twice. Without a completion there is no before and no since.
- A mean is weighted by the facts' shares and taken over exact decimals, so that it does not depend on the order of
  rows.
- Only those of a program's population have a record in it, whoever else has facts in its courses: teachers, testers.
- A test says what was remembered when it was taken three days or more after completion (LTEM, tiers 4 to 6).
- Records are a pure function of facts, aliases, attributes and the program: a refresh of some learners and a refresh of
  all give the same rows.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, TextClause, delete, select, text
from sqlalchemy.orm import Session

from bridge import panel
from bridge.mapping import Behaviour, FactKind, LearningFact, Metric, Program
from bridge.mapping.kinds import Family
from bridge.models import Built, Record, StaleAlias
from bridge.panel import POPULATION

# Kinds that others cause: they say nothing of when the learner was last active.
_NOT_THE_LEARNERS_OWN = ("enrolled", "unenrolled", "uncompleted")

TIERS: Mapping[FactKind, int] = {
    FactKind.ENROLLED: 1,
    FactKind.STARTED: 1,
    FactKind.COMPLETED: 1,
    FactKind.PROGRESSED: 2,
    FactKind.SURVEYED: 3,
    FactKind.ASSESSED: 4,
    FactKind.COMMITTED: 4,
    FactKind.PRACTISED: 5,
    FactKind.APPLIED: 7,
    FactKind.OBSERVED: 7,
}
"""Tiers of LTEM (Thalheimer, Learning-Transfer Evaluation Model, 2018) that facts are evidence of.

1 attendance, 2 activity, 3 perceptions, 4 knowledge, 5 and 6 decision and task competence, 7 transfer. The eighth,
effects of transfer, is no matter of facts but of `bridge.impact`.
"""
REMEMBERED_AFTER_DAYS = 3
MATCHES = ("override", "roster", "link", "email", "mbox_sha1sum", "own")
"""How an alias may be known to be a learner's, the surest first: the first word of `Alias.rule`."""

# Which facts make which figure. Building records and telling where a figure comes from both go by these.
_ENROLLED = "kind = 'enrolled' and activity = any(cast(:courses as text[]))"
_ASSESSED = "kind = 'assessed' and activity = any(cast(:assessments as text[]))"
_REMEMBERED = f"{_ASSESSED} and occurred_at >= completion.at + make_interval(days => {REMEMBERED_AFTER_DAYS})"
_COMPLETES = "activity = any(cast(:completion as text[]))"
_OWN = "kind <> all(cast(:not_own as text[]))"
_TIER = "cast(cast(:tiers as jsonb) ->> kind as integer)"
_IN_WINDOWS = """
    (counted_fact fact join alias on alias.id = fact.alias_id)
        on alias.learner_id = record.learner_id and fact.metric = metric.name
        and fact.occurred_at >= record.completed_at - make_interval(hours => :hours)
        and fact.occurred_at < record.completed_at + make_interval(hours => :hours)
"""
_BEFORE, _SINCE = "fact.occurred_at < record.completed_at", "fact.occurred_at >= record.completed_at"

_LEARNING = """
    learning as (
        select alias.learner_id, fact.kind, fact.activity, fact.course, fact.attempt, fact.value, fact.occurred_at,
            case when fact.course = any(cast(:courses as text[])) then fact.course
                when fact.activity = any(cast(:courses as text[])) then fact.activity end as taken,
            array_position(cast(:matches as text[]), split_part(alias.rule, ' ', 1)) as match{more}
        from counted_fact fact
        join alias on alias.id = fact.alias_id
        where fact.kind is not null and alias.learner_id is not null
        and (cast(:everyone as boolean) or alias.learner_id = any(cast(:learners as bigint[])))
        and (fact.course = any(cast(:courses as text[])) or fact.activity = any(cast(:activities as text[])))
        and {population}
    )
""".replace("{population}", POPULATION.format(learner="alias.learner_id"))

_FIGURES = f"""
    undone as (
        select learner_id, activity, max(occurred_at) as at from learning where kind = 'uncompleted' group by 1, 2
    ),
    done as (
        select learning.learner_id, learning.activity, min(learning.occurred_at) as at
        from learning left join undone using (learner_id, activity)
        where learning.kind = 'completed' and {_COMPLETES}
        and (undone.at is null or learning.occurred_at >= undone.at)
        group by 1, 2
    ),
    completion as (
        select learner_id, case when :need = 'any' then min(at)
            when count(*) = cardinality(cast(:completion as text[])) then max(at) end as at
        from done group by 1
    ),
    summary as (
        select learner_id,
            min(occurred_at) filter (where {_ENROLLED}) as enrolled_at,
            count(distinct attempt) filter (where {_ASSESSED}) as attempts,
            max(value) filter (where {_ASSESSED}) as best_score,
            max(occurred_at) filter (where {_OWN}) as last_activity_at,
            max(value) filter (where {_REMEMBERED}) as remembered_score,
            (cast(:matches as text[]))[max(match)] as match,
            coalesce(array_agg(distinct taken collate "C" order by taken collate "C")
                filter (where taken is not null), '{{}}') as courses
        from learning left join completion using (learner_id) group by 1
    ),
    evidence as (
        select learner_id, jsonb_object_agg(tier, number) as tiers
        from (
            select learner_id, {_TIER} as tier, count(*) as number from learning group by 1, 2
        ) as counted where tier is not null group by 1
    )
"""  # noqa: S608 - no value is put into the text, only the common parts

_STORE = text(f"""
    with {_LEARNING.format(more="")}, {_FIGURES}
    insert into record (program, learner_id, enrolled_at, attempts, completed_at, best_score, last_activity_at,
        remembered_score, tiers, match, courses)
    select :program, learner_id, enrolled_at, attempts, completion.at, best_score, last_activity_at,
        remembered_score, coalesce(tiers, '{{}}'), match, courses
    from summary left join completion using (learner_id) left join evidence using (learner_id)
    order by learner_id
    on conflict (program, learner_id) do update set
        enrolled_at = excluded.enrolled_at, attempts = excluded.attempts, completed_at = excluded.completed_at,
        best_score = excluded.best_score, last_activity_at = excluded.last_activity_at,
        remembered_score = excluded.remembered_score, tiers = excluded.tiers, match = excluded.match,
        courses = excluded.courses
    returning id
""")  # noqa: S608 - no value is put into the text, only the common part

_DROP_OTHERS = text("""
    delete from record
    where program = :program and id <> all(cast(:kept as bigint[]))
    and (cast(:everyone as boolean) or learner_id = any(cast(:learners as bigint[])))
""")

_STORE_METRICS = text(f"""
    with fresh as (
        select record.id as record_id, metric.name as metric,
            sum(fact.value::numeric * fact.weight::numeric) filter (where {_BEFORE})
                / sum(fact.weight::numeric) filter (where {_BEFORE}) as before_mean,
            count(fact.value) filter (where {_BEFORE}) as before_count,
            sum(fact.value::numeric * fact.weight::numeric) filter (where {_SINCE})
                / sum(fact.weight::numeric) filter (where {_SINCE}) as since_mean,
            count(fact.value) filter (where {_SINCE}) as since_count
        from record
        cross join unnest(cast(:metrics as text[])) as metric (name)
        left join {_IN_WINDOWS}
        where record.id = any(cast(:records as bigint[]))
        group by record.id, metric.name
    ),
    gone as (
        delete from record_metric
        where record_id = any(cast(:records as bigint[])) and metric <> all(cast(:metrics as text[]))
    )
    insert into record_metric (record_id, metric, before_mean, before_count, since_mean, since_count)
    select record_id, metric, before_mean, before_count, since_mean, since_count from fresh order by 1, 2
    on conflict (record_id, metric) do update set
        before_mean = excluded.before_mean, before_count = excluded.before_count,
        since_mean = excluded.since_mean, since_count = excluded.since_count
""")  # noqa: S608 - as above

_STORE_BEHAVIOUR = """
    with fresh as (
        select record.id as record_id,
            coalesce(sum({uses}) filter (where {before}), 0) as before_uses,
            sum({opportunities}) filter (where {before}) as before_opportunities,
            coalesce(sum({uses}) filter (where {since}), 0) as since_uses,
            sum({opportunities}) filter (where {since}) as since_opportunities,
            min(fact.occurred_at) filter (where {first}) as first_at
        from record left join {in_windows}
        where record.id = any(cast(:records as bigint[]))
        group by record.id
    )
    insert into record_behaviour (record_id, behaviour, before_uses, before_opportunities, since_uses,
        since_opportunities, first_at)
    select record_id, :behaviour, before_uses, before_opportunities, since_uses, since_opportunities, first_at
    from fresh order by 1
    on conflict (record_id, behaviour) do update set
        before_uses = excluded.before_uses, before_opportunities = excluded.before_opportunities,
        since_uses = excluded.since_uses, since_opportunities = excluded.since_opportunities,
        first_at = excluded.first_at
"""
_BEHAVIOUR_EVIDENCE = """
    select cast(:behaviour as text) || made.part as figure, fact.rule_id, fact.origin, fact.alias_id
    from record join {in_windows}
    cross join lateral (values (' before', {before}), (' since', {since}), (' first', {first})) as made (part, by_this)
    where record.program = :program and record.learner_id = any(cast(:learners as bigint[])) and made.by_this
"""


@dataclass(frozen=True, slots=True)
class _Shown:
    """How facts show a behaviour.

    Uses are what the evidence counts; where it is a metric of yes and no, what it does not count were opportunities
    too. All are SQL over `fact`, and nothing of a user is put into them.
    """

    by: str
    """Which facts."""
    uses: str
    """How many uses a fact is."""
    opportunities: str
    uses_how: str
    """How uses come of the facts, in words."""
    opportunities_how: str

    def storing(self) -> TextClause:
        """Store it of records."""
        return self._with_parts(_STORE_BEHAVIOUR)

    def evidence(self) -> TextClause:
        """Select the facts that make it, of a learner's record."""
        return self._with_parts(_BEHAVIOUR_EVIDENCE)

    def _with_parts(self, statement: str) -> TextClause:
        in_windows = f"""
            (counted_fact fact join alias on alias.id = fact.alias_id)
                on alias.learner_id = record.learner_id and {self.by}
                and fact.occurred_at >= record.completed_at - make_interval(hours => :hours)
                and fact.occurred_at < record.completed_at + make_interval(hours => :hours)
        """
        parts = {"uses": self.uses, "opportunities": self.opportunities, "in_windows": in_windows}
        windows = {"before": _BEFORE, "since": _SINCE, "first": f"{_SINCE} and {self.uses} > 0"}
        return text(statement.format(**parts, **windows))


_EACH = "how many these are"
_WEIGHED = "the sum of these values, each counted by its weight"
_NO_OPPORTUNITIES = "none, as these do not say how often it could have been done"
_NOTHING = "none, as the program does not say what shows it"
_SHOWN_BY_FACTS = """fact.kind = :kind
    and (fact.course = any(cast(:courses as text[])) or fact.activity = any(cast(:activities as text[])))
    and (cardinality(cast(:what as text[])) = 0 or fact.detail ->> 'what' = any(cast(:what as text[])))
"""
_SHOWN_BY_METRIC = "fact.metric = :metric"
_WEIGHED_VALUE, _UNKNOWN = "fact.value::numeric * fact.weight::numeric", "null::float8"
_BY_FACTS = _Shown(_SHOWN_BY_FACTS, "1", _UNKNOWN, _EACH, _NO_OPPORTUNITIES)
_SHARES = _Shown(_SHOWN_BY_METRIC, _WEIGHED_VALUE, "fact.weight::numeric", _WEIGHED, "the sum of the weights of these")
_BY_METRIC: Mapping[Family | None, _Shown] = {
    **dict.fromkeys((Family.BINARY, Family.RATE), _SHARES),
    Family.COUNT: _Shown(_SHOWN_BY_METRIC, _WEIGHED_VALUE, _UNKNOWN, _WEIGHED, _NO_OPPORTUNITIES),
    None: _Shown(_SHOWN_BY_METRIC, "1", _UNKNOWN, _EACH, _NO_OPPORTUNITIES),
}
"""By family: a share of cases, a number of uses; of all others each case is one."""
_DROP_BEHAVIOURS = text("""
    delete from record_behaviour
    where record_id = any(cast(:records as bigint[])) and behaviour <> all(cast(:behaviours as text[]))
""")

_EVIDENCE = text(f"""
    with {_LEARNING.format(more=", fact.rule_id, fact.origin, fact.alias_id")}
    select figure, rule_id, origin, alias_id from learning cross join lateral (values
        ('enrolled_at', {_ENROLLED}),
        ('attempts', {_ASSESSED} and attempt is not null),
        ('completed_at', {_COMPLETES} and kind in ('completed', 'uncompleted')),
        ('best_score', {_ASSESSED} and value is not null),
        ('remembered_score', {_ASSESSED} and value is not null and occurred_at >= (
            select completed_at + make_interval(days => {REMEMBERED_AFTER_DAYS}) from record
            where record.program = :program and record.learner_id = any(cast(:learners as bigint[])))),
        ('last_activity_at', {_OWN} and occurred_at = (select max(occurred_at) from learning where {_OWN})),
        ('tiers', {_TIER} is not null),
        ('highest_tier', {_TIER} = (select max({_TIER}) from learning)),
        ('match', match = (select max(match) from learning))
    ) as made (figure, by_this) where by_this
    union all
    select metric.name || case when {_BEFORE} then '_before' else '_since' end, fact.rule_id, fact.origin, fact.alias_id
    from record cross join unnest(cast(:metrics as text[])) as metric (name)
    join {_IN_WINDOWS}
    where record.program = :program and record.learner_id = any(cast(:learners as bigint[]))
""")  # noqa: S608 - as above


def refresh_all(session: Session, programs: Iterable[Program], metrics: Mapping[str, Metric]) -> int:
    """Build every record and the panel anew, and drop those of programs that are gone; gives the number of records.

    `metrics`: all that there are, by name.
    """
    programs = list(programs)
    session.execute(delete(StaleAlias))
    session.execute(delete(Record).where(Record.program.not_in([program.name for program in programs])))
    panel.refresh_all(session, panel.metrics(programs))
    return sum(_refresh(session, program, metrics, learners=None) for program in programs)


def refresh_stale(
    session: Session, programs: Iterable[Program], metrics: Mapping[str, Metric], *, limit: int = 5_000
) -> int:
    """Build the records and cells of learners whose facts have changed; gives the number of marks worked off, 0: done.

    Marks are read before facts, so a mark deleted here is one whose facts this transaction has seen.
    """
    marks = session.execute(
        text("""
            with taken as (delete from stale_alias where id in (
                select id from stale_alias order by id limit :limit) returning alias_id)
            select count(*), coalesce(array_agg(distinct alias.learner_id) filter (where learner_id is not null), '{}')
            from taken join alias on alias.id = taken.alias_id
        """),
        {"limit": limit},
    ).one()
    if marks[1]:
        programs = list(programs)
        panel.refresh(session, panel.metrics(programs), marks[1])
        for program in programs:
            _refresh(session, program, metrics, learners=marks[1])
    return int(marks[0])


def evidence(session: Session, program: Program, metrics: Mapping[str, Metric], learner_id: int) -> Sequence[Row[Any]]:
    """Give (figure, rule_id, origin, alias_id) of each fact that a figure of a learner's record is made of.

    Figures are called as the columns of `Record`, and `highest_tier`; those of a metric `<metric>_before` and
    `<metric>_since`, of a behaviour `<behaviour> before`, `<behaviour> since` and `<behaviour> first` (the uses among
    the latter, which decide `first_at`). Of what makes `last_activity_at` only the last is given, and for `match` only
    what is known in the weakest way. `metrics`: all that there are, by name.
    """
    scope = {"everyone": False, "learners": [learner_id]}
    named = {"metrics": list(program.metrics), "hours": 24 * program.window_days}
    found = list(session.execute(_EVIDENCE, scope | named | _parameters(program)))
    scope = {"program": program.name, "learners": [learner_id], "hours": 24 * program.window_days}
    for behaviour in program.behaviours:
        if shown := _shown(program, behaviour, metrics):
            how, values = shown
            found += session.execute(how.evidence(), scope | values | {"behaviour": behaviour.name})
    return found


def counting(program: Program, behaviour: Behaviour, metrics: Mapping[str, Metric]) -> tuple[str, str]:
    """Say how the uses of a behaviour, and the opportunities, come of the facts that show it."""
    shown = _shown(program, behaviour, metrics)
    return (shown[0].uses_how, shown[0].opportunities_how) if shown else (_NOTHING, _NOTHING)


def contributions(program: Program, fact: LearningFact) -> dict[str, object]:
    """Give what a learning fact brings to each figure, called as by `evidence`, that it has a part in.

    Of tiers, `match` and behaviours it says nothing. What moves the completion moves its windows, and so every metric's
    figures. Whether a score was remembered, the fact alone does not say.
    """
    touched = {*program.courses, *activities(program)}
    if fact.course not in program.courses and fact.activity not in touched:
        return {}
    brought: dict[str, object] = {}
    if fact.kind == FactKind.ENROLLED and fact.activity in program.courses:
        brought["enrolled_at"] = fact.occurred_at
    if fact.kind == FactKind.ASSESSED and fact.activity in program.assessments:
        brought |= {"attempts": fact.attempt, "best_score": fact.value}
    if fact.kind in (FactKind.COMPLETED, FactKind.UNCOMPLETED) and fact.activity in program.completion.of:
        windows = [f"{metric}_{window}" for metric in program.metrics for window in ("before", "since")]
        brought |= dict.fromkeys(["completed_at", *windows], (fact.kind, fact.activity, fact.occurred_at))
    if fact.kind not in _NOT_THE_LEARNERS_OWN:
        brought["last_activity_at"] = fact.occurred_at
    return {figure: value for figure, value in brought.items() if value is not None}


def signature(session: Session) -> str | None:
    """Say what all records were last built from; None when they never were."""
    return session.scalar(select(Built.signature).where(Built.part == "records"))


def _refresh(
    session: Session, program: Program, metrics: Mapping[str, Metric], *, learners: Sequence[int] | None
) -> int:
    scope = {"everyone": learners is None, "learners": list(learners or [])}
    kept = session.scalars(_STORE, scope | _parameters(program)).all()
    session.execute(_DROP_OTHERS, scope | {"program": program.name, "kept": list(kept)})
    session.execute(
        _STORE_METRICS,
        {
            "records": list(kept),
            "metrics": list(program.metrics),
            "hours": 24 * program.window_days,
        },
    )
    scope = {"records": list(kept), "hours": 24 * program.window_days}
    session.execute(_DROP_BEHAVIOURS, scope | {"behaviours": [behaviour.name for behaviour in program.behaviours]})
    for behaviour in program.behaviours:
        _refresh_behaviour(session, program, behaviour, metrics, scope)
    return len(kept)


def _refresh_behaviour(
    session: Session, program: Program, behaviour: Behaviour, metrics: Mapping[str, Metric], scope: dict[str, Any]
) -> None:
    if shown := _shown(program, behaviour, metrics):
        how, values = shown
        session.execute(how.storing(), scope | values | {"behaviour": behaviour.name})


def _shown(
    program: Program, behaviour: Behaviour, metrics: Mapping[str, Metric]
) -> tuple[_Shown, dict[str, Any]] | None:
    """Give how facts show a behaviour, with the values that this asks for; None if it has no evidence."""
    evidence = behaviour.evidence
    if evidence is None:
        return None
    if evidence.metric:
        family = metrics[evidence.metric].family if evidence.metric in metrics else None
        return _BY_METRIC.get(family, _BY_METRIC[None]), {"metric": evidence.metric}
    wanted = {"kind": evidence.fact, "what": list(evidence.what)}
    everywhere = {"courses": [], "activities": list(evidence.activities)}
    of_program = {key: _parameters(program)[key] for key in everywhere}
    return _BY_FACTS, wanted | (everywhere if evidence.activities else of_program)


def _parameters(program: Program) -> dict[str, Any]:
    return {
        "program": program.name,
        "courses": list(program.courses),
        "assessments": list(program.assessments),
        "completion": list(program.completion.of),
        "need": program.completion.need,
        "activities": activities(program),
        "not_own": list(_NOT_THE_LEARNERS_OWN),
        "population": panel.population(program),
        "tiers": json.dumps(TIERS),
        "matches": list(MATCHES),
    }


def activities(program: Program) -> list[str]:
    """Give the activities whose facts make records: those of skills too, for they are where it is practised."""
    practised = [activity for skill in program.skills for activity in skill.activities]
    return [*program.courses, *program.assessments, *program.completion.of, *practised]
