"""Store a batch in one trip, and keep the definitions of activities.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STORE_STATEMENTS = """
-- Stores a batch and gives the number of its first statement; null, and nothing is stored, when one of its ids is known.
--
-- ids, heads, untimed: one entry a statement. A head is the JSON text but for what is decided here: `stored`, `timestamp`
-- where the sender left it out (untimed), and the closing brace.
-- named: those of the ids that the sender gave; only they can be known or pointed at.
-- digests, kinds, texts: the terms of the batch, ordered by digest, so that two writers of the same new terms never wait for
-- each other in a circle. mention_places and mention_terms: which statement (from 0) mentions which term; twice the term's place
-- in those arrays (from 1), plus 1 when only related.
-- alone: this is all of the transaction. Then nothing is stored either when a statement is pointed at, since its
-- mentions have to be spread in the transaction that stores it.
-- definition_*: which statement gave which activity (a term's place, from 1) which definition; ordered by digest.
create function store_statements(
    credential bigint, alone boolean, ids uuid[], heads text[], untimed boolean[], named uuid[],
    digests bytea[], kinds text[], texts text[], mention_places int[], mention_terms int[],
    definition_places int[], definition_terms int[], definition_digests bytea[], definitions text[],
    out first_number bigint, out is_pointed_at boolean
) language plpgsql volatile
-- Every step looks up a few rows by index. The planner would read whole tables instead while they are small, keep that plan
-- while they grow, and plan anew for each batch.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
    term_ids bigint[];
    broken text;
begin
    -- The gate of references: a batch that points at statements has passed it alone before it comes here.
    perform pg_advisory_xact_lock_shared(x'4C70000000000000'::bigint);
    loop
        if cardinality(named) > 0 then
            if exists (select from statement where id = any(named)) then
                first_number := null;
                return;
            end if;
            is_pointed_at := exists (select from reference where target = any(named));
            if is_pointed_at and alone then
                first_number := null;
                return;
            end if;
        end if;

        begin
            select array_agg(term.id order by given.place) into term_ids
            from unnest(digests) with ordinality as given (digest, place) left join term using (digest);
            if array_position(term_ids, null) is not null then
                insert into term (digest, kind, text)
                select digest, kind, text
                from unnest(digests, kinds, texts) with ordinality as given (digest, kind, text, place)
                where term_ids[place] is null
                order by place
                on conflict (digest) do nothing;
                -- Also those that another transaction added since we looked: it has committed, and now they can be seen.
                select array_agg(term.id order by given.place) into term_ids
                from unnest(digests) with ordinality as given (digest, place) join term using (digest);
            end if;

            first_number := take_statement_numbers(cardinality(ids));

            insert into statement (seq, id, stored, credential_id, payload)
            select seq, id, instant, credential,
                concat(head, case when no_time then concat(',"timestamp":"', written, '"') end, ',"stored":"', written, '"}')
            from unnest(ids, heads, untimed) with ordinality as given (id, head, no_time, place)
            cross join lateral (select first_number + place - 1 as seq) as numbered
            cross join lateral (select 'epoch'::timestamptz + seq * '1 microsecond'::interval as instant) as timed
            cross join lateral (select to_char(instant at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as written) as put
            order by id;

            insert into mention (key, seq)
            select 2 * term_ids[mentioned >> 1] + (mentioned & 1), first_number + place
            from unnest(mention_places, mention_terms) as given (place, mentioned);

            if cardinality(definitions) > 0 then
                insert into activity_definition (term_id, digest, seq, definition)
                select term_ids[term], digest, first_number + place, definition
                from unnest(definition_places, definition_terms, definition_digests, definitions)
                    as given (place, term, digest, definition)
                order by 1, 2
                on conflict do nothing;
            end if;
            return;
        exception when unique_violation then
            get stacked diagnostics broken = constraint_name;
            if broken <> 'uq_statement_id' then
                raise;
            end if;
            -- Another transaction stored one of these ids since we looked: it has committed, and now it can be seen.
        end;
    end loop;
end $$
"""


def upgrade() -> None:
    op.create_table(
        "activity_definition",
        sa.Column("term_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("term_id", "digest", name="pk_activity_definition"),
    )
    op.execute(STORE_STATEMENTS)


def downgrade() -> None:
    types = "bigint, boolean, uuid[], text[], boolean[], uuid[], bytea[], text[], text[], int[], int[], int[], int[], bytea[], text[]"
    op.execute(f"drop function store_statements({types})")
    op.drop_table("activity_definition")
