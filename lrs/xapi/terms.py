"""What a statement is found by: its agents, activities, verb and registration (xAPI 1.0.3, Communication 2.1.3)."""

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import UNSET, UnsetType

from lrs.xapi.structs import Activity, Actor, Agent, Context, Definition, Group, Statement, SubStatement


class Term(NamedTuple):
    """A kind (`agent`, `activity`, `verb`, `registration`) and a canonical text."""

    kind: str
    text: str


class Terms(NamedTuple):
    """The terms of one statement."""

    direct: set[Term]
    """Found by the plain filters."""
    related: set[Term]
    """Found only with related_agents or related_activities; has nothing that `direct` has."""


def agent_key(actor: Actor) -> str | None:
    """Give the canonical text of who an agent or group is; None for an anonymous group, which equals nobody.

    An mbox is compared without regard to case, though kept as it was sent.
    """
    if actor.account is not UNSET:
        return f"account:{actor.account.home_page}|{actor.account.name}"
    if actor.mbox is not UNSET:
        return f"mbox:{actor.mbox.lower()}"
    if actor.mbox_sha1sum is not UNSET:
        return f"mbox_sha1sum:{actor.mbox_sha1sum.lower()}"
    if actor.openid is not UNSET:
        return f"openid:{actor.openid}"
    return None


def agent_term(actor: Actor) -> Term | None:
    """Give what statements of this agent are found by."""
    key = agent_key(actor)
    return None if key is None else Term("agent", key)


def registration_term(registration: str) -> Term:
    """Give what statements of this registration are found by."""
    return Term("registration", registration.lower())


def terms(statement: Statement, authority: Term | None) -> Terms:
    """Give what a statement is found by; `authority` is the one that the LRS gives it."""
    direct = {Term("verb", statement.verb.id), *_agents(statement.actor), *_target(statement.object)}
    if statement.context is not UNSET and statement.context.registration is not UNSET:
        direct.add(registration_term(statement.context.registration))
    related = {*_context(statement.context)}
    if authority is not None:
        related.add(authority)
    if isinstance(statement.object, SubStatement):
        nested = statement.object
        related.update(_agents(nested.actor), _target(nested.object), _context(nested.context))
    return Terms(direct, related - direct)


def definitions(statement: Statement) -> Iterator[tuple[str, Definition]]:
    """Give each definition that a statement has for an activity, with the activity's id."""
    for claim in statement.claims():
        for activity in (claim.object, *_context_activities(claim.context)):
            if isinstance(activity, Activity) and activity.definition is not UNSET:
                yield activity.id, activity.definition


def _agents(actor: Actor) -> Iterator[Term]:
    """Give the agent or group itself, and a group's members."""
    if (term := agent_term(actor)) is not None:
        yield term
    if isinstance(actor, Group) and actor.member is not UNSET:
        for member in actor.member:
            yield from _agents(member)


def _target(target: object) -> Iterator[Term]:
    match target:
        case Activity():
            yield Term("activity", target.id)
        case Agent() | Group():
            yield from _agents(target)


def _context(context: Context | UnsetType) -> Iterator[Term]:
    if context is UNSET:
        return
    for actor in (context.instructor, context.team):
        if actor is not UNSET:
            yield from _agents(actor)
    for role in context.context_agents or ():
        yield from _agents(role.agent)
    for team in context.context_groups or ():
        yield from _agents(team.group)
    for activity in _context_activities(context):
        yield Term("activity", activity.id)


def _context_activities(context: Context | UnsetType) -> Iterator[Activity]:
    if context is UNSET or context.context_activities is UNSET:
        return
    activities = context.context_activities
    for group in (activities.parent, activities.grouping, activities.category, activities.other):
        yield from group or ()
