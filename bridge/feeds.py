"""The five feeds: what stands in the rows that leave for an LMS, worked out piece by piece from what is known here.

| feed | a row is | key | its body says |
|---|---|---|---|
| records | a learner in a program | `<learner>/<program>` | when and how well it was learned, how often it was used |
| measures | one of its metrics | `<learner>/<program>/<metric>` | means before and since completion |
| impacts | what a program changed | `<program>/<metric>/<horizon>` | verdict, sentence, effect with its interval |
| readiness | a learner in a skill | `<learner>/<program>/<skill>` | how ready they are, and what to practise next |
| health | a source, stream, destination, forward or estimate | `<kind>/<name>` | how it is doing |

The rules guarded here:

- Nothing is claimed that is not known: no level where evidence is thin, no figures where an effect is hidden, no next
  practice where neither a skill below what is required nor a behaviour that was not seen since training is known.
- Readiness is that of the end of the day and rounded, so that it changes when something happened and not by itself.
- How things are doing is told at once when it changes, and else every `HEARTBEAT`: a time that moves is no news.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from bridge import health, impacts, programs, publishing, readiness
from bridge.mapping import Documents, Program
from bridge.mapping.kinds import Skill
from bridge.narrowing import TEAM
from bridge.publishing import PUBLIC_ID
from bridge.readiness import Standing
from bridge.reports import TIER_NAMES
from bridge.times import utc_text

VERSION = 1
"""Raised when rows would come out otherwise than before, of the same records."""
PAGE = 1_000
"""Learners whose rows are stored in one transaction."""
HEARTBEAT = timedelta(minutes=15)

_LAST = 2**63 - 1

_PERSON = rf"""
    person as (
        select learner.id, {PUBLIC_ID} as public, learner.attributes, learner.attributes ->> '{TEAM}' as team,
            jsonb_build_object(
                'accounts', coalesce((
                    select jsonb_agg(jsonb_build_object(
                        'home_page', substr(alias.key, 9, strpos(alias.key, '|') - 9),
                        'name', substr(alias.key, strpos(alias.key, '|') + 1)) order by alias.key collate "C")
                    from alias where alias.learner_id = learner.id and alias.key like 'account:%|%'), '[]'),
                'emails', coalesce((
                    select jsonb_agg(substr(alias.key, 13) order by alias.key collate "C")
                    from alias where alias.learner_id = learner.id and alias.key like 'mbox\:mailto\:%'), '[]'),
                'idnumber', (
                    select min(substr(alias.key, 10)) from alias
                    where alias.learner_id = learner.id and alias.key like 'employee:%' having count(*) = 1),
                'username', null::text,
                'name', coalesce(learner.name, '')
            ) as person
        from learner where learner.id > :low and learner.id <= :high
    ),
    program as (
        select * from jsonb_to_recordset(cast(:programs as jsonb)) as given (name text, title text, team text,
            role text, courses jsonb, behaviour text, does text, url text)
    ),
    metric as (
        select * from jsonb_to_recordset(cast(:metrics as jsonb)) as given (program text, name text, title text,
            unit text, direction text)
    )
"""  # noqa: S608 - no value is put into the text, only the common parts


def _utc(column: str) -> str:
    return rf"""to_char({column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24\:MI\:SS"Z"')"""


# A skill below what is required comes first, the lowest before others; else what was not seen since training.
_NEXT = """
    coalesce(lowest.next_practice, case
        when since_uses = 0 and coalesce(since_opportunities, 1) > 0 and program.does is not null
        then 'Not seen at work since training: a person who was trained ' || program.does || '.'
    end)
"""
_RECORDS = publishing.storing(f"""
    with {_PERSON}
    select person.public || '/' || record.program as key, person.id as learner_id, record.program, person.team,
        record.courses, person.person,
        jsonb_build_object(
            'program', record.program,
            'program_title', program.title,
            'team', person.attributes ->> program.team,
            'role', person.attributes ->> program.role,
            'enrolled_at', {_utc("record.enrolled_at")},
            'completed_at', {_utc("record.completed_at")},
            'attempts', record.attempts,
            'best_score', record.best_score,
            'last_activity_at', {_utc("record.last_activity_at")},
            'remembered_score', record.remembered_score,
            'highest_tier', reached.tier,
            'highest_tier_name', cast(:tiers as jsonb) ->> reached.tier::text,
            'uses_before', before_uses,
            'rate_before', before_uses / nullif(before_opportunities, 0),
            'uses_since', since_uses,
            'rate_since', since_uses / nullif(since_opportunities, 0),
            'days_to_first', round(extract(epoch from first_at - record.completed_at) / 86400, 1),
            'match', record.match,
            'courses', program.courses,
            'next_practice', {_NEXT},
            'url', program.url
        ) as body
    from person join record on record.learner_id = person.id join program on program.name = record.program
    left join record_behaviour behaviour on behaviour.record_id = record.id
        and behaviour.behaviour = program.behaviour and record.completed_at is not null
    left join lateral (select max(tier::integer) as tier from jsonb_object_keys(record.tiers) as tier) reached on true
    left join lateral (
        select body ->> 'next_practice' as next_practice from published_row known
        where known.feed = 'readiness' and known.learner_id = person.id and known.program = record.program
        and not known.deleted and known.body ->> 'state' = 'not yet'
        order by (known.body ->> 'level')::float8, known.key limit 1
    ) lowest on true
""")  # noqa: S608 - as above
_RECORDS_GONE = publishing.burying("""
    not exists (select from record where record.learner_id = held.learner_id and record.program = held.program)
""")

_MEASURES = publishing.storing(f"""
    with {_PERSON}
    select person.public || '/' || record.program || '/' || metric.name as key, person.id as learner_id,
        record.program, person.team, record.courses, person.person,
        jsonb_build_object(
            'program', record.program,
            'program_title', program.title,
            'team', person.attributes ->> program.team,
            'metric', metric.name,
            'metric_title', metric.title,
            'unit', metric.unit,
            'direction', metric.direction,
            'before_mean', measure.before_mean,
            'before_count', measure.before_count,
            'since_mean', measure.since_mean,
            'since_count', measure.since_count
        ) as body
    from person join record on record.learner_id = person.id join program on program.name = record.program
    join record_metric measure on measure.record_id = record.id
    join metric on metric.program = record.program and metric.name = measure.metric
""")  # noqa: S608 - as above
_MEASURES_GONE = publishing.burying("""
    not exists (
        select from record join record_metric measure on measure.record_id = record.id
        where record.learner_id = held.learner_id and record.program = held.program
        and measure.metric = held.body ->> 'metric')
""")

_GIVEN = """
    given as (
        select * from jsonb_to_recordset(cast(:rows as jsonb)) as given (learner bigint, skill text, body jsonb)
    )
"""
_READINESS = publishing.storing(f"""
    with {_PERSON}, {_GIVEN}
    select person.public || '/' || cast(:program as text) || '/' || given.skill as key, person.id as learner_id,
        cast(:program as text) as program, person.team, coalesce(record.courses, '{{}}') as courses, person.person,
        given.body
    from given join person on person.id = given.learner
    left join record on record.learner_id = person.id and record.program = :program
""")  # noqa: S608 - as above
_READINESS_GONE = publishing.burying("""
    held.program = :program and held.learner_id > :low and held.learner_id <= :high and not exists (
        select from jsonb_to_recordset(cast(:rows as jsonb)) as given (learner bigint, skill text)
        where given.learner = held.learner_id and given.skill = held.body ->> 'skill')
""")
_OTHER_PROGRAMS_GONE = publishing.burying("not held.program = any(cast(:known as text[]))")

_OF_NOBODY = """
    select given.key, null::bigint as learner_id, given.program, null::text as team, cast('{}' as text[]) as courses,
        null::jsonb as person, given.body
    from jsonb_to_recordset(cast(:rows as jsonb)) as given (key text, program text, body jsonb)
"""
_STORE_OF_NOBODY = publishing.storing(_OF_NOBODY)
_VOLATILE = "'last_success_at', 'lag_seconds', 'rows', 'quarantined', 'unmatched'"
_STORE_HEALTH = publishing.storing(
    _OF_NOBODY,
    unless=f"""held.changed_at > cast(:now as timestamptz) - cast(:heartbeat as interval)
        and held.body - array[{_VOLATILE}] = summed.body - array[{_VOLATILE}]""",
)
_OTHERS_GONE = publishing.burying("""
    held.key not in (select key from jsonb_to_recordset(cast(:rows as jsonb)) as given (key text))
""")

_NEXT_LEARNERS = text("""
    select max(learner_id) from (
        select distinct learner_id from record where learner_id > :low order by learner_id limit :page
    ) as these
""")


@dataclass(frozen=True, slots=True)
class Piece:
    """What was stored of a feed, to be committed."""

    feed: str
    written: int
    """Rows that differed, tombstones too."""


def basis(session: Session, documents: Documents, *, now: datetime, url: str | None) -> str:
    """Say what people's rows would be made of now: another word when they may come out otherwise."""
    content = sha256(documents.to_text().encode()).hexdigest()
    return f"{VERSION} {publishing.what_changed(session)} {content} {url} {now.date()}"


def of_people(session: Session, documents: Documents, *, now: datetime, url: str | None) -> Iterator[Piece]:
    """Store readiness, records and measures where they differ, a piece at a time: whoever calls commits after each.

    `url`: where people reach the pages of this server.
    """
    salt = publishing.salt(session)
    yield from _readiness(session, documents, now, salt)
    yield from _records(session, documents, salt, url)


def of_effects(session: Session, documents: Documents) -> Iterator[Piece]:
    """Store what programs changed, as it was estimated last."""
    values = {"feed": "impacts", "rows": json.dumps(list(_impacts(session, documents)))}
    yield _piece(session, _STORE_OF_NOBODY, values)


def of_health(session: Session, documents: Documents, *, now: datetime) -> Iterator[Piece]:
    """Store how everything is doing."""
    rows = [
        {"key": f"{row['kind']}/{row['name']}", "program": None, "body": row}
        for row in health.rows(session, documents, now=now)
    ]
    values = {"feed": "health", "rows": json.dumps(rows), "now": now, "heartbeat": HEARTBEAT}
    yield _piece(session, _STORE_HEALTH, values)


def _piece(session: Session, statement: TextClause, values: dict[str, Any]) -> Piece:
    written = publishing.run(session, statement, values)
    return Piece(str(values["feed"]), written + publishing.run(session, _OTHERS_GONE, values))


# --- learners in programs ---------------------------------------------------------------------------------------------


def _records(session: Session, documents: Documents, salt: str, url: str | None) -> Iterator[Piece]:
    known = {
        "salt": salt,
        "programs": json.dumps([_program(documents, one, url) for one in documents.programs.values()]),
        "metrics": json.dumps(_metrics(documents)),
        "tiers": json.dumps({str(tier): name for tier, name in TIER_NAMES.items()}),
    }
    low = 0
    while (high := session.scalar(_NEXT_LEARNERS, {"low": low, "page": PAGE})) is not None:
        for feed, statement in (("records", _RECORDS), ("measures", _MEASURES)):
            yield Piece(feed, publishing.run(session, statement, {"feed": feed, "low": low, "high": high, **known}))
        low = high
    for feed, statement in (("records", _RECORDS_GONE), ("measures", _MEASURES_GONE)):
        yield Piece(feed, publishing.run(session, statement, {"feed": feed}))


def _program(documents: Documents, program: Program, url: str | None) -> dict[str, Any]:
    """Give what rows say of a program. Its behaviour is the first that evidence is named of."""
    shown = next((one for one in program.behaviours if one.evidence), None)
    return {
        "name": program.name,
        "title": program.title,
        "team": program.analysis.team,
        "role": program.analysis.role,
        "courses": list(program.courses),
        "behaviour": shown.name if shown else None,
        "does": shown.does.strip().rstrip(".") if shown else None,
        "url": url and f"{url}/{_page(documents, program)}",
    }


def _page(documents: Documents, program: Program) -> str:
    reports = [report.name for report in documents.reports.values() if report.program == program.name]
    return f"reports/{reports[0]}" if reports else f"programs/{program.name}"


def _metrics(documents: Documents) -> list[dict[str, Any]]:
    known = documents.metrics
    return [
        {"program": program.name, "name": name, "title": metric.title, "unit": metric.unit}
        | {"direction": metric.direction.value}
        for program in documents.programs.values()
        for name in program.metrics
        if (metric := known.get(name))
    ]


# --- readiness --------------------------------------------------------------------------------------------------------


def _readiness(session: Session, documents: Documents, now: datetime, salt: str) -> Iterator[Piece]:
    day_ends = datetime.combine(now.date() + timedelta(days=1), time(0), now.tzinfo)
    for program in documents.programs.values():
        if program.skills:
            yield from _readiness_in(session, documents, program, day_ends, salt)
    known = [program.name for program in documents.programs.values() if program.skills]
    yield Piece("readiness", publishing.run(session, _OTHER_PROGRAMS_GONE, {"feed": "readiness", "known": known}))


def _readiness_in(
    session: Session, documents: Documents, program: Program, now: datetime, salt: str
) -> Iterator[Piece]:
    found = readiness.people(session, program, documents.metrics, now=now)
    everybody = sorted(found.teams)
    low = 0
    for begin in range(0, max(len(everybody), 1), PAGE):
        learners = everybody[begin : begin + PAGE]
        high = learners[-1] if begin + PAGE < len(everybody) else _LAST
        rows = [
            {"learner": one, "skill": skill.name, "body": _standing(program, skill, found, one)}
            for one in learners
            for skill in program.skills
        ]
        values: dict[str, Any] = {
            "feed": "readiness",
            "program": program.name,
            "rows": json.dumps(rows),
            "low": low,
            "high": high,
        }
        written = publishing.run(session, _READINESS, {**values, "salt": salt, "programs": "[]", "metrics": "[]"})
        yield Piece("readiness", written + publishing.run(session, _READINESS_GONE, values))
        low = high


def _standing(program: Program, skill: Skill, found: readiness.People, learner: int) -> dict[str, Any]:
    standing = found.standings.get(skill.name, {}).get(learner)
    level = round(standing.mean, 2) if standing and standing.known else None
    return {
        "skill": skill.name,
        "skill_title": skill.title,
        "moment": skill.moments[0] if skill.moments else None,
        "program": program.name,
        "level": level,
        "state": _state(skill, standing),
        "evidence": round(standing.n, 1) if standing else 0.0,
        "last_evidence_at": utc_text(standing.newest) if standing else None,
        "next_practice": _next_practice(skill) if _state(skill, standing) == "not yet" else None,
    }


def _state(skill: Skill, standing: Standing | None) -> str | None:
    """Say whether a person can handle it; None where no level is required of it."""
    if standing is None or not standing.known:
        return "unknown"
    if skill.required is None:
        return None
    return "ready" if standing.mean >= skill.required else "not yet"


def _next_practice(skill: Skill) -> str:
    moment = f", for this moment: {skill.moments[0].rstrip('.')}" if skill.moments else ""
    return f"Practise {skill.title.rstrip('.')}{moment}."


# --- impacts ----------------------------------------------------------------------------------------------------------

VERDICTS = {"strong": "better", "moderate": "better"}
"""The grades that say that it got better; all others are their own verdict."""


def _impacts(session: Session, documents: Documents) -> Iterator[dict[str, Any]]:
    for name in programs.launched_names(session, documents):
        impact, launch = impacts.newest(session, name), programs.launched(session, name)
        if impact is None or launch is None:
            continue
        weeks = {goal.metric: goal.horizon_weeks for goal in launch.program.goals}
        for metric, found in impacts.in_order(impact.result):
            horizon = f"weeks 1-{weeks[metric]}" if metric in weeks else "all weeks"
            key = f"{name}/{metric}/{horizon.replace(' ', '-')}"
            body = _impact(documents.programs[name], metric, found, horizon, impact.result.get("next_look"))
            body |= {"primary": metric == impact.result["primary"], "computed_at": utc_text(impact.computed_at)}
            yield {"key": key, "program": name, "body": body}


def _impact(
    program: Program, name: str, found: Mapping[str, Any], horizon: str, next_look: str | None
) -> dict[str, Any]:
    verdict, counts = found["verdict"], found["counts"] or {}
    refusals = [reason["code"] for reason in verdict["reasons"]]
    hidden = "R11" in refusals
    read, unit = impacts.scale(found["metric"])
    figures = {key: found["att"][key] for key in ("estimate", "low", "high")}
    sentence = " ".join(verdict["sentences"])
    return {
        "program": program.name,
        "program_title": program.title,
        "metric": name,
        "metric_title": found["metric"]["title"] or name,
        "unit": unit,
        "direction": "up" if found["metric"]["direction"] == "higher" else "down",
        "horizon": horizon,
        "verdict": VERDICTS.get(verdict["grade"], verdict["grade"]),
        "sentence": sentence,
        **{key: None if hidden or value is None else read(value) for key, value in figures.items()},
        "grade": verdict["grade"],
        "refusals": refusals,
        "people": None if hidden else counts.get("trained"),
        "teams": None if hidden else counts.get("trained_teams"),
        "next_look": next_look,
    }
