"""What a narrowed credential may see: the people and programs of a key for one plugin, one team or one course.

The rules guarded here:

- Kinds of limits narrow each other, values of one kind add to each other: of these programs, and of these teams. None
  of a kind: all there are.
- A record is seen if its program, its learner's team (the attribute `team` as it is today) and one of the courses that
  this learner took in this program are. A program is seen if a course of its is. A learner is seen if a record is;
  where teams alone narrow, if the team is.
- A program that is not seen is as one that does not exist, and so is a learner: nothing tells the two apart.
- Figures of many people (effects, cells) are worked out for everybody and hidden as for everybody; narrowing only
  leaves some out. Who sees people one by one could subtract them from a figure of all: such a figure is told to them
  only if the others in it are nobody, or `suppression.LEAST` at least.
- Limits are kept by the credential's key and never by the LRS, which knows of no program. So a narrowed credential may
  have no scope that the LRS gives data for.
"""

import dataclasses
import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select, text
from sqlalchemy.orm import Session

from bridge import suppression
from bridge.errors import SettingsError, UnknownName
from bridge.mapping import Documents, Program
from bridge.models import CredentialLimit

TEAM = "team"
"""The learner's attribute that says the team."""
KINDS = ("program", "team", "course")

TOO_FEW_OTHERS = (
    f"Those whom this key does not see are fewer than {suppression.LEAST} in this program, so a figure of all would "
    "tell theirs. Use a key that sees all of the program's people."
)

Limits = Mapping[str, Sequence[str]]
"""By kind, the values any of which will do."""

_TEAMS = f"""
    (cast(:seen_teams as text[]) is null or learner.attributes ->> '{TEAM}' = any(cast(:seen_teams as text[])))
"""
_RECORD = """
    (cast(:seen_programs as text[]) is null or record.program = any(cast(:seen_programs as text[])))
    and (cast(:seen_courses as text[]) is null or record.courses && cast(:seen_courses as text[]))
"""
RECORDS = f"({_RECORD} and {_TEAMS})"
"""Holds for records, joined with their learner, that are seen; takes `parameters`."""
LEARNERS = f"""(
    {_TEAMS} and (coalesce(cast(:seen_programs as text[]), cast(:seen_courses as text[])) is null
        or exists (select from record where record.learner_id = learner.id and {_RECORD}))
)"""
"""Holds for learners who are seen; as above."""

_FEW_OTHERS = text(f"""
    select record.program from record join learner on learner.id = record.learner_id
    group by record.program having count(*) filter (where {RECORDS} is not true) between 1 and :most
""")  # noqa: S608 - as above
_IN_TEAMS = text(f"select distinct attributes ->> '{TEAM}' from learner where attributes ? '{TEAM}'")  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What of everything is seen; None: all of it."""

    programs: frozenset[str] | None = None
    teams: frozenset[str] | None = None
    courses: frozenset[str] | None = None

    def __bool__(self) -> bool:
        """Tell whether anything is left out."""
        return self != EVERYTHING

    @property
    def of_people(self) -> bool:
        """Whether only some people of a program are seen."""
        return self.teams is not None or self.courses is not None

    def sees(self, program: Program) -> bool:
        """Tell whether a program is seen."""
        named = self.programs is None or program.name in self.programs
        return named and (self.courses is None or not self.courses.isdisjoint(program.courses))

    def of(self, documents: Documents) -> Documents:
        """Give the documents with the programs that are seen, and their reports; all others are as if not there."""
        if not self:
            return documents
        programs = {name: one for name, one in documents.programs.items() if self.sees(one)}
        reports = {name: one for name, one in documents.reports.items() if one.program in programs}
        return dataclasses.replace(documents, programs=programs, reports=reports)

    def over(self, documents: Documents, without: Collection[str] = ()) -> "Narrowing":
        """Give the same with the programs named also where courses say which, and some of them left out."""
        if self.programs is None and self.courses is None and not without:
            return self
        return dataclasses.replace(self, programs=frozenset(self.of(documents).programs).difference(without))

    def parameters(self) -> dict[str, list[str] | None]:
        """Give what `RECORDS` and `LEARNERS` take."""
        kinds = {"seen_programs": self.programs, "seen_teams": self.teams, "seen_courses": self.courses}
        return {name: None if values is None else sorted(values) for name, values in kinds.items()}

    def told(self) -> dict[str, object]:
        """Give it as JSON types; None: all of them."""
        kinds = {"programs": self.programs, "teams": self.teams, "courses": self.courses}
        return {name: None if values is None else sorted(values) for name, values in kinds.items()}


EVERYTHING = Narrowing()


def of(session: Session, key: str) -> Narrowing:
    """Give what the credential with this key sees."""
    return of_all(session, [key]).get(key, EVERYTHING)


def of_all(session: Session, keys: Sequence[str]) -> dict[str, Narrowing]:
    """Give what those of these credentials see that are narrowed, by key."""
    found: dict[str, dict[str, set[str]]] = {}
    for limit in session.scalars(select(CredentialLimit).where(CredentialLimit.credential.in_(keys))):
        found.setdefault(limit.credential, {}).setdefault(limit.kind, set()).add(limit.value)
    return {key: Narrowing(*(_set(limits.get(kind)) for kind in KINDS)) for key, limits in found.items()}


def narrow(session: Session, key: str, limits: Limits) -> None:
    """Narrow a credential to these values of each kind that is given; no values: no longer by that kind."""
    for kind, values in limits.items():
        session.execute(delete(CredentialLimit).filter_by(credential=key, kind=kind))
        rows = [{"credential": key, "kind": kind, "value": value} for value in sorted(set(values))]
        if rows:
            session.execute(insert(CredentialLimit), rows)


def check(documents: Documents | None, limits: Limits) -> None:
    """Raise UnknownName or SettingsError for a program or course that no document in force names.

    A key that is narrowed to it would see nothing, and nobody would know why.
    """
    programs = {} if documents is None else documents.programs
    courses = sorted({course for program in programs.values() for course in program.courses})
    for name in limits.get("program", ()):
        if name not in programs:
            raise UnknownName("program", name, programs)
    for course in limits.get("course", ()):
        if course not in courses:
            near = difflib.get_close_matches(course, courses, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "Write it as `courses` of a program does."
            raise SettingsError(f"No program has the course {course!r}. {hint}")


def attributes(documents: Documents) -> set[str]:
    """Name the attributes of learners that these programs, and narrowing itself, go by."""
    found = {TEAM, "role"}
    for program in documents.programs.values():
        found |= {program.analysis.team, program.analysis.role, *program.population}
    return found


def notes(session: Session, narrowing: Narrowing) -> list[str]:
    """Say of each team that nobody is in it today: it may be a new one, or misspelt."""
    if narrowing.teams is None:
        return []
    known = sorted(session.scalars(_IN_TEAMS))
    told = []
    for team in sorted(narrowing.teams.difference(known)):
        near = difflib.get_close_matches(team, known, n=1)
        told.append(f"Nobody is in the team {team!r} today." + (f" Did you mean {near[0]!r}?" if near else ""))
    return told


def with_few_others(session: Session, narrowing: Narrowing) -> set[str]:
    """Name the programs in which those who are not seen are so few that a figure of all would give them away."""
    if not narrowing.of_people:
        return set()
    values: dict[str, Any] = {"most": suppression.LEAST - 1, **narrowing.parameters()}
    return set(session.scalars(_FEW_OTHERS, values))


def _set(values: set[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)
