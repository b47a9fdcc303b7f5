"""What a source record gives now and what it gave before, from what each of its versions gives."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from bridge.mapping.facts import EarlierFact, PerformanceFact

Key = tuple[str, str]
"""What a record gives at most once: the name of a rule and an alias."""


@dataclass(frozen=True, slots=True)
class Given:
    """What one rule read out of one version for one owner."""

    metric: str
    occurred_at: datetime
    value: float
    weight: float


def newest(version_id: int, given: Mapping[Key, Given]) -> Iterator[PerformanceFact]:
    """Give the facts of the newest version."""
    for (rule, alias_key), one in given.items():
        yield PerformanceFact(rule, one.metric, alias_key, one.occurred_at, one.value, one.weight, version_id)


def earlier(gave: Iterable[tuple[int, Mapping[Key, Given]]]) -> Iterator[EarlierFact]:
    """Give what does not hold any more, from the id of each version, oldest first, and what it gave.

    What stays the same from one version to the next is one entry. What was taken back and came again is an entry of its
    own, also when it is now as it was before.
    """
    running: dict[Key, tuple[int, Given]] = {}
    for version_id, given in gave:
        for key in [key for key, (_, was) in running.items() if given.get(key) != was]:
            since, was = running.pop(key)
            rule, alias_key = key
            yield EarlierFact(
                rule, was.metric, alias_key, was.occurred_at, was.value, was.weight, since, until_version_id=version_id
            )
        for key, now in given.items():
            running.setdefault(key, (version_id, now))
