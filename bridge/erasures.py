"""Erasing a person (GDPR, article 17): everything here that is theirs or names them, in pieces, to the end.

The rules guarded here:

- What is looked for is written down before anything is deleted, and from then on nothing of it is taken in
  (`erased`, `lrs.erased`); so whoever is killed on the way, and whatever arrives meanwhile, nothing is left behind.
- Each piece is a transaction of its own, bounded in memory, and finds its own work: done again it finds nothing.
- `personal.TABLES` says what becomes of each column. A last look goes over all of them, also over those that are said
  to name nobody; what it finds is told, not hidden.
- What stays is `Erasure`: when, by whom, how many rows, and keyed hashes.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ARRAY, LargeBinary, Text, Uuid, delete, select, text, update
from sqlalchemy import Table as SqlTable
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

import lrs
from bridge import context, deliveries, erased, identities, people, publishing
from bridge.errors import BridgeError, NotFound
from bridge.mapping.aliases import of_employee
from bridge.mapping.names import name_key
from bridge.models import Alias, Built, ErasedWord, Erasure, Learner
from bridge.personal import TABLES, Deed
from bridge.times import utc_text
from bridge.traces import Traces
from lrs import Base, erasing, removal

STATEMENTS, RECORDS, ROWS = 500, 200, 200
"""Of each at once: what a transaction holds."""
MAX_NAMES = 2_000
"""Statements that are looked through for what the person was called."""
_MOST_PASSES = 10
_MARK = ("mark", "")
"""What `Erasure.key_mark` is the hash of."""

_CANDIDATES = text("""
    select learner.id, null::bigint as alias_id from learner
    where key = any(cast(:words as text[])) or name_key = :name or left(encode(
        sha256(convert_to(cast(:salt as text) || key, 'UTF8')), 'hex'), 32) = :word
    union
    select learner_id, case when learner_id is null then id end from alias
    where key = any(cast(:words as text[])) or right(key, length(:word) + 1) = '|' || :word
""")
_SHARED_NAMES = text("""
    select name_key from learner where name_key = any(cast(:names as text[])) and id <> all(cast(:ids as bigint[]))
""")
_NAMES_OF_OTHERS = text("""
    select name from alias where lower(name) = any(cast(:spelt as text[])) and key <> all(cast(:aliases as text[]))
        and (learner_id is null or learner_id <> all(cast(:ids as bigint[])))
""")
# What another is called too, at another home page or in another system, tells of neither wherever it stands.
_WORDS_OF_OTHERS = text("""
    select lower(substring(key from '[^|]*$')) from alias
    where lower(substring(key from '[^|]*$')) = any(cast(:words as text[])) and key like '%|%'
        and key <> all(cast(:aliases as text[]))
        and (learner_id is null or learner_id <> all(cast(:ids as bigint[])))
""")
_NAMES = text("""
    select name from learner where id = any(cast(:ids as bigint[])) and name is not null
    union select name from roster_row where learner_key = any(cast(:keys as text[])) and name is not null
""")
_ALIAS_IDS = (
    "select id from alias where key = any(cast(:aliases as text[])) or learner_id = any(cast(:learners as bigint[]))"
)
_RECORDS_OF = text(f"""
    with mine as ({_ALIAS_IDS}),
    rows as (
        select row_id from claim where alias_id in (select id from mine)
        union select row_id from alias_link where alias_id in (select id from mine) and row_id is not null
    )
    select record_id from roster_row
    where id in (select row_id from rows) or learner_key = any(cast(:keys as text[]))
    union
    select fact.origin from fact join rule on rule.id = fact.rule_id and rule.kind = 'performance'
    where fact.alias_id in (select id from mine)
    union
    select origin from fact_history where alias_id in (select id from mine)
    order by 1
""")  # noqa: S608 - no value is put into the text
_OF_STATEMENTS = {
    "fact": """delete from fact using rule where rule.id = fact.rule_id and rule.kind = 'learning'
        and fact.origin = any(cast(:seqs as bigint[])) returning fact.alias_id""",
    "quarantine": """delete from quarantine using rule where rule.id = quarantine.rule_id and rule.kind = 'learning'
        and quarantine.origin = any(cast(:seqs as bigint[]))""",
    "live_event": "delete from live_event where statement = any(cast(:ids as uuid[]))",
    "dead_letter": "delete from dead_letter where statement = any(cast(:ids as uuid[]))",
}
_FACTS = {
    table: f"delete from {table} where alias_id in ({_ALIAS_IDS})"  # noqa: S608 - words from above
    for table in ("fact", "fact_history")
}
_PEOPLE = {
    "identity_decision": """delete from identity_decision where learner = any(cast(:keys as text[]))
        or other = any(cast(:keys as text[])) or aliases && cast(:aliases as text[])""",
    "stale_learner": "delete from stale_learner where learner_id = any(cast(:learners as bigint[]))",
    "weekly_metric": "delete from weekly_metric where learner_id = any(cast(:learners as bigint[]))",
    "record": "delete from record where learner_id = any(cast(:learners as bigint[]))",
    "learner_attribute": "delete from learner_attribute where learner_id = any(cast(:learners as bigint[]))",
    "alias": f"delete from alias where id in ({_ALIAS_IDS})",  # noqa: S608 - as above
    "learner": "delete from learner where id = any(cast(:learners as bigint[])) or key = any(cast(:keys as text[]))",
    "lti_session": "delete from lti_session where aliases && cast(:aliases as text[])",
    "lti_login": "delete from lti_login where expires_at < now()",
    "difference": """delete from difference where subject = any(cast(:keys as text[]))
        or subject = any(cast(:aliases as text[]))""",
}
_FORMER = text("""
    update identity_decision set former = (
        select coalesce(array_agg(one), '{}') from unnest(former) as one where one <> all(cast(:keys as text[])))
    where former && cast(:keys as text[])
""")
_MEMBERS = text("update lti_session set members = null, members_at = null where members is not null")
_DRAWS = text("""
    select id, details from program_event where details -> 'people' ?| cast(:keys as text[])
""")
_TOMBSTONES = text(f"""
    update published_row held set deleted = true, person = null, body = '{{}}', learner_id = null, team = null,
        courses = '{{}}', past_teams = '{{}}', past_courses = '{{}}', changed_at = now(),
        checksum = {publishing.CHECKSUM.format(person="null::jsonb", body="'{}'::jsonb")},
        version = nextval('published_version'), xid = pg_current_xact_id()
    where learner_id = any(cast(:learners as bigint[]))
        or split_part(key, '/', 1) = any(cast(:public as text[])) and learner_id is not null
    returning feed, key
""")  # noqa: S608 - as above
_PUBLIC = text(f"select {publishing.PUBLIC_ID} from unnest(cast(:keys as text[])) as learner (key)")  # noqa: S608 - as above
_SILENCE = text("update sent_row set message = null where key = any(cast(:keys as text[])) and message is not null")
_OLD_VERSIONS = text("""
    select id, documents from mapping_version version
    where documents ~* :pattern and id < (select max(id) from mapping_version)
    and not exists (select from reading where reading.rules_hash = version.rules_hash)
""")
_ROWS_OPEN = text("""
    select delivery.destination, count(*) as rows
    from erasure cross join jsonb_array_elements(erasure.published) as one
    join delivery on delivery.kind = 'feed' and delivery.report = one ->> 0
    left join published_row row on row.feed = one ->> 0 and row.key = one ->> 1
    left join sent_row sent on sent.delivery_id = delivery.id and sent.key = one ->> 1
    where erasure.id = :id and row.deleted and not (
        sent.key is not null and sent.deleted and sent.version >= row.version and sent.outcome <> 'refused')
    group by delivery.destination order by delivery.destination
""")
_FILES_OPEN = text("""
    select delivery.destination, delivery.report
    from erasure cross join jsonb_array_elements(erasure.published) as one
    join delivery on one ->> 0 = 'report' and delivery.id = (one ->> 1)::bigint
    where erasure.id = :id and delivery.state <> 'done' order by delivery.destination, delivery.report
""")
_EVERYBODY_KNOWS = text("select cast(:xid as text)::xid8 < pg_snapshot_xmin(pg_current_snapshot())")


class Ambiguous(BridgeError):
    """Several persons can be meant; the message lists them."""


class Erased(BridgeError):
    """Nobody is here by this name, because the person was erased; says by which erasure."""

    def __init__(self, number: int) -> None:
        super().__init__(f"This person was erased already: erasure {number}.")
        self.number = number


# --- whom it is about -------------------------------------------------------------------------------------------------


def find(session: Session, word: str) -> Traces:
    """Give by what somebody is known who is named by key, alias, mail address, account name, public id or name.

    Raises NotFound, Ambiguous, and Erased for somebody who is not here any more.
    """
    words = list(dict.fromkeys([*people.spellings(word), of_employee(word), f"openid:{word}", f"mbox_sha1sum:{word}"]))
    asked = {"words": words, "word": word, "name": name_key(word), "salt": publishing.salt(session)}
    found = session.execute(_CANDIDATES, asked).all()
    learners = sorted({row.id for row in found if row.id is not None})
    loose = sorted({row.alias_id for row in found if row.alias_id is not None})
    agents = [one for one in words if one.startswith(("mbox", "account:", "openid:"))]
    if not learners and not loose:
        asked_for = erased.known(session)
        if asked_for and any(
            asked_for(kind, one) for kind, one in [*(("alias", one) for one in words), ("learner", word)]
        ):
            raise Erased(min(asked_for.met))
        if not removal.by_agents(
            session, {spelt for one in agents for spelt in erasing.spellings(one)}, after=0, limit=1
        ):
            raise NotFound(
                f"There is nobody {word!r}. `lrs-bridge learner list` and `lrs-bridge learner unmatched` list who is."
            )
        return _of(session, [], agents)
    if len(learners) + len(loose) > 1:
        raise Ambiguous(_choice(session, word, learners, loose))
    return _of(session, learners, session.scalars(select(Alias.key).where(Alias.id.in_(loose))).all())


def _choice(session: Session, word: str, learners: Sequence[int], loose: Sequence[int]) -> str:
    known = [
        f"{one.key} ({one.name or 'without a name'}; "
        f"{', '.join(row.key for row in people.aliases(session, one)) or 'no alias'})"
        for one in session.scalars(select(Learner).where(Learner.id.in_(learners)).order_by(Learner.key))
    ]
    known += [f"{key} (nobody yet)" for key in session.scalars(select(Alias.key).where(Alias.id.in_(loose)))]
    listed = "\n  ".join(known)
    return f"{word!r} can be {len(known)} persons; name one by an alias that is theirs alone:\n  {listed}"


def _of(session: Session, learners: Sequence[int], loose: Sequence[str]) -> Traces:
    decided = identities.overrides(session)
    keys: list[str] = []
    for key in session.scalars(select(Learner.key).where(Learner.id.in_(learners))):
        keys += [key, *decided.merged_into(key)]
    aliases = [*session.scalars(select(Alias.key).where(Alias.learner_id.in_(learners))), *loose]
    plain = Traces(tuple(learners), tuple(sorted(set(keys))), tuple(sorted(set(aliases))), ())
    values = {"ids": list(learners), "aliases": aliases, "keys": keys}
    names: set[str] = {one for one in session.scalars(_NAMES, values) if one}
    known = {spelt for one in names if (spelt := name_key(one))}
    # A statement may call its actor anything, `Store Manager` too: only other spellings of a known name count.
    names |= {one for one in removal.actor_names(session, plain.agents, limit=MAX_NAMES) if name_key(one) in known}
    wanted = {"names": sorted(known), "ids": list(learners), "spelt": [one.lower() for one in names]}
    shared = {*session.scalars(_SHARED_NAMES, wanted)}
    shared |= {name_key(one) for one in session.scalars(_NAMES_OF_OTHERS, wanted | {"aliases": aliases})}
    others = session.scalars(
        _WORDS_OF_OTHERS, {"ids": list(learners), "aliases": aliases, "words": sorted(plain.words)}
    )
    return replace(
        plain, names=tuple(sorted(n for n in names if name_key(n) not in shared)), shared=tuple(sorted(set(others)))
    )


# --- beginning, and going on ------------------------------------------------------------------------------------------


def begin(session: Session, traces: Traces, *, by: str, keep_out: bool = True) -> Erasure:
    """Write down what is to be erased, and take nothing of it in from the commit on."""
    mark = lrs.erased.digest(context.secret_key(), *_MARK)
    erasure = Erasure(requested_by=by, keep_out=keep_out, work=traces.told(), key_mark=mark)
    session.add(erasure)
    session.flush()
    _keep_out(session, erasure.id, traces)
    return erasure


def _keep_out(session: Session, number: int, traces: Traces) -> None:
    lrs.erased.keep_out(session, number, traces.hashed_by_lrs(), secret_key=context.secret_key())
    erased.keep_out(session, number, traces.hashed_here())


def pending(session: Session) -> Sequence[int]:
    """Give the numbers of erasures that have not come to their end."""
    return session.scalars(select(Erasure.id).where(Erasure.ended_at.is_(None)).order_by(Erasure.id)).all()


def this_transaction(session: Session) -> int:
    """Give the number of this transaction, for `everybody_knows`."""
    return int(session.scalar(text("select pg_current_xact_id()::text::bigint")) or 0)


def everybody_knows(session: Session, xid: int) -> bool:
    """Tell whether all transactions have ended that began before this one was committed."""
    return bool(session.scalar(_EVERYBODY_KNOWS, {"xid": str(xid)}))


@dataclass
class _Work:
    """An erasure under way."""

    session: Session
    number: int
    traces: Traces
    counts: dict[str, int]
    is_erased: erased.Known
    files: list[str] = field(default_factory=list)
    """Of attachments whose rows are deleted."""

    @property
    def values(self) -> dict[str, Any]:
        return {
            "aliases": list(self.traces.aliases),
            "learners": list(self.traces.learners),
            "keys": list(self.traces.keys),
        }

    def count(self, table: str, rows: int) -> None:
        if rows > 0:
            self.counts[table] = self.counts.get(table, 0) + rows

    def run(self, table: str, statement: str, values: dict[str, Any] | None = None) -> None:
        result = self.session.execute(text(statement), self.values if values is None else values)
        self.count(table, int(result.rowcount))  # type: ignore[attr-defined]


def pieces(session: Session, number: int, *, dry: bool = False) -> Iterator[dict[str, int]]:
    """Do the work piece by piece, and give what it has counted so far: whoever calls commits after each.

    `dry`: whoever calls will roll all of it back, so no file is touched.
    """
    erasure = session.get_one(Erasure, number, populate_existing=True)
    if erasure.work is None:
        return
    work = _Work(session, number, Traces.read(erasure.work), dict(erasure.counts), erased.known(session))
    for step in (_statements, _documents, _records, _facts, _rows, _people, _search, _search_statements, _terms):
        for _ in step(work):
            _note(work)
            yield work.counts
            removal.remove_files(None if dry else _files(), work.files)
            work.files.clear()
    _end(work)
    yield work.counts


def _note(work: _Work) -> None:
    values = update(Erasure).where(Erasure.id == work.number).values(counts=dict(work.counts))
    work.session.execute(values)


def _files() -> lrs.files.Files | None:
    place = context.settings().attachments
    return lrs.files.at(place) if place else None


# --- the steps --------------------------------------------------------------------------------------------------------


def _statements(work: _Work) -> Iterator[None]:
    for _ in range(_MOST_PASSES):
        after, found = 0, 0
        while seqs := removal.by_agents(work.session, work.traces.agents, after=after, limit=STATEMENTS):
            found += _remove(work, seqs)
            after = seqs[-1]
            yield
        if not found:
            return  # what is left is found by others that it points at, and will not be once these are gone


def _remove(work: _Work, seqs: Sequence[int]) -> int:
    removed = removal.remove(work.session, seqs, work.is_erased)
    gone = {"seqs": [seq for seq, _ in removed.statements], "ids": [one for _, one in removed.statements]}
    if removed.statements:
        stale = work.session.scalars(text(_OF_STATEMENTS["fact"]), gone).all()
        work.count("fact", len(stale))
        erased.mark(work.session, set(stale))
        for table in ("quarantine", "live_event", "dead_letter"):
            work.run(table, _OF_STATEMENTS[table], gone)
    work.count("statement", len(removed.statements) + removed.cleaned)
    work.count("attachment", removed.attachments)
    work.files += removed.files
    return len(removed.statements) + removed.cleaned


def _documents(work: _Work) -> Iterator[None]:
    work.count("document", removal.remove_documents(work.session, work.traces.agents))
    yield


def _records(work: _Work) -> Iterator[None]:
    found = work.session.scalars(_RECORDS_OF, work.values).all()
    for begin in range(0, len(found), RECORDS):
        _treat(work, found[begin : begin + RECORDS])
        yield


def _treat(work: _Work, records: Sequence[int]) -> None:
    treated = erased.treat(work.session, records, work.number)
    work.count("source_record", treated.deleted)
    work.count("source_record_version", treated.versions + treated.cleaned)
    work.count("fact", treated.facts)
    work.is_erased = erased.known(work.session)


def _facts(work: _Work) -> Iterator[None]:
    for table, statement in _FACTS.items():
        work.run(table, statement)
    yield


def _rows(work: _Work) -> Iterator[None]:
    """Make tombstones of published rows: destinations delete theirs by the same key, a hash that says nothing."""
    session = work.session
    salt = publishing.salt(session)
    public = session.scalars(_PUBLIC, {"keys": list(work.traces.keys), "salt": salt}).all()
    rows = [[row.feed, row.key] for row in session.execute(_TOMBSTONES, {**work.values, "public": public})]
    session.execute(_SILENCE, {"keys": [key for _, key in rows]})
    for feed in {feed for feed, _ in rows}:
        deliveries.mark_due(session, feed)
    erasure = session.get_one(Erasure, work.number)
    erasure.published = [*erasure.published, *rows]
    session.flush()
    work.count("published_row", len(rows))
    yield


def _people(work: _Work) -> Iterator[None]:
    session = work.session
    identities.lock(session)
    for event in session.execute(_DRAWS, {"keys": list(work.traces.keys)}).all():
        session.execute(
            text("update program_event set details = cast(:details as jsonb) where id = :id"),
            {"id": event.id, "details": json.dumps(_undrawn(work, event.details))},
        )
        work.count("program_event", 1)
    session.execute(_FORMER, work.values)
    session.execute(_MEMBERS)
    for table, statement in _PEOPLE.items():
        work.run(table, statement)
    # Rows that named them are read again, and so is who is whose, and what everybody's attributes are.
    session.execute(delete(Built).where(Built.part.in_(["learners", "attributes"])))
    yield


def _undrawn(work: _Work, details: dict[str, Any]) -> dict[str, Any]:
    """Give a draw without the person, whose place stays: the order of the others must stay what was drawn."""
    nobody = f"erased {work.number}"
    drawn = {nobody if key in work.traces.keys else key: place for key, place in details["people"].items()}
    return {**details, "people": drawn}


def _search(work: _Work) -> Iterator[None]:
    """Look for words and names of the person in all that is others', or nobody's, table by table."""
    for name, line in TABLES.items():
        if not line.searched or name in ("statement", "term"):
            continue
        for rows in _found(work, name, [column for column, deed in line.searched.items() if deed is not Deed.TELL]):
            _do(work, name, rows)
            yield
    _old_versions(work)
    yield


def _found(work: _Work, table: str, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
    """Give rows in which a search finds something, some at a time, by key: more of them than there are."""
    sql = Base.metadata.tables[table]
    conditions = [one for column in columns if (one := _condition(sql, column, work.traces))]
    if not conditions:
        return
    keys = [column.name for column in sql.primary_key.columns]
    wanted = ", ".join(f'"{one}"' for one in dict.fromkeys([*keys, *columns]))
    ordered = ", ".join(f'"{one}"' for one in keys)
    after: dict[str, Any] = {}
    patterns = {"pattern": work.traces.pattern(), "of_bytes": work.traces.pattern(of_bytes=True)}
    while True:
        behind = f"({ordered}) > ({', '.join(f':{one}_' for one in keys)}) and" if after else ""
        rows = work.session.execute(
            text(
                f'select {wanted} from "{table}" where {behind} ({" or ".join(conditions)})'  # noqa: S608 - names of ours
                f" order by {ordered} limit {ROWS}"
            ),
            {**patterns, **after},
        ).all()
        if not rows:
            return
        yield rows
        after = {f"{one}_": getattr(rows[-1], one) for one in keys}


def _condition(sql: SqlTable, column: str, traces: Traces) -> str | None:
    if traces.pattern() is None:
        return None
    match sql.columns[column].type:
        case LargeBinary():
            return f"encode(\"{column}\", 'escape') ~* :of_bytes"
        case JSONB() | ARRAY() | Uuid():
            return f'"{column}"::text ~* :pattern'
        case _:
            return f'"{column}" ~* :pattern'


def _do(work: _Work, table: str, rows: Sequence[Any]) -> None:
    session, line, sql = work.session, TABLES[table], Base.metadata.tables[table]
    if table == "document":
        work.count(table, sum(removal.clean_document(session, bytes(row.digest), work.is_erased) for row in rows))
        return
    if table == "refused_request":
        work.count(table, sum(removal.clean_refused(session, row.id, work.is_erased) for row in rows))
        return
    if table == "source_record":
        _treat(work, [row.id for row in rows if _without(row.key, work.is_erased) != row.key])
        return
    if table == "source_record_version":
        records = text("select distinct record_id from source_record_version where id = any(cast(:ids as bigint[]))")
        hit = [row.id for row in rows if _without(row.data, work.is_erased) != row.data]
        _treat(work, session.scalars(records, {"ids": hit}).all())
        return
    for row in rows:
        changed = {
            column: new
            for column, deed in line.searched.items()
            if column in row._mapping  # noqa: SLF001 - SQLAlchemy's own name for it
            and (new := _without(getattr(row, column), work.is_erased)) != getattr(row, column)
        }
        if not changed:
            continue
        here = [column == getattr(row, column.name) for column in sql.primary_key.columns]
        deeds = {line.searched[column] for column in changed}
        if Deed.DELETE in deeds:
            session.execute(delete(sql).where(*here))
        else:
            values = {column: None if line.searched[column] is Deed.EMPTY else new for column, new in changed.items()}
            session.execute(update(sql).where(*here).values(values))
        work.count(table, 1)


def _without(value: Any, is_erased: erased.Known) -> Any:  # noqa: ANN401 - what a column holds
    if isinstance(value, bytes | memoryview):
        told = bytes(value).decode(errors="replace")
        try:
            sent = json.loads(told)
        except ValueError:
            return value if erasing.clean(told, is_erased) == told else b""
        return value if erasing.without(sent, is_erased) == sent else b""
    return erasing.without(value, is_erased)


def _old_versions(work: _Work) -> None:
    """Delete sets of documents that are no longer in force and name the person; one in force is told of."""
    if (pattern := work.traces.pattern()) is None:
        return
    for row in work.session.execute(_OLD_VERSIONS, {"pattern": pattern}).all():
        if _without(row.documents, work.is_erased) != row.documents:
            work.run("mapping_version", "delete from mapping_version where id = :id", {"id": row.id})


def _search_statements(work: _Work) -> Iterator[None]:
    pattern, after = work.traces.pattern(), _searched_to(work)
    while pattern is not None and after is not None:
        seqs, after = removal.by_text(work.session, pattern, after=after)
        for begin in range(0, len(seqs), STATEMENTS):
            _remove(work, seqs[begin : begin + STATEMENTS])
        if after is not None:
            where = "jsonb_set(work, '{searched_to}', to_jsonb(cast(:after as bigint)))"
            work.session.execute(
                text(f"update erasure set work = {where} where id = :id"),  # noqa: S608 - words from above
                {"after": after, "id": work.number},
            )
        yield


def _searched_to(work: _Work) -> int | None:
    erasure = work.session.get_one(Erasure, work.number, populate_existing=True)
    return int((erasure.work or {}).get("searched_to", 0))


def _terms(work: _Work) -> Iterator[None]:
    work.count("term", removal.remove_terms(work.session, work.traces.agents))
    for rows in _found(work, "term", ["text"]):
        hit = [row.id for row in rows if _without(row.text, work.is_erased) != row.text]
        gone = {"ids": hit}
        work.run(
            "activity_definition", "delete from activity_definition where term_id = any(cast(:ids as bigint[]))", gone
        )
        work.run(
            "term",
            """delete from term where id = any(cast(:ids as bigint[]))
            and not exists (select from mention where key in (2 * term.id, 2 * term.id + 1))""",
            gone,
        )
        yield
    yield


# --- the end ----------------------------------------------------------------------------------------------------------


def _end(work: _Work) -> None:
    session = work.session
    erasure = session.get_one(Erasure, work.number, populate_existing=True)
    work.count("document", removal.remove_documents(session, work.traces.agents))  # one may have come meanwhile
    erasure.left_over = _last_look(work)
    deliveries.mark_all_due(session)
    reports = session.scalars(text("select id from delivery where kind = 'report' and delivered_at is not null"))
    erasure.published = [*erasure.published, *(["report", str(one)] for one in reports)]
    if work.counts.get("statement"):
        erasure.elsewhere = list(session.scalars(text("select name from forward where taken > 0 order by name")))
    erasure.counts, erasure.work, erasure.ended_at = dict(work.counts), None, datetime.now(UTC)
    if not erasure.keep_out:
        _let_in(session, erasure.id)
    session.flush()


def _last_look(work: _Work) -> list[str]:
    """Search all that can hold words, whatever is said of it; gives `table.column: rows`."""
    found: dict[str, int] = {}
    for name, table in Base.metadata.tables.items():
        columns = [one.name for one in table.columns if isinstance(one.type, Text | JSONB | LargeBinary | ARRAY)]
        if name == "erasure":
            columns.remove("work")
        for column in columns:
            for rows in _found(work, name, [column]):
                hit = sum(_without(getattr(row, column), work.is_erased) != getattr(row, column) for row in rows)
                if hit:
                    found[f"{name}.{column}"] = found.get(f"{name}.{column}", 0) + hit
    return [f"{place}: {rows}" for place, rows in sorted(found.items())]


def _let_in(session: Session, number: int) -> None:
    lrs.erased.let_in(session, number)
    session.execute(delete(ErasedWord).where(ErasedWord.erasure_id == number))


def lift(session: Session, number: int, *, by: str) -> Erasure:
    """Take in again what comes of a person who was erased. Raises NotFound."""
    erasure = _numbered(session, number)
    if erasure.lifted_at is None:
        erasure.lifted_at, erasure.lifted_by = datetime.now(UTC), by
    _let_in(session, number)
    session.flush()
    return erasure


def get(session: Session, number: int) -> Erasure:
    """Give an erasure as it is now. Raises NotFound."""
    return _numbered(session, number)


def _numbered(session: Session, number: int) -> Erasure:
    erasure = session.get(Erasure, number, populate_existing=True) if 0 <= number < 2**63 else None
    if erasure is None:
        raise NotFound(f"There is no erasure {number}. `lrs-bridge erase --list` lists them.")
    return erasure


def all_of(session: Session) -> Sequence[Erasure]:
    """Give all erasures, the newest first."""
    return session.scalars(select(Erasure).order_by(Erasure.id.desc()).execution_options(populate_existing=True)).all()


def told(session: Session, erasure: Erasure) -> dict[str, Any]:
    """Give an erasure as people and programs are told of it, with what is still to be done and where."""
    statements, last = session.execute(
        text("select coalesce(max(kept_out), 0), max(last_at) from erased_agent where erasure = :id"),
        {"id": erasure.id},
    ).one()
    latest = max((one for one in (erasure.last_kept_out_at, last) if one is not None), default=None)
    open_ = _open(session, erasure)
    return {
        "id": erasure.id,
        "state": _state(erasure, open_),
        "requested_at": utc_text(erasure.requested_at),
        "requested_by": erasure.requested_by,
        "ended_at": utc_text(erasure.ended_at),
        "rows": dict(sorted(erasure.counts.items())),
        "kept_out": _kept_out(erasure),
        "refused_since": int(statements) + erasure.kept_out,
        "last_refused_at": utc_text(latest),
        "lifted_at": utc_text(erasure.lifted_at),
        "lifted_by": erasure.lifted_by,
        "open": open_,
    }


def _state(erasure: Erasure, open_: Sequence[str]) -> str:
    if erasure.ended_at is None:
        return "under way"
    return "erased here, not yet everywhere" if open_ else "erased everywhere"


def _kept_out(erasure: Erasure) -> bool:
    """Tell whether the hashes still keep the person out."""
    mark = lrs.erased.digest(context.secret_key(), *_MARK)
    return erasure.keep_out and erasure.lifted_at is None and bytes(erasure.key_mark) == mark


def _open(session: Session, erasure: Erasure) -> list[str]:
    """Give what is still to be done, and by whom, in words."""
    if erasure.ended_at is None:
        return ["Under way: a worker goes on with it within a minute, or run `lrs-bridge erase` once more."]
    found = [
        f"{row.destination}: {row.rows} rows are not yet confirmed as deleted."
        for row in session.execute(_ROWS_OPEN, {"id": erasure.id})
    ]
    found += [
        f"{row.destination}: {row.report} is not yet written anew."
        for row in session.execute(_FILES_OPEN, {"id": erasure.id})
    ]
    found += [f"{place} rows still name the person: see to it by hand." for place in erasure.left_over]
    found += [f"forward {name}: ask whoever runs that LRS to erase the person there." for name in erasure.elsewhere]
    if erasure.keep_out and erasure.lifted_at is None and not _kept_out(erasure):
        found.append(
            "The secret key is another one since: nothing is refused any more. Bring LRS_BRIDGE_SECRET_KEY back."
        )
    return found


def confirm(session: Session) -> None:
    """Take off the lists what destinations have confirmed, so that later changes do not open it again."""
    for erasure in session.scalars(select(Erasure).where(Erasure.ended_at.is_not(None), Erasure.published != [])):
        rows = bool(session.execute(_ROWS_OPEN, {"id": erasure.id}).first())
        files = {row.id for row in session.execute(_STILL_FILES, {"id": erasure.id})}
        erasure.published = [one for one in erasure.published if (int(one[1]) in files if one[0] == "report" else rows)]


_STILL_FILES = text("select id from delivery where state <> 'done'")
