"""xAPI Profiles: what a JSON-LD document of one says, as far as rules can use it.

https://github.com/adlnet/xapi-profiles/blob/master/xapi-profiles-structure.md. Read as plain JSON, which the
specification allows. Real profiles leave descriptions out and put in keys of their own, so only what matching needs is
checked; patterns, which are about several statements, are left unread.
"""

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bridge.mapping import jsonpath
from bridge.mapping.functions import text, type_of
from bridge.mapping.jsonpath import JsonPath
from bridge.mapping.kinds import Profile, Template, TemplateRule
from bridge.mapping.positions import Path
from bridge.mapping.problems import MappingError, Problem, nearest, shown
from bridge.mapping.seen import ROLES
from bridge.mapping.written import Document

KIND = "profile"
"""What a document that holds a profile is called; its name is the profile's IRI."""

CONCEPTS = (
    "Verb", "ActivityType", "AttachmentUsageType", "ContextExtension", "ResultExtension", "ActivityExtension",
    "StateResource", "AgentProfileResource", "ActivityProfileResource", "Activity",
)  # fmt: skip
PRESENCES = ("included", "excluded", "recommended")

_DETERMINING = {role: f"context{role.title()}ActivityType" for role in ROLES}
_VALUES = ("any", "all", "none")
_TEMPLATE_KEYS = frozenset({
    "id", "type", "inScheme", "prefLabel", "definition", "deprecated", "verb", "objectActivityType",
    *_DETERMINING.values(), "attachmentUsageType", "objectStatementRefTemplate", "contextStatementRefTemplate", "rules",
})  # fmt: skip
_RULE_KEYS = frozenset({"location", "selector", "presence", *_VALUES, "scopeNote"})
_WORDS = frozenset({"id", "type", "name", "title", "description", "definition", "scopeNote", "prefLabel", "altLabel"})
"""What profiles say of anything in them, though not where the specification has it."""
_WRITE_IRI = "Write its IRI in full, like https://w3id.org/xapi/video."


def parse(document: Document) -> Profile:
    """Give the profile that a document holds. Raises MappingError with all that is wrong."""
    reading = _Reading(document)
    profile = reading.profile()
    if reading.problems:
        raise MappingError(reading.problems)
    return profile


def notices(document: Document, profile: Profile) -> Iterator[str]:
    """Tell what of a profile is not used."""
    patterns = document.data.get("patterns")
    if patterns:
        yield f"{document.place}: the patterns of {document} are not used: they are about several statements."
    referring = [template.id for template in profile.templates if template.refers]
    if referring:
        yield (
            f"{document.place}: {', '.join(referring)} ask which template another statement follows; "
            "it is only looked whether they refer to one."
        )


class Profiles:
    """All profiles in force, and what can be looked up in them."""

    def __init__(self, profiles: Iterable[Profile] = ()) -> None:
        self._templates: dict[str, Template] = {}
        self._profiles: dict[str, Profile] = {}
        for profile in profiles:
            self._templates |= {template.id: template for template in profile.templates}
            self._profiles |= dict.fromkeys((*profile.versions, profile.name), profile)

    @property
    def templates(self) -> Mapping[str, Template]:
        """Every statement template by its IRI."""
        return self._templates

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """Every profile by its IRI, and by those of its versions."""
        return self._profiles


class _Reading:
    """One document on its way to a profile; what is wrong is gathered, and read as if it were not there."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.problems: list[Problem] = []

    def profile(self) -> Profile:
        data = self._document.data
        self._word(data, (), "type", ("Profile",))
        name = self._iri(data, (), "id") or ""
        concepts: dict[str, dict[str, str]] = {}
        for concept, path in self._maps(data, (), "concepts"):
            kind = self._word(concept, path, "type", CONCEPTS)
            if (iri := self._iri(concept, path, "id")) and kind:
                concepts.setdefault(kind, {})[iri] = _title(concept)
        versions = [self._iri(version, path, "id") for version, path in self._maps(data, (), "versions")]
        templates = [self._template(template, path) for template, path in self._maps(data, (), "templates")]
        self._refuse_twins(templates)
        return Profile(
            name=name,
            title=_title(data) or name,
            versions=tuple(version for version in versions if version),
            concepts=concepts,
            templates=tuple(templates),
        )

    def _template(self, data: dict[str, Any], path: Path) -> Template:
        self._word(data, path, "type", ("StatementTemplate",))
        self._refuse_mistyped(data, path, _TEMPLATE_KEYS)
        refers = [place for place in ("object", "context") if self._iris(data, path, f"{place}StatementRefTemplate")]
        if "object" in refers and "objectActivityType" in data:
            self._say(
                (*path, "objectActivityType"),
                "This template asks for an activity and for a reference to a statement as its object",
                "Keep one of objectActivityType and objectStatementRefTemplate.",
            )
        types = {role: self._iris(data, path, key) for role, key in _DETERMINING.items()}
        return Template(
            id=self._iri(data, path, "id") or "",
            title=_title(data),
            verb=self._iri(data, path, "verb", needed=False),
            type=self._iri(data, path, "objectActivityType", needed=False),
            context={role: found for role, found in types.items() if found},
            attachments=self._iris(data, path, "attachmentUsageType"),
            refers=tuple(refers),
            rules=tuple(self._rule(rule, place) for rule, place in self._maps(data, path, "rules")),
        )

    def _rule(self, data: dict[str, Any], path: Path) -> TemplateRule:
        self._refuse_mistyped(data, path, _RULE_KEYS)
        if not data.keys() & {"presence", *_VALUES}:
            self._say(path, "This rule asks for nothing", "Add presence, any, all or none.")
        lists = {key: data[key] for key in _VALUES if key in data}
        for key in [key for key, value in lists.items() if not isinstance(value, list)]:
            self._say((*path, key), f"{shown(lists[key])} is {type_of(lists[key])}, a list is expected", "Write [...].")
            del lists[key]
        return TemplateRule(
            location=self._path(data, path, "location") or _NOWHERE,
            selector=self._path(data, path, "selector") if "selector" in data else None,
            presence=self._word(data, path, "presence", PRESENCES) if "presence" in data else None,
            **{key: tuple(value) for key, value in lists.items()},
        )

    def _refuse_mistyped(self, data: dict[str, Any], path: Path, known: frozenset[str]) -> None:
        """Refuse keys that nearly are known ones: left out, the template would be followed by more than was meant.

        Others, the author's own, say nothing here; nor do words that may stand anywhere in a profile, or in JSON-LD.
        """
        for key in data.keys() - known - _WORDS:
            if not set(key) & {":", "@"} and difflib.get_close_matches(key[:100], known, n=1):
                text = f"The key {shown(key)} is not known here"
                self.problems.append(self._document.problem_of_key((*path, key), text, nearest(key, known)))

    def _path(self, data: dict[str, Any], path: Path, key: str) -> JsonPath | None:
        source = self._text(data, path, key, "Write a JSONPath, like $.result.score.scaled.")
        try:
            return jsonpath.parse(source) if source else None
        except ValueError as err:
            remedy = "Write one like $.context.contextActivities.grouping[*].id."
            self._say((*path, key), f"{shown(source)} is no JSONPath: {err}", remedy)
            return None

    def _iri(self, data: dict[str, Any], path: Path, key: str, *, needed: bool = True) -> str | None:
        if not needed and key not in data:
            return None
        found = self._text(data, path, key, _WRITE_IRI)
        return self._checked(found, (*path, key)) if found else None

    def _iris(self, data: dict[str, Any], path: Path, key: str) -> tuple[str, ...]:
        if key not in data:
            return ()
        values = data[key] if isinstance(data[key], list) else [data[key]]
        if all(isinstance(value, str) for value in values):
            return tuple(filter(None, (self._checked(value, (*path, key)) for value in values)))
        self._say((*path, key), f"{shown(data[key])} is no list of IRIs", _WRITE_IRI)
        return ()

    def _checked(self, iri: str, path: Path) -> str | None:
        if ":" in iri and not any(character.isspace() for character in iri):
            return iri
        self._say(path, f"{shown(iri)} is no IRI", _WRITE_IRI)
        return None

    def _word(self, data: dict[str, Any], path: Path, key: str, words: tuple[str, ...]) -> str | None:
        found = self._text(data, path, key, f"Write {' or '.join(words)}.")
        if found and found not in words:
            self._say(
                (*path, key), f"{shown(found)} is no {key} that is known here", nearest(found, words, what="words")
            )
            return None
        return found

    def _text(self, data: dict[str, Any], path: Path, key: str, remedy: str) -> str | None:
        value = data.get(key)
        if isinstance(value, str) and value:
            return value
        if value == "":
            self._say((*path, key), f"{key!r} is empty", remedy)
        elif key in data:
            self._say((*path, key), f"{shown(value)} is {type_of(value)}, a text is expected", remedy)
        else:
            self._say(path, f"The key {key!r} is missing", remedy)
        return None

    def _maps(self, data: dict[str, Any], path: Path, key: str) -> Iterator[tuple[dict[str, Any], Path]]:
        """Give the maps in a list, with their places; a single one may stand without its list, as JSON-LD has it.

        Empty ones are passed over: the published cmi5 profile has one among its templates.
        """
        entries = data.get(key, [])
        for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
            place = (*path, key, number) if isinstance(entries, list) else (*path, key)
            if isinstance(entry, dict):
                if entry:
                    yield entry, place
            else:
                self._say(place, f"{shown(entry)} is {type_of(entry)}, a map is expected", "Write it in { and }.")

    def _refuse_twins(self, templates: list[Template]) -> None:
        counted = Counter(template.id for template in templates if template.id)
        for number, template in enumerate(templates):
            if counted[template.id] > 1 and template.id in [one.id for one in templates[:number]]:
                path = ("templates", number, "id")
                self._say(path, f"The template {shown(template.id)} stands twice", "Give it an IRI of its own.")

    def _say(self, path: Path, text: str, remedy: str) -> None:
        self.problems.append(self._document.problem(path, text, remedy))


_NOWHERE = jsonpath.parse("$.x")
"""Stands in for a location that is none, until the problem is told."""


def _title(data: dict[str, Any]) -> str:
    label = data.get("prefLabel")
    found = text(label) if isinstance(label, dict) else label
    return found if isinstance(found, str) else ""
