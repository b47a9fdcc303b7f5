"""Statements without an id that come twice, for credentials that ask for it (`deduplicate_seconds`).

The first to come claims its content; whoever brings the same content within the window gets the id of the stored one.
Two at once meet at the row of `sent_content`: the second waits until the first has committed, or takes its place when
it is undone. Claims are made before `lrs.store` locks anything, in the order of their digests, so that no two wait for
each other in a circle.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from msgspec import UNSET
from psycopg import Connection

from lrs.store import Incoming
from lrs.xapi import content

_CLAIM = """
    insert into sent_content (credential_id, digest, statement_id, sent_at)
    select %(credential)s, digest, id, now()
    from unnest(%(digests)b::bytea[], %(ids)b::uuid[]) as new (digest, id)
    order by digest
    on conflict (credential_id, digest) do update
    set statement_id = excluded.statement_id, sent_at = excluded.sent_at
    where sent_content.sent_at <= now() - %(seconds)s * interval '1 second'
    returning digest
"""
_CLAIMED = "select digest, statement_id from sent_content where credential_id = %s and digest = any(%b::bytea[])"
# Nobody is waited for: what another transaction holds is left for the next time.
_CLEAN = """
    delete from sent_content
    where credential_id = %(credential)s and digest in (
        select digest from sent_content
        where credential_id = %(credential)s and sent_at <= now() - %(seconds)s * interval '1 second'
        order by sent_at limit 1000
        for update skip locked)
"""


def claim(
    connection: Connection[Any], batch: Sequence[Incoming], *, credential_id: int, seconds: int
) -> dict[int, str]:
    """Claim the content of statements without an id, which get one; give place and id of those that are there already.

    The place is that in the batch, from 0. Of two with the same content in one batch, the second is there already.
    """
    digests = {
        place: found
        for place, one in enumerate(batch)
        if one.statement.id is UNSET and (found := content.digest(one.statement)) is not None
    }
    if not digests:
        return {}
    ids = {one: uuid.uuid4() for one in digests.values()}
    claims = {"credential": credential_id, "digests": list(ids), "ids": list(ids.values()), "seconds": seconds}
    claimed = {bytes(one) for (one,) in connection.execute(_CLAIM, claims).fetchall()}
    if len(claimed) < len(ids):
        others = [one for one in ids if one not in claimed]
        rows = connection.execute(_CLAIMED, [credential_id, others]).fetchall()
        ids.update((bytes(one), statement_id) for one, statement_id in rows)
    known: dict[int, str] = {}
    for place, one in digests.items():
        if one in claimed:
            batch[place].statement.id = str(ids[one])
            claimed.remove(one)
        else:
            known[place] = str(ids[one])
    return known


def clean(connection: Connection[Any], *, credential_id: int, seconds: int) -> None:
    """Drop claims that the window has passed, some at a time; last in a transaction, for it locks."""
    connection.execute(_CLEAN, {"credential": credential_id, "seconds": seconds})
