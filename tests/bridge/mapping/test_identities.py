"""Whose an alias is: the rules in their order, whatever the order of what is known."""

from hashlib import sha1

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.mapping.identities import Decision, Known, Overrides, Settled, hash_tokens, row_token, settle, tokens
from bridge.mapping.kinds import LinkRule

ALL = tuple(LinkRule)
LMS = "https://lms.example.com"
ANN = "mbox:mailto:ann@example.com"
USER = "user:crm|5"
ACCOUNT = f"account:{LMS}|7"


def known(key: str, *held: str, claims: tuple[tuple[str, str], ...] = ()) -> Known:
    """An alias with the tokens that it has by itself, and others."""
    return Known(key, claims, [*tokens(key, ALL, [LMS]), *held])


def whose(
    *all_known: Known, decisions: tuple[Decision, ...] = (), own: bool = False
) -> dict[str, tuple[object, object]]:
    found = settle(all_known, Overrides(decisions), unclaimed_are_learners=own)
    return {key: (one.learner, one.rule) for key, one in found.items()}


def sha1_alias(written: str) -> str:
    return "mbox_sha1sum:" + sha1(f"mailto:{written}".encode(), usedforsecurity=False).hexdigest()


def claimed(key: str, *learners: str) -> Known:
    return known(key, claims=tuple((learner, "hr") for learner in learners))


# --- each rule -------------------------------------------------------------------------------------------------------


def test_a_roster_row_gives_the_aliases_that_it_claims():
    assert whose(claimed(ANN, "E1")) == {ANN: ("E1", "roster hr")}


def test_an_alias_beside_a_known_one_in_a_directory_is_linked_and_names_the_row():
    row = row_token("crm-users", "17")

    found = whose(known(ANN, row, claims=(("E1", "hr"),)), known(USER, row))

    assert found[USER] == ("E1", "link crm-users 17")


def test_links_lead_on_over_what_they_have_linked():
    crm, desk = row_token("crm-users", "17"), row_token("desk-users", "3")

    found = whose(known(ANN, crm, claims=(("E1", "hr"),)), known(USER, crm, desk), known("user:desk|3", desk))

    assert found["user:desk|3"] == ("E1", "link desk-users 3")


@pytest.mark.parametrize("name", ["ann@example.com", "Ann@Example.COM"])
def test_an_account_that_is_called_by_a_mail_address_is_who_has_the_address(name):
    account = f"account:{LMS}|{name}"

    assert whose(claimed(ANN, "E1"), known(account))[account] == ("E1", "email")


def test_an_account_elsewhere_that_is_called_by_a_mail_address_is_nobody():
    account = "account:https://elsewhere.example.com|ann@example.com"

    assert whose(claimed(ANN, "E1"), known(account))[account] == (None, None)


def test_the_hash_of_a_known_address_is_who_has_the_address():
    hashed = sha1_alias("ann@example.com")

    assert whose(claimed(ANN, "E1"), known(hashed))[hashed] == ("E1", "mbox_sha1sum")


def test_the_hash_of_an_address_as_a_roster_writes_it_is_known_too():
    hashed = sha1_alias("Ann@Example.com")
    ann = known(ANN, *hash_tokens(["Ann@Example.com"], ALL), claims=(("E1", "hr"),))

    assert whose(ann, known(hashed))[hashed] == ("E1", "mbox_sha1sum")


@pytest.mark.parametrize(
    ("left_out", "alias"),
    [(LinkRule.EMAIL, f"account:{LMS}|ann@example.com"), (LinkRule.MBOX_SHA1SUM, sha1_alias("ann@example.com"))],
)
def test_a_rule_that_the_document_leaves_out_links_nothing(left_out, alias):
    link_by = [rule for rule in LinkRule if rule is not left_out]

    assert [token for token in tokens(alias, link_by, [LMS]) if token.startswith(left_out)] == []
    assert [token for token in tokens(alias, ALL, [LMS]) if token.startswith(left_out)] != []


def test_without_any_link_nobody_is_known():
    assert whose(claimed(ANN, "E1"), known(USER), known(ACCOUNT)) == {
        ANN: ("E1", "roster hr"),
        USER: (None, None),
        ACCOUNT: (None, None),
    }


# --- their order, and equal rights -----------------------------------------------------------------------------------


def test_a_roster_is_stronger_than_a_link():
    row = row_token("crm-users", "17")

    found = whose(known(ANN, row, claims=(("E1", "hr"),)), known(USER, row, claims=(("E2", "hr"),)))

    assert found[USER] == ("E2", "roster hr")


def test_a_link_by_a_row_is_stronger_than_one_by_address():
    row, account = row_token("crm-users", "17"), f"account:{LMS}|ann@example.com"

    found = whose(claimed(ANN, "E1"), known(USER, row, claims=(("E2", "hr"),)), known(account, row))

    assert found[account] == ("E2", "link crm-users 17")


def test_an_alias_that_two_learners_claim_is_nobodys_and_nothing_is_linked_over_it():
    row = row_token("crm-users", "17")

    found = settle(
        [known(ANN, row, claims=(("E1", "hr"), ("E2", "hr"))), known(USER, row)],
        Overrides(),
        unclaimed_are_learners=True,
    )

    assert found[ANN] == Settled(None, "contested", ("E1", "E2"))
    assert found[USER] == Settled(None, None)


def test_an_alias_that_links_to_two_learners_is_nobodys_but_their_own_aliases_stay_theirs():
    one, two, shared = row_token("crm-users", "1"), row_token("crm-users", "2"), "mbox:mailto:info@example.com"

    found = whose(
        known("employee:1", one, claims=(("E1", "hr"),)),
        known("employee:2", two, claims=(("E2", "hr"),)),
        known("user:crm|1", one),
        known("user:crm|2", two),
        known(shared, one, two),
    )

    assert found[shared] == (None, "contested")
    assert (found["user:crm|1"][0], found["user:crm|2"][0]) == ("E1", "E2")


# --- learners of their own -------------------------------------------------------------------------------------------


def test_an_actor_whom_nobody_claims_is_a_learner_with_all_that_links_to_it():
    row = row_token("crm-users", "17")

    found = whose(known(ANN, row), known(USER, row), known(sha1_alias("ann@example.com")), own=True)

    assert found == {
        ANN: (ANN, "own"),
        USER: (ANN, "link crm-users 17"),
        sha1_alias("ann@example.com"): (ANN, "mbox_sha1sum"),
    }


def test_a_user_of_a_source_is_no_learner_of_its_own():
    assert whose(known(USER), known("employee:1"), own=True) == {USER: (None, None), "employee:1": (None, None)}


def test_a_shared_mail_address_makes_one_learner_of_nobody():
    one, two, shared = row_token("lms", "1"), row_token("lms", "2"), "mbox:mailto:info@example.com"

    found = whose(known(f"account:{LMS}|1", one), known(f"account:{LMS}|2", two), known(shared, one, two), own=True)

    assert found == {
        f"account:{LMS}|1": (f"account:{LMS}|1", "own"),
        f"account:{LMS}|2": (f"account:{LMS}|2", "own"),
        shared: (None, "contested"),
    }


def test_two_users_of_one_person_follow_the_address():
    one, two = row_token("crm-users", "1"), row_token("crm-users", "2")

    found = whose(known(ANN, one, two), known("user:crm|1", one), known("user:crm|2", two), own=True)

    assert {learner for learner, _ in found.values()} == {ANN}


# --- decisions -------------------------------------------------------------------------------------------------------


def merge(number: int, keep: str, other: str, *aliases: str) -> Decision:
    return Decision(number, keep, other, aliases)


def split(number: int, *aliases: str, to: str | None = None) -> Decision:
    return Decision(number, to, None, aliases)


def test_a_merge_gives_all_that_rosters_give_the_other_to_the_one():
    found = whose(claimed(ANN, "E1"), claimed(USER, "E2"), decisions=(merge(3, "E1", "E2"),))

    assert found == {ANN: ("E1", "roster hr"), USER: ("E1", "override 3")}


def test_two_who_are_one_do_not_contest():
    assert whose(claimed(ANN, "E1", "E2"), decisions=(merge(3, "E1", "E2"),)) == {ANN: ("E1", "roster hr")}


def test_a_split_beats_a_roster_and_the_last_split_the_others():
    decisions = (split(1, ANN, to="E2"), split(2, ANN, to="E3"))

    assert whose(claimed(ANN, "E1"), decisions=decisions) == {ANN: ("E3", "override 2")}


def test_a_split_to_nobody_makes_a_learner_that_nobody_else_is():
    found = whose(claimed(ANN, "E1"), claimed(USER, "E1"), decisions=(split(1, ANN, USER),))

    assert found == {ANN: (f"{ANN} #1", "override 1"), USER: (f"{ANN} #1", "override 1")}


def test_what_is_linked_goes_along_with_what_was_split_off():
    row = row_token("crm-users", "17")

    found = whose(known(ANN, row), known(USER, row), decisions=(split(1, ANN, to="E2"),))

    assert found[USER] == ("E2", "link crm-users 17")


def test_chains_and_circles_of_merges_end_with_who_was_kept_first():
    decisions = (merge(1, "A", "B"), merge(2, "C", "A"), merge(3, "B", "C"))

    overrides = Overrides(decisions)

    assert [overrides.kept(key) for key in "ABC"] == ["C", "C", "C"]
    assert sorted(overrides.merged_into("C")) == ["A", "B"]


# --- order does not matter, and neither does what nothing links to ---------------------------------------------------

_ALIASES = (
    ANN,
    "mbox:mailto:bo@example.com",
    sha1_alias("ann@example.com"),
    ACCOUNT,
    f"account:{LMS}|bo@example.com",
    USER,
    "user:crm|6",
    "employee:1",
)
_worlds = st.lists(
    st.builds(
        lambda key, held, learners: known(key, *held, claims=tuple((one, "hr") for one in learners)),
        st.sampled_from(_ALIASES),
        st.lists(
            st.sampled_from([row_token("crm-users", str(n)) for n in range(3)] + [row_token("lms", "1")]), max_size=2
        ),
        st.sets(st.sampled_from(["E1", "E2"]), max_size=2),
    ),
    unique_by=lambda one: one.key,
)
_decisions = st.lists(
    st.one_of(
        st.builds(
            lambda keep, other: (keep, other, ()),
            st.sampled_from(["E1", "E2", "E3"]),
            st.sampled_from(["E1", "E2", "E3"]),
        ),
        st.builds(
            lambda to, aliases: (to, None, tuple(aliases)),
            st.sampled_from(["E1", "E3", None]),
            st.sets(st.sampled_from(_ALIASES), min_size=1, max_size=2),
        ),
    ),
    max_size=4,
).map(lambda made: tuple(Decision(number, *one) for number, one in enumerate(made, 1)))


@given(_worlds, _decisions, st.randoms(use_true_random=False), st.booleans())
def test_the_same_in_any_order_gives_the_same(world, decisions, random, own):
    mixed, later = list(world), list(decisions)
    random.shuffle(mixed)
    random.shuffle(later)

    assert settle(mixed, Overrides(later), unclaimed_are_learners=own) == settle(
        world, Overrides(decisions), unclaimed_are_learners=own
    )


@given(_worlds, _decisions, st.booleans())
def test_aliases_that_no_link_joins_can_be_settled_apart(world, decisions, own):
    whole = settle(world, Overrides(decisions), unclaimed_are_learners=own)

    apart = {}
    for start in world:
        group, held = {start.key}, set(start.tokens)
        for _ in world:  # far enough for any chain
            group |= {one.key for one in world if held & set(one.tokens)}
            held |= {token for one in world if one.key in group for token in one.tokens}
        part = [one for one in world if one.key in group]
        apart |= settle(part, Overrides(decisions), unclaimed_are_learners=own)

    assert apart == whole
