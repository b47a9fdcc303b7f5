"""A set of mapping documents that fit each other, and how it is kept without its files."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from bridge.mapping import matching, reconciled, references, schemas
from bridge.mapping.hashes import canonical, content_hash, plain
from bridge.mapping.kinds import (
    FactKind,
    Forward,
    Identity,
    Kind,
    Learning,
    LearningRule,
    Metric,
    MetricRule,
    Performance,
    Profile,
    Program,
    Report,
    RuleKey,
)
from bridge.mapping.problems import MappingError, Problem
from bridge.mapping.profiles import Profiles
from bridge.mapping.rows import RecordReader
from bridge.mapping.statements import StatementReader
from bridge.mapping.written import Document

ENGINE_VERSION = 1
"""Raised when the same documents would give other facts than before, so that history is read again."""

_NO_MATTER_FOR_FACTS = frozenset({"title", "description", "unit", "family", "direction"})


@dataclass(frozen=True)
class Documents:
    """All documents in force, by kind; each kind is sorted by name."""

    identity: Identity
    learning: tuple[Learning, ...]
    performance: tuple[Performance, ...]
    programs: Mapping[str, Program]
    reports: Mapping[str, Report]
    forwards: Mapping[str, Forward]
    sources: Mapping[str, Document]
    destinations: Mapping[str, Document]
    profiles: Profiles = field(compare=False, repr=False)
    written: tuple[Document, ...] = field(repr=False)
    """All of them as they were written."""
    notices: tuple[str, ...] = field(default=(), compare=False)
    """What an admin should know, and need not do anything about."""

    @classmethod
    def of(
        cls,
        written: Iterable[Document],
        notices: Iterable[str] = (),
        problems: Iterable[Problem] = (),
        *,
        shipped: Path | None = None,
    ) -> Self:
        """Put documents together; of two of the same kind and name the later one holds.

        `problems` are those found before, to be told together with the ones found here. `shipped`: the folder whose
        documents wait for a source without a notice; None: all do. Raises MappingError.
        """
        notices, problems = list(notices), list(problems)
        kept: dict[tuple[str, str], Document] = {}
        parsed: dict[tuple[str, str], Kind | None] = {}
        for document in written:
            key = document.kind, document.name
            try:
                parsed[key] = schemas.parse(document)
            except MappingError as err:
                problems += err.problems
                parsed.pop(key, None)
            if key in kept:
                notices.append(f"{document.place}: {document} replaces the one in {kept[key].place}.")
                del kept[key]  # so that it stands where the later one was read
            kept[key] = document
        as_read = [(document, parsed[key]) for key, document in kept.items() if key in parsed]
        problems += references.problems(tuple(kept.values()), as_read)
        if problems:
            raise MappingError(problems)
        in_order = tuple(kept[key] for key in sorted(kept))
        found = [(document, parsed[document.kind, document.name]) for document in in_order]
        notices += references.notices(in_order, found, shipped)
        return cls._typed(in_order, [value for _, value in found if value], tuple(notices))

    @classmethod
    def _typed(cls, written: tuple[Document, ...], values: list[Kind], notices: tuple[str, ...]) -> Self:
        return cls(
            identity=next((value for value in values if isinstance(value, Identity)), Identity()),
            learning=tuple(value for value in values if isinstance(value, Learning)),
            performance=tuple(value for value in values if isinstance(value, Performance)),
            programs={value.name: value for value in values if isinstance(value, Program)},
            reports={value.name: value for value in values if isinstance(value, Report)},
            forwards={value.name: value for value in values if isinstance(value, Forward)},
            sources={document.name: document for document in written if document.kind == "source"},
            destinations={document.name: document for document in written if document.kind == "destination"},
            profiles=Profiles(value for value in values if isinstance(value, Profile)),
            written=written,
            notices=notices,
        )

    @property
    def metrics(self) -> dict[str, Metric]:
        """All metrics by name."""
        return {rule.metric.name: rule.metric for document in self.performance for rule in document.metrics}

    def performance_of(self, source: str) -> tuple[Performance, ...]:
        """Give the performance documents that read a source's records."""
        return tuple(document for document in self.performance if document.source == source)

    @cached_property
    def rules(self) -> tuple[RuleKey, ...]:
        """All rules that give facts, by their content, in order of kind, document and name."""
        keys = [
            _learning_key(document, rule, self.profiles)
            for document in self.learning
            for rule in document.rules
            if rule.fact is not FactKind.NOTHING
        ]
        keys += [_metric_key(document, rule) for document in self.performance for rule in document.metrics]
        if any(document.data.get("type") in reconciled.LMS_TYPES for document in self.destinations.values()):
            keys += reconciled.RULES
        return tuple(sorted(keys, key=lambda key: (key.kind, key.document, key.name)))

    @cached_property
    def rules_hash(self) -> str:
        """Changes when statements or source records would give other facts."""
        return content_hash([key.content_hash for key in self.rules])

    @cached_property
    def statement_reader(self) -> StatementReader:
        """What reads statements by the learning rules."""
        return StatementReader(self.learning, self._hashes("learning"), self.profiles)

    def record_reader(self, source: str) -> RecordReader:
        """Give what reads the records of a source by the performance documents."""
        if source not in self._record_readers:
            self._record_readers[source] = RecordReader(self.performance_of(source), self._hashes("performance"))
        return self._record_readers[source]

    @cached_property
    def _record_readers(self) -> dict[str, RecordReader]:
        return {}

    def _hashes(self, kind: str) -> dict[str, str]:
        return {f"{key.document}/{key.name}": key.content_hash for key in self.rules if key.kind == kind}

    def only(self, rules: frozenset[tuple[str, str, str]]) -> Self:
        """Give the documents with these rules alone, each by its kind, document and name."""
        learning = tuple(
            replace(
                document,
                rules=tuple(rule for rule in document.rules if ("learning", document.name, rule.name) in rules),
            )
            for document in self.learning
        )
        performance = tuple(
            replace(
                document,
                metrics=tuple(
                    rule for rule in document.metrics if ("performance", document.name, rule.metric.name) in rules
                ),
            )
            for document in self.performance
        )
        return replace(
            self,
            learning=tuple(document for document in learning if document.rules),
            performance=tuple(document for document in performance if document.metrics),
        )

    @property
    def identity_hash(self) -> str:
        """Changes when aliases would meet otherwise."""
        return content_hash(self.identity)

    @property
    def programs_hash(self) -> str:
        """Changes when programs, reports or where they go would be others."""
        destinations = {name: document.data for name, document in self.destinations.items()}
        return content_hash([self.programs, self.reports, destinations])

    def forward_hash(self, name: str) -> str:
        """Give what changes when other statements would be forwarded, or to another LRS."""
        forward = self.forwards[name]
        return content_hash([replace(forward, title=""), self.destinations[forward.to].data["endpoint"]])

    def to_text(self) -> str:
        """Give the canonical text that `from_text` reads.

        It changes when anything does, the files' folders included, for that is where relative paths start.
        """
        keys = ("kind", "name", "data", "file", "folder")
        return canonical([{key: getattr(document, key) for key in keys} for document in self.written])

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Give the documents back, without the places of their parts. Raises MappingError if they are refused now."""
        return cls.of(Document(**entry) for entry in json.loads(text))


def _learning_key(document: Learning, rule: LearningRule, profiles: Profiles) -> RuleKey:
    used = matching.used(document, rule, profiles)
    content = content_hash([ENGINE_VERSION, document.name, replace(document, rules=(), title=""), rule, *used])
    verbs = matching.needed(document, rule, profiles)["verb"]
    return RuleKey("learning", document.name, rule.name, content, fact=rule.fact, verbs=verbs)


def _metric_key(document: Performance, rule: MetricRule) -> RuleKey:
    deciding = plain(rule, without=_NO_MATTER_FOR_FACTS)
    content = content_hash([ENGINE_VERSION, document.deciding(rule), deciding])
    metric = rule.metric.name
    return RuleKey("performance", document.name, metric, content, metric=metric, source=document.source)
