"""Programs as contracts: what of one is open, launching it, and what was agreed at the launch.

The rules guarded here:

- A program with gaps cannot be launched; the attempt is kept with the gaps, for audit.
- At the launch its contract is frozen. Effects are estimated by the frozen contract alone, whatever the document says
  since; to ask another question of the data, the program is launched anew, with a reason that is kept.
- Nothing that was agreed is ever changed or deleted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bridge.errors import BridgeError, UnknownName
from bridge.mapping import Document, Documents, MappingError, Program, contracts, schemas
from bridge.models import ProgramEvent, ProgramEventKind
from bridge.times import utc_text


class State(StrEnum):
    """How far a program is."""

    NEEDS_ANALYSIS = "needs analysis"
    READY = "ready"
    LAUNCHED = "launched"
    CHANGED = "changed since the launch"


class NotLaunched(BridgeError):
    """Nothing can be said of a program's effect, since nobody has said what it should be."""


class NeedsAnalysis(BridgeError):
    """A program cannot be launched; the message tells each gap."""

    def __init__(self, program: Program, gaps: Sequence[contracts.Gap]) -> None:
        told = "\n".join(f"- {gap.text} {gap.remedy}" for gap in gaps)
        super().__init__(f"The program {program.name!r} needs analysis before it can be launched:\n{told}")
        self.gaps = gaps


class AlreadyLaunched(BridgeError):
    """A program is launched; another launch needs a changed contract and a reason."""


class AlreadyDrawn(BridgeError):
    """An order was left to chance before; another draw needs a reason."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What was agreed."""

    program: Program
    event: ProgramEvent
    number: int
    """1 for the first contract of the program."""


def find(documents: Documents, name: str) -> Program:
    """Give the program of this name; raises UnknownName."""
    if name not in documents.programs:
        raise UnknownName("program", name, documents.programs)
    return documents.programs[name]


def launched(session: Session, name: str) -> Launch | None:
    """Give the last launch of a program; None before the first. Raises NotLaunched if it is not understood any more."""
    found = _events(session, name, ProgramEventKind.LAUNCHED)
    return Launch(_read(found[-1]), found[-1], len(found)) if found else None


def launched_names(session: Session, documents: Documents) -> list[str]:
    """Name the programs that are launched and still have a document."""
    names = session.scalars(select(ProgramEvent.program).filter_by(what=ProgramEventKind.LAUNCHED).distinct())
    return sorted(set(names) & documents.programs.keys())


def contract(session: Session, documents: Documents, name: str) -> Launch:
    """Give what was agreed; raises UnknownName, and NotLaunched with what to do."""
    program = find(documents, name)
    found = launched(session, name)
    if found is None:
        open_points = contracts.gaps(program, documents.metrics)
        first = f"First {_counted(open_points)} need an answer" if open_points else "It is ready"
        raise NotLaunched(
            f"The program {name!r} was not launched, so nobody has said what it should change and by how much. {first}:"
            f" lrs-bridge program show {name}; then lrs-bridge program launch {name}."
        )
    return found


def launch(session: Session, documents: Documents, name: str, *, by: str, because: str | None = None) -> Launch:
    """Freeze a program's contract as it is now. The caller commits, also when NeedsAnalysis is raised: it is kept.

    Raises UnknownName, NeedsAnalysis, and AlreadyLaunched where nothing was changed or no reason is given.
    """
    program = find(documents, name)
    open_points = contracts.gaps(program, documents.metrics)
    if open_points:
        gaps = [{"path": list(gap.path), "text": gap.text, "remedy": gap.remedy} for gap in open_points]
        _note(session, documents, program, ProgramEventKind.REFUSED, by, because, {"gaps": gaps})
        raise NeedsAnalysis(program, open_points)
    last = launched(session, name)
    if last is not None:
        _check_again(program, last, because)
    warnings = list(contracts.warnings(program))
    event = _note(session, documents, program, ProgramEventKind.LAUNCHED, by, because, {"warnings": warnings})
    return Launch(program, event, 1 if last is None else last.number + 1)


def _check_again(program: Program, last: Launch, because: str | None) -> None:
    when = utc_text(last.event.at)
    if not contracts.changes(last.program, program):
        raise AlreadyLaunched(f"The program {program.name!r} was launched at {when} with this very contract.")
    if not because:
        keys = ", ".join(contracts.changes(last.program, program))
        raise AlreadyLaunched(
            f"The program {program.name!r} was launched at {when} with another contract; changed since: {keys}. "
            "To launch it anew, say why with --because; the old contract and what it gave are kept."
        )


def note_draw(
    session: Session,
    documents: Documents,
    name: str,
    *,
    by: str,
    details: Mapping[str, Any],
    because: str | None = None,
) -> ProgramEvent:
    """Keep who was drawn to go first, by which seed; the analysis goes by it.

    Raises UnknownName, and AlreadyDrawn where there is a draw and no reason is given: who draws until the order pleases
    leaves nothing to chance.
    """
    program, last = find(documents, name), draw(session, name)
    if last is not None and not because:
        raise AlreadyDrawn(
            f"Who goes first in {name!r} was drawn at {utc_text(last.at)} by {last.by} with seed "
            f"{last.details['seed']}. To draw anew, say why with --because; both draws are kept."
        )
    return _note(session, documents, program, ProgramEventKind.DRAWN, by, because, dict(details))


def draw(session: Session, name: str) -> ProgramEvent | None:
    """Give the last order that was left to chance, if any was."""
    found = _events(session, name, ProgramEventKind.DRAWN)
    return found[-1] if found else None


def history(session: Session, name: str) -> list[dict[str, Any]]:
    """Give all that became of a program, oldest first."""
    return [
        {
            "what": event.what,
            "at": utc_text(event.at),
            "by": event.by,
            "because": event.because,
            "contract_hash": event.contract_hash,
            "details": event.details,
        }
        for event in _events(session, name)
    ]


def told(session: Session, documents: Documents, name: str) -> dict[str, Any]:
    """Give a program with its state, its gaps and what was agreed."""
    program = find(documents, name)
    open_points = contracts.gaps(program, documents.metrics)
    last = launched(session, name)
    return {
        "name": name,
        "title": program.title,
        "state": _state(program, open_points, last),
        "gaps": [{"path": _path(gap), "text": gap.text, "remedy": gap.remedy} for gap in open_points],
        "warnings": list(contracts.warnings(program)),
        "launched_at": utc_text(last.event.at) if last else None,
        "contract": last.number if last else None,
        "contract_hash": last.event.contract_hash if last else None,
        "changed_since_launch": list(contracts.changes(last.program, program)) if last else [],
    }


def _state(program: Program, gaps: Sequence[contracts.Gap], last: Launch | None) -> State:
    if last is not None:
        return State.CHANGED if contracts.changes(last.program, program) else State.LAUNCHED
    return State.NEEDS_ANALYSIS if gaps else State.READY


def _path(gap: contracts.Gap) -> str:
    return ".".join(str(step) for step in gap.path)


def _counted(gaps: Sequence[contracts.Gap]) -> str:
    return "1 question" if len(gaps) == 1 else f"{len(gaps)} questions"


def _events(session: Session, name: str, what: ProgramEventKind | None = None) -> Sequence[ProgramEvent]:
    query = select(ProgramEvent).filter_by(program=name).order_by(ProgramEvent.id)
    return session.scalars(query if what is None else query.filter_by(what=what)).all()


def _note(
    session: Session,
    documents: Documents,
    program: Program,
    what: ProgramEventKind,
    by: str,
    because: str | None,
    details: dict[str, Any],
) -> ProgramEvent:
    written = next(one for one in documents.written if (one.kind, one.name) == ("program", program.name))
    event = ProgramEvent(
        program=program.name,
        what=what,
        by=by,
        because=because,
        contract=written.data,
        contract_hash=contracts.contract_hash(program),
        details=details,
    )
    session.add(event)
    session.flush()
    return event


def _read(event: ProgramEvent) -> Program:
    """Read what was agreed as it was written then."""
    document = Document(kind="program", name=event.program, data=event.contract, file="the launch", folder="/")
    try:
        read = schemas.parse(document)
    except MappingError as error:
        raise NotLaunched(
            f"What was agreed for {event.program!r} at {utc_text(event.at)} is not understood by this version: {error}."
            " Launch it anew, with --because."
        ) from error
    if not isinstance(read, Program):
        raise TypeError(f"the contract of {event.program} is no program")
    return read
