"""What the scope statements/read/mine finds (xAPI 1.0.3, Communication 4.2): by what its own statements say, alone.

A statement that points at another is found by what that one mentions too (2.1.3), and so on. Where the other is
somebody else's, the filters would tell what it says although it is not shown: of such a chain only the links up to
there count.
"""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from lrs.database import driver
from lrs.references import terms_of_stored
from lrs.xapi.terms import Term, Terms

# The pointing ones among some statements, and what each leads to as far as that is the same credential's.
_CHAINS = """
    with recursive link (seq, reached) as (
        select seq, seq from reference where seq = any(%(seqs)s)
        union
        select link.seq, statement.seq
        from link join reference on reference.seq = link.reached join statement on statement.id = reference.target
        where statement.credential_id = %(by)s
    )
    select link.seq, payload from link join statement on statement.seq = link.reached
"""


def hidden(session: Session, seqs: Sequence[int], wanted: Sequence[tuple[Term, bool]], *, by: int) -> set[int]:
    """Give which of a credential's own statements (their numbers) its filters found by what others stored.

    `wanted`: each filter's term, and whether it may be only related.
    """
    said: dict[int, Terms] = {}
    for seq, payload in driver(session).execute(_CHAINS, {"seqs": list(seqs), "by": by}):
        direct, related = said.setdefault(seq, Terms(set(), set()))
        direct |= (found := terms_of_stored(payload)).direct
        related |= found.related
    return {
        seq
        for seq, (direct, related) in said.items()
        if not all(term in direct or (may_be_related and term in related) for term, may_be_related in wanted)
    }
