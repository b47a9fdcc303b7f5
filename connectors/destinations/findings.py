"""Findings as statements, by the profile in `findings.jsonld`: what is said of whom, and how it is taken back.

- A record or a readiness is a statement of the learner: they *stand at* it. An impact is what this installation
  *estimated*: no person is ever the actor of an effect.
- A statement's id is the UUIDv5 of installation, feed, key, version and checksum, so sending it twice changes nothing.
- Statements never change (Data 2.3.1), so a new version is a new statement, and the former is voided in the same
  request: a verdict that was taken back, or figures hidden since, must not stand in a dashboard. What was deleted is
  voided alone.
- tincan builds them: they are ours from the beginning, so no digit is lost by that.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid5

import msgspec
import tincan

from connectors.destinations.rows import Row

PROFILE = "https://w3id.org/xapi/lrs-bridge"
"""The profile's id. Of its own: no profile known to us has words for evidence about a learning programme."""
VERSION = f"{PROFILE}/v1"
"""The id of the profile's version, in the category of each statement (Profiles, Communication 2.0)."""
STANDS_AT, ESTIMATED = f"{PROFILE}/verbs/stands-at", f"{PROFILE}/verbs/estimated"
VOIDED = "http://adlnet.gov/expapi/verbs/voided"
EVIDENCE, ROW = f"{PROFILE}/extensions/finding", f"{PROFILE}/extensions/row"
FEEDS = ("readiness", "records", "impacts")
"""Those that are statements: measures would be a person's before and after, and health is about us."""
_TYPES = {
    feed: f"{PROFILE}/activity-types/{name}" for feed, name in zip(FEEDS, ("skill", "program", "impact"), strict=True)
}
_NAMESPACE = UUID("5e0c5a8c-9a4e-5c53-8a0e-8e2a3d1c6f10")
"""Made up once: what makes ids, must never change."""


class Mark(msgspec.Struct):
    """What a statement of ours says of the row that it was made from."""

    key: str
    version: int
    checksum: str


class _Extensions(msgspec.Struct):
    row: Mark | None = msgspec.field(default=None, name=ROW)


class _Context(msgspec.Struct):
    extensions: _Extensions = msgspec.field(default_factory=_Extensions)


class _Ours(msgspec.Struct):
    id: str
    context: _Context = msgspec.field(default_factory=_Context)


def mark(statement: bytes) -> tuple[str, Mark] | None:
    """Give the id and the mark of a statement; None when it is none of ours, as one that voids."""
    try:
        read = msgspec.json.decode(statement, type=_Ours)
    except msgspec.DecodeError:
        return None
    return (read.id, read.context.extensions.row) if read.context.extensions.row else None


def feed_activity(system: str, feed: str) -> str:
    """Give the activity in whose context all statements of a feed stand: what they are found by."""
    return f"{system}/findings/{feed}"


def row_activity(system: str, feed: str, key: str) -> str:
    """Give the activity that the statements of a row are about."""
    return f"{feed_activity(system, feed)}/{quote(key, safe='/')}"


def statement(row: Row, system: str, site: str | None) -> bytes | None:
    """Give a row as a statement; None when its learner is nobody whom an LRS could know."""
    actor = _system(system) if row.feed == "impacts" else _learner(row.user or {}, site)
    if actor is None:
        return None
    made = tincan.Statement(
        id=statement_id(system, row),
        actor=actor,
        verb=_ESTIMATED if row.feed == "impacts" else _STANDS_AT,
        object=_object(row, system),
        result=tincan.Result(**_result(row), extensions=tincan.Extensions({EVIDENCE: dict(row.body)})),
        context=_context(row, system),
    )
    written = json.loads(made.to_json())
    if at := _at(row):
        written["timestamp"] = at  # the text itself: tincan would cut it to milliseconds
    return json.dumps(written, ensure_ascii=False, sort_keys=True).encode()


def voiding(statement_id: str, system: str) -> bytes:
    """Give the statement that takes another one back."""
    made = tincan.Statement(
        id=str(uuid5(_NAMESPACE, f"void {statement_id}")),
        actor=_system(system),
        verb=tincan.Verb(id=VOIDED, display=tincan.LanguageMap(en="voided")),
        object=tincan.StatementRef(id=statement_id),
    )
    return json.dumps(json.loads(made.to_json()), sort_keys=True).encode()


def statement_id(system: str, row: Row) -> str:
    """Give the id of a row's version, the same for ever; a restored database may give a version to another content."""
    return str(uuid5(_NAMESPACE, json.dumps([system, row.feed, row.key, row.version, row.checksum])))


_STANDS_AT = tincan.Verb(id=STANDS_AT, display=tincan.LanguageMap(en="stands at"))
_ESTIMATED = tincan.Verb(id=ESTIMATED, display=tincan.LanguageMap(en="estimated"))


def _system(system: str) -> tincan.Agent:
    return tincan.Agent(name="lrs-bridge", account=tincan.AgentAccount(home_page=system, name="lrs-bridge"))


def _learner(user: Mapping[str, Any], site: str | None) -> tincan.Agent | None:
    """Give the learner by an account of the site, or else by their address."""
    name = {"name": user["name"]} if user.get("name") else {}
    wanted = site and site.rstrip("/")
    for account in user.get("accounts") or ():
        if wanted is None or account["home_page"].rstrip("/") == wanted:
            page, known_as = account["home_page"], account["name"]
            return tincan.Agent(**name, account=tincan.AgentAccount(home_page=page, name=known_as))
    emails = user.get("emails") or ()
    return tincan.Agent(**name, mbox=f"mailto:{emails[0]}") if emails else None


def _object(row: Row, system: str) -> tincan.Activity:
    body = row.body
    title = {
        "readiness": body.get("skill_title"),
        "records": body.get("program_title"),
        "impacts": f"{body.get('program_title')}: {body.get('metric_title')}",
    }[row.feed]
    definition = {"name": tincan.LanguageMap(und=str(title or row.key)), "type": _TYPES[row.feed]}
    if body.get("url"):
        definition["more_info"] = body["url"]
    return tincan.Activity(
        id=row_activity(system, row.feed, row.key), definition=tincan.ActivityDefinition(**definition)
    )


def _result(row: Row) -> dict[str, Any]:
    """Give what the specification has words for; nothing where it is not known."""
    body, found = row.body, {}
    if row.feed == "readiness":
        if body.get("level") is not None:
            found["score"] = tincan.Score(scaled=body["level"])
        if body.get("state") in ("ready", "not yet"):
            found["success"] = body["state"] == "ready"
    elif row.feed == "records":
        found["completion"] = body.get("completed_at") is not None
        if body.get("best_score") is not None:
            found["score"] = tincan.Score(scaled=body["best_score"])
    elif body.get("sentence"):
        found["response"] = body["sentence"]
    return found


def _context(row: Row, system: str) -> tincan.Context:
    program = row.body.get("program")
    around = {
        "category": [{"id": VERSION}, {"id": feed_activity(system, row.feed)}],
        "grouping": [{"id": course} for course in row.body.get("courses") or ()],
    }
    if program:
        around["parent"] = [{"id": f"{system}/programs/{quote(program, safe='')}"}]
    said = {"key": row.key, "version": row.version, "checksum": row.checksum}
    return tincan.Context(
        platform="lrs-bridge",
        context_activities=tincan.ContextActivities(**{name: found for name, found in around.items() if found}),
        extensions=tincan.Extensions({ROW: said}),
    )


def _at(row: Row) -> str | None:
    """Give when what is said came to be so, if that is known: the version says that anyway."""
    when = {"readiness": "last_evidence_at", "records": "last_activity_at", "impacts": "computed_at"}[row.feed]
    found: str | None = row.body.get(when)
    return found
