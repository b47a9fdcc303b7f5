"""Whose an alias is: the rules by which aliases meet in one learner, on plain values.

In order of strength:

1. `override N`: a decision of a person gives the alias, or merges the learner that a roster gives it.
2. `roster SOURCE`: a roster row with a learner's key claims the alias.
3. Links from an alias that has a learner to one that has none, nearest first: `link SOURCE KEY` (both stand in this row
   of a directory), then `email` (both are this address), then `mbox_sha1sum` (one is the hash of the other's address).
4. `own`: where unclaimed actors are learners, an actor and all that links to it make a learner.

Two learners by rules of equal strength: the alias is nobody's, and links lead no further over it. Names count nowhere.

Each step looks at all aliases at once, so the order in which they are given does not matter; and aliases that no link
joins do not affect each other, so some can be settled without the rest.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bridge.mapping import aliases
from bridge.mapping.kinds import LinkRule

CONTESTED = "contested"
"""Stands in the place of a rule where two learners have an equal right."""
OWN = "own"
_ACTORS = ("account:", "mbox:", "mbox_sha1sum:", "openid:")


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided, in force."""

    id: int
    learner: str | None
    """Who is kept, or gets the aliases; None: a new learner."""
    other: str | None
    """Who is the same as `learner`; None where aliases are only given."""
    aliases: Sequence[str]

    @property
    def target(self) -> str:
        """The learner's key; a new one is called by its first alias and the decision, so that nobody else is."""
        return self.learner or f"{min(self.aliases)} #{self.id}"


class Overrides:
    """All decisions in force, taken together in the order in which they were made."""

    def __init__(self, decisions: Iterable[Decision] = ()) -> None:
        self._merged: dict[str, tuple[str, int]] = {}
        self._given: dict[str, tuple[str, int]] = {}
        for decision in sorted(decisions, key=lambda one: one.id):
            self._given |= dict.fromkeys(decision.aliases, (decision.target, decision.id))
            if decision.other is not None:
                kept, other = self.kept(decision.target), self.kept(decision.other)
                if kept != other:  # else they are one already, so that no circle can come about
                    self._merged[other] = (kept, decision.id)

    def kept(self, learner: str) -> str:
        """Give the learner that this one is, over any number of merges."""
        while learner in self._merged:
            learner = self._merged[learner][0]
        return learner

    def merged_by(self, learner: str) -> int | None:
        """Give the decision that made this learner another; None while it stands for itself."""
        return self._merged[learner][1] if learner in self._merged else None

    def merged_into(self, learner: str) -> list[str]:
        """Give the keys of all learners that are this one by merges."""
        return [other for other in self._merged if self.kept(other) == learner]

    @property
    def aliases(self) -> list[str]:
        """All aliases that were given to somebody."""
        return list(self._given)

    def given(self, alias: str) -> tuple[str, int] | None:
        """Give the learner that an alias was given to, and the last decision that says so."""
        return self._given.get(alias)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one alias."""

    key: str
    claims: Collection[tuple[str, str]] = ()
    """(learner's key, source) of each roster row that claims it."""
    tokens: Collection[str] = ()
    """What links it with others: aliases with an equal token belong together."""


@dataclass(frozen=True, slots=True)
class Settled:
    """Whose an alias is."""

    learner: str | None
    rule: str | None
    """None: nothing leads to a learner. CONTESTED: several things do, to several."""
    rivals: tuple[str, ...] = ()
    """The learners with an equal right."""


def settle(known: Iterable[Known], overrides: Overrides, *, unclaimed_are_learners: bool) -> dict[str, Settled]:
    """Say of each alias whose it is; all that links lead to from them must be given too."""
    settling = _Settling({one.key: one for one in known})
    settling.decide(overrides)
    settling.spread()
    if unclaimed_are_learners:
        settling.make_own()
    return settling.settled()


def tokens(alias: str, link_by: Collection[LinkRule], mail_accounts: Collection[str]) -> list[str]:
    """Give what links an alias by itself: its mail address, or hashes of it.

    `mail_accounts` are home pages where an account's name is a mail address.
    """
    if alias.startswith("mbox_sha1sum:"):
        hexadecimal = alias.removeprefix("mbox_sha1sum:")
        return [_sha1_token(hexadecimal)] if LinkRule.MBOX_SHA1SUM in link_by else []
    address = _address(alias, mail_accounts)
    if address is None:
        return []
    # Without such accounts an address is always the same alias.
    found = [f"{LinkRule.EMAIL} {address}"] if LinkRule.EMAIL in link_by and mail_accounts else []
    return found + hash_tokens([address], link_by)


def hash_tokens(addresses: Iterable[str], link_by: Collection[LinkRule]) -> list[str]:
    """Give the tokens of the hashes of addresses, as they are written; xAPI hashes `mailto:` and the address."""
    if LinkRule.MBOX_SHA1SUM not in link_by:
        return []
    hashes = (hashlib.sha1(f"mailto:{one}".encode(), usedforsecurity=False).hexdigest() for one in addresses)
    return [_sha1_token(one) for one in hashes]


def row_token(source: str, key: str) -> str:
    """Give the token of a directory's row."""
    return f"link {source} {key}"


def _sha1_token(hexadecimal: str) -> str:
    return f"{LinkRule.MBOX_SHA1SUM} {hexadecimal}"


def _address(alias: str, mail_accounts: Collection[str]) -> str | None:
    if alias.startswith("mbox:mailto:"):
        return alias.removeprefix("mbox:mailto:")
    for home_page in mail_accounts:
        prefix = aliases.of_account(home_page, "")
        if alias.startswith(prefix) and "@" in alias[len(prefix) :]:
            return aliases.address(alias[len(prefix) :])
    return None


_STRENGTH = ("link", LinkRule.EMAIL, LinkRule.MBOX_SHA1SUM)
"""The first words of tokens, the strongest first."""


@dataclass(slots=True)
class _Settling:
    known: dict[str, Known]
    found: dict[str, Settled] = field(default_factory=dict)
    bearers: dict[str, dict[str, list[str]]] = field(init=False)
    """By kind and token, the aliases that bear it, if there are several."""

    def __post_init__(self) -> None:
        bearers: dict[str, dict[str, list[str]]] = {kind: defaultdict(list) for kind in _STRENGTH}
        for one in self.known.values():
            for token in set(one.tokens):
                bearers[token.partition(" ")[0]][token].append(one.key)
        self.bearers = {
            kind: {token: keys for token, keys in by_token.items() if len(keys) > 1}
            for kind, by_token in bearers.items()
        }

    def settled(self) -> dict[str, Settled]:
        return {key: self.found.get(key) or Settled(None, None) for key in self.known}

    def decide(self, overrides: Overrides) -> None:
        """Give aliases to learners by decisions and claims."""
        for one in self.known.values():
            if given := overrides.given(one.key):
                self.found[one.key] = Settled(overrides.kept(given[0]), f"override {given[1]}")
            elif one.claims:
                self.found[one.key] = self._claimed(one, overrides)

    def _claimed(self, one: Known, overrides: Overrides) -> Settled:
        learners = {overrides.kept(key) for key, _ in one.claims}
        if len(learners) > 1:
            return Settled(None, CONTESTED, tuple(sorted(learners)))
        # A claim that needs no decision is the better reason.
        key, source = min(one.claims, key=lambda claim: (overrides.merged_by(claim[0]) is not None, claim[1], claim[0]))
        decision = overrides.merged_by(key)
        return Settled(learners.pop(), f"roster {source}" if decision is None else f"override {decision}")

    def spread(self) -> None:
        """Follow links from aliases that have a learner, step by step, until none leads further."""
        while any(self._step(kind) for kind in _STRENGTH):
            pass

    def _step(self, kind: str) -> bool:
        """Follow the links of one kind by one step, from all aliases at once; gives whether any led somewhere."""
        offers: dict[str, dict[str, str]] = defaultdict(dict)
        for token, keys in self.bearers[kind].items():
            learners = {self.found[key].learner for key in keys if key in self.found} - {None}
            waiting = [key for key in keys if key not in self.found] if learners else []
            for key in waiting:
                for learner in learners:
                    if learner is not None:
                        offers[key][learner] = min(token, offers[key].get(learner, token))
        for key, by_learner in offers.items():
            if len(by_learner) > 1:
                self.found[key] = Settled(None, CONTESTED, tuple(sorted(by_learner)))
            else:
                [(learner, token)] = by_learner.items()
                self.found[key] = Settled(learner, _rule(token))
        return bool(offers)

    def make_own(self) -> None:
        """Make learners of the actors that are left, each with what links to it.

        An alias that stands in several rows of one directory, like a shared mail address, joins nobody; it goes to the
        one learner that it links to, or is one itself.
        """
        left = {key for key in self.known if key not in self.found}
        shared = {key for key in left if self._is_shared(self.known[key])}
        for part in (left - shared, shared):
            for group in self._groups({key for key in part if key not in self.found}):
                self._make_learner(group)
            self.spread()

    def _is_shared(self, one: Known) -> bool:
        sources = [token.split(" ")[1] for token in set(one.tokens) if token.startswith("link ")]
        return len(sources) != len(set(sources))

    def _groups(self, keys: Collection[str]) -> Iterator[list[str]]:
        """Give the aliases in groups that links join."""
        left = set(keys)
        while left:
            group = [left.pop()]
            for key in group:
                joined = left & self._linked(key)
                left -= joined
                group += joined
            yield group

    def _linked(self, key: str) -> set[str]:
        found = (self.bearers[token.partition(" ")[0]].get(token, ()) for token in self.known[key].tokens)
        return {other for keys in found for other in keys}

    def _make_learner(self, group: list[str]) -> None:
        actors = [key for key in group if key.startswith(_ACTORS)]
        if not actors:
            return
        learner, members = min(actors), set(group)
        for key in group:
            joining = [token for token in self.known[key].tokens if self._joins(token, members - {key})]
            nearest = min(joining, key=lambda token: (_STRENGTH.index(token.partition(" ")[0]), token), default="")
            self.found[key] = Settled(learner, OWN if key == learner else _rule(nearest))

    def _joins(self, token: str, members: set[str]) -> bool:
        return not members.isdisjoint(self.bearers[token.partition(" ")[0]].get(token, ()))


def _rule(token: str) -> str:
    """Give the rule that a token stands for: a row is named, an address is not."""
    return token if token.startswith("link ") else token.partition(" ")[0]
