"""Whether documents fit each other: every name that one uses is the name of another."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path as PathOnDisk

from bridge.mapping import profiles
from bridge.mapping.kinds import Forward, Identity, Kind, Learning, Match, Performance, Profile, Program, Report
from bridge.mapping.positions import Path
from bridge.mapping.problems import Problem, nearest, shown
from bridge.mapping.profiles import Profiles
from bridge.mapping.written import Document

Found = Sequence[tuple[Document, Kind | None]]
"""The documents whose own schema is content, with their values."""


def problems(written: Sequence[Document], found: Found) -> Iterator[Problem]:
    """Give what does not fit. A document that was refused for itself still counts as there.

    Both are in the order of reading: of two that meet, the later one is told, for the earlier may be a shipped one.
    """
    yield from _second_identity(written)
    yield from _metrics_that_meet(found)
    names = _Names(written)
    known_profiles = Profiles(value for _, value in found if isinstance(value, Profile))
    for document, value in found:
        match value:
            case Learning():
                yield from _learning(document, value, known_profiles)
            case Forward():
                yield from _forward(document, value, written)
                yield from _profiled(document, ("match",), value.match, known_profiles)
            case Identity():
                yield from _identity(document, value, names)
            case Program():
                yield from _program(document, value, names.metrics)
            case Report():
                yield from _one(document, ("program",), value.program, names.of("program"), "program")
                known = names.of("destination")
                yield from _each(document, "destinations", value.destinations, known, "destination")


def notices(written: Sequence[Document], found: Found, shipped: PathOnDisk | None) -> Iterator[str]:
    """Tell of performance documents that wait for a source.

    Of those in the folder `shipped` (None: of all) only when its name was probably mistyped: they stand there for those
    who have such a source.
    """
    sources = _Names(written).of("source")
    for document, value in found:
        if isinstance(value, Profile):
            yield from profiles.notices(document, value)
        if isinstance(value, Performance) and value.source not in sources:
            near = difflib.get_close_matches(value.source, sources, n=1)
            if near:
                yield f"{document.place}: {document} reads no source {value.source!r}; did you mean {near[0]!r}?"
            elif shipped and not PathOnDisk(document.folder).is_relative_to(shipped):
                place = document.problem(("source",), "", "")
                yield (
                    f"{place.file}:{place.line}: no source document is called {value.source!r}: {document} reads "
                    "nothing until there is one."
                )


class _Names:
    """The names that there are, by kind."""

    def __init__(self, written: Sequence[Document]) -> None:
        self._written = written
        performance = [document.data for document in written if document.kind == "performance"]
        entries = [entry for data in performance if isinstance(data.get("metrics"), list) for entry in data["metrics"]]
        self.metrics = {str(entry.get("name")) for entry in entries if isinstance(entry, dict)}
        self.read_sources = {str(data.get("source")) for data in performance}

    def of(self, kind: str) -> set[str]:
        return {document.name for document in self._written if document.kind == kind}


def _second_identity(written: Sequence[Document]) -> Iterator[Problem]:
    identities = [document for document in written if document.kind == "identity"]
    identities.sort(key=lambda document: document.name != Identity().name)  # what replaces the shipped one is the one
    for second in identities[1:]:
        first = identities[0]
        yield second.problem(
            ("name",),
            f"There is an identity document already, {first.name!r} in {first.place}",
            f"Only one can hold: name it {first.name!r} to replace that one.",
        )


def _metrics_that_meet(found: Found) -> Iterator[Problem]:
    first: dict[str, tuple[Document, int]] = {}
    for document, value in found:
        for number, rule in enumerate(value.metrics if isinstance(value, Performance) else ()):
            name = rule.metric.name
            other, place = first.setdefault(name, (document, number))
            if other is not document:
                elsewhere = other.problem(("metrics", place, "name"), "", "")
                text = f"The metric {name!r} is there already, in {elsewhere.file}:{elsewhere.line}"
                remedy = f"Give it another name, or call the document {other.name!r} to replace that one."
                yield document.problem(("metrics", number, "name"), text, remedy)


def _identity(document: Document, identity: Identity, names: _Names) -> Iterator[Problem]:
    sources = names.of("source")
    users = sources | names.read_sources | {roster.source for roster in identity.rosters}
    for number, roster in enumerate(identity.rosters):
        if roster.format is None:  # of the others a file may be imported, without a source
            yield from _one(document, ("rosters", number, "source"), roster.source, sources, "source")
        for place, alias in enumerate(roster.aliases):
            if alias.source is not None:
                # Where the aliases are a format's, the one source that was written is the CRM's.
                ready = "aliases" not in document.data["rosters"][number]
                tail = ("crm", "source") if ready else ("aliases", place, "user", "source")
                path: tuple[str | int, ...] = ("rosters", number, *tail)
                yield from _one(document, path, alias.source, users, "source")


def _program(document: Document, program: Program, metrics: set[str]) -> Iterator[Problem]:
    for place, name in enumerate(program.metrics):
        path: Path = ("metrics", place, "metric")
        short = isinstance(document.data["metrics"][place], str)
        yield from _one(document, path[:2] if short else path, name, metrics, "metric")
    for place, behaviour in enumerate(program.behaviours):
        if behaviour.evidence and behaviour.evidence.metric:
            path = ("behaviours", place, "evidence", "metric")
            yield from _one(document, path, behaviour.evidence.metric, metrics, "metric")


def _learning(document: Document, learning: Learning, known: Profiles) -> Iterator[Problem]:
    """Give the profiles and templates that rules name, and that no file has."""
    matches: list[tuple[Path, Match | None]] = [(("match",), learning.match)]
    matches += [(("rules", number, "match"), rule.match) for number, rule in enumerate(learning.rules)]
    for path, match in matches:
        yield from _profiled(document, path, match, known)


def _profiled(document: Document, path: Path, match: Match | None, known: Profiles) -> Iterator[Problem]:
    if match:
        for key, names in (("template", known.templates.keys()), ("profile", known.profiles.keys())):
            yield from _iris(document, (*path, key), getattr(match, key), names)


def _forward(document: Document, forward: Forward, written: Sequence[Document]) -> Iterator[Problem]:
    types = {one.name: one.data.get("type") for one in written if one.kind == "destination"}
    if forward.to in types and types[forward.to] != "lrs":
        what = f"The destination {forward.to!r} is no LRS, but of type {types[forward.to]!r}"
        yield document.problem(("to",), what, "Name one with `type: lrs`.")
        return
    lrss = {name for name, type_ in types.items() if type_ == "lrs"}
    yield from _one(document, ("to",), forward.to, lrss, "destination of type lrs")


def _iris(document: Document, path: Path, used: Iterable[str], known: Iterable[str]) -> Iterator[Problem]:
    for iri in used:
        if iri in known:
            continue
        written = document.at(path)
        place = (*path, written.index(iri)) if isinstance(written, list) and iri in written else path
        remedy = nearest(iri, known, what=f"{path[-1]}s") if known else _LOAD
        yield document.problem(place, f"There is no {path[-1]} {shown(iri)} in the profiles here", remedy)


_LOAD = "Bring in the profile that has it with `lrs-bridge mapping profile FILE`."


def _each(document: Document, key: str, used: Iterable[str], known: set[str], what: str) -> Iterator[Problem]:
    written = document.data.get(key, [])  # with repeats, unlike `used`
    for name in used:
        yield from _one(document, (key, written.index(name)), name, known, what)


def _one(document: Document, path: tuple[str | int, ...], name: str, known: set[str], what: str) -> Iterator[Problem]:
    if name not in known:
        yield document.problem(path, f"There is no {what} called {name!r}", nearest(name, known, what=f"{what}s"))
