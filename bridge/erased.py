"""Whom nothing is taken in of any more: persons who were erased, known by keyed hashes and nothing else.

The rules guarded here:

- A source record that is an erased person's is not stored; one of somebody else's that names them is stored without
  them. Both are so each time that it comes, so an equal record stays no new version.
- Whose a record is, the documents in force say: owners of metrics, and rosters. Where they say nobody, it is nobody's.
- What only the mapping can tell (an id that means something within one system alone) is seen when the record is read:
  it gives no fact, no alias and no learner, and what is stored of it is cleaned then.
- Hashes are made under the app's secret key: under another one they say nothing, and `erasures.standing` tells so.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flask import current_app
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from bridge import context, documents
from bridge.mapping import Documents, RosterEntry, Version, read_roster, reconciled
from bridge.models import ErasedWord
from connectors import Row
from lrs import erased, erasing

_LEAST_OF_NUMBER = 5
"""Digits of an id that is known outside its system."""
AT_ONCE = 50
"""Source records whose versions are held at once."""
_NAME = "lrs-bridge-erased"
_SIGNATURE = text("""
    select (select count(*) from erased_agent), (select count(*) from erased_word),
        (select max(id) from erasure), (select count(*) from erasure where lifted_at is not null)
""")
_DIGESTS = text("select digest, erasure from erased_agent union all select digest, erasure_id from erased_word")
_COUNT = text("""
    update erasure set kept_out = kept_out + 1, last_kept_out_at = now()
    where id = any(cast(:ids as bigint[])) and ended_at is not null
""")
_VERSIONS = text("""
    select record.id as record_id, record.source, record.key, version.id, version.deleted, version.data
    from source_record record join source_record_version version on version.record_id = record.id
    where record.id = any(cast(:records as bigint[]))
    order by record.id, version.cursor nulls first, version.id
""")
_CLEAN = text("""
    update source_record_version set data = cast(:data as jsonb), content_hash = :content_hash where id = :id
""")
_READ_AGAIN = text("update roster_row set version_id = 0 where record_id = :record")
# `gone` are source records; facts that rules read out of statements have origins of another kind.
_DELETE = tuple(
    text(one)
    for one in (
        """delete from fact using rule where rule.id = fact.rule_id and rule.kind = 'performance'
            and fact.origin = any(cast(:gone as bigint[])) returning fact.alias_id""",
        "delete from fact_history where origin = any(cast(:gone as bigint[]))",
        """delete from quarantine using rule where rule.id = quarantine.rule_id and rule.kind = 'performance'
            and quarantine.origin = any(cast(:gone as bigint[]))""",
        "delete from roster_row where record_id = any(cast(:gone as bigint[]))",
        "delete from source_record_version where record_id = any(cast(:gone as bigint[]))",
        "delete from source_record where id = any(cast(:gone as bigint[]))",
    )
)


@dataclass
class Known:
    """Who is erased, as the database has it; answers `lrs.xapi.erasing`."""

    erasure_of: Mapping[bytes, int]
    secret_key: str = field(repr=False)
    met: set[int] = field(default_factory=set)
    """Numbers of the erasures that something asked about belongs to."""

    def __bool__(self) -> bool:
        return bool(self.erasure_of)

    def __call__(self, kind: str, word: str) -> bool:
        """Tell whether this is an erased person's."""
        erasure = self.erasure_of.get(erased.digest(self.secret_key, kind, word))
        if erasure is not None:
            self.met.add(erasure)
        return erasure is not None


@dataclass
class Treated:
    """What became of source records."""

    deleted: int = 0
    versions: int = 0
    facts: int = 0
    cleaned: int = 0
    """Versions that stay, without the person."""


def known(session: Session) -> Known:
    """Give who is erased, as this transaction sees it."""
    signature = tuple(session.execute(_SIGNATURE).one())
    if not any(signature[:2]):
        return Known({}, "")
    held: tuple[Any, Mapping[bytes, int]] | None = current_app.extensions.get(_NAME)
    if held is None or held[0] != signature:
        digests = {bytes(row.digest): row.erasure for row in session.execute(_DIGESTS)}
        held = current_app.extensions[_NAME] = (signature, digests)
    return Known(held[1], context.secret_key())


def aliases(session: Session, keys: Iterable[str]) -> set[str]:
    """Give those of these aliases that are an erased person's."""
    asked = known(session)
    return {key for key in set(keys) if is_alias(asked, key)} if asked else set()


def is_alias(asked: Known, key: str) -> bool:
    """Tell whether an alias is an erased person's."""
    return any(asked("alias", one) for one in erasing.spellings(key))


def learners(session: Session, keys: Iterable[str]) -> set[str]:
    """Give those of these learners' keys that are an erased person's."""
    asked = known(session)
    return {key for key in set(keys) if asked("learner", key)} if asked else set()


# --- source records on their way in -----------------------------------------------------------------------------------


def sift(session: Session, source: str, rows: Sequence[Row]) -> Sequence[Row]:
    """Give the rows that are stored: not those of an erased person, and the others without them."""
    asked = known(session)
    if not asked:
        return rows
    kept = []
    for row in rows:
        asked.met.clear()
        one = _sifted(session, asked, source, row)
        if one is not row:
            session.execute(_COUNT, {"ids": sorted(asked.met)})
        if one is not None:
            kept.append(one)
    return kept


def _sifted(session: Session, asked: Known, source: str, row: Row) -> Row | None:
    place = f"{source}|{row.key}"
    if asked("record", place) or asked("word", erasing.fold(row.key)):
        return None
    touched = asked("touched", place)
    if not touched and not _says_word(row.data, asked):
        return row
    if not touched:
        if _is_theirs(documents.current(session), asked, source, [Version(0, row.data)]):
            _remember(session, asked, [("record", place)])
            return None
        _remember(session, asked, [("touched", place)])
    data = cleaned(row.data, asked, source)
    return row if data == row.data else replace(row, data=data, content_hash=content_hash(data))


def _says_word(value: Any, asked: Known) -> bool:  # noqa: ANN401 - JSON is anything
    match value:
        case str():
            return erasing.clean(value, lambda kind, word: kind == "word" and asked(kind, word)) != value
        case dict():
            return any(_says_word(one, asked) for one in value.values())
        case list():
            return any(_says_word(one, asked) for one in value)
    return False


def cleaned(value: Any, asked: Known, source: str) -> Any:  # noqa: ANN401 - as above
    """Give a value of a record without the person: null in place of what is theirs as a whole."""
    match value:
        case dict():
            return {key: cleaned(one, asked, source) for key, one in value.items()}
        case list():
            return [cleaned(one, asked, source) for one in value]
        case bool() | None:
            return value
        case str() | int():
            whole = str(value)
            if asked("weak", f"{source}|{whole}"):
                return None
            if isinstance(value, int):
                return value
            # A short number counts and measures too: only in the system that calls the person so it is theirs.
            if (len(whole) >= _LEAST_OF_NUMBER or not whole.isdecimal()) and asked("weak", f"|{whole}"):
                return None
            without = erasing.clean(value, asked)
            return None if without in (erasing.ERASED, erasing.NOWHERE) and without != value else without
    return value


def content_hash(data: Mapping[str, Any]) -> bytes:
    """Give what connectors give as `Row.content_hash`."""
    written = json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(written.encode()).digest()


# --- source records that are stored -----------------------------------------------------------------------------------


def treat(session: Session, records: Collection[int], erasure: int | None = None) -> Treated:
    """Delete those of these records that are an erased person's, and take the person out of the others.

    `erasure`: to whom they belong as far as nothing in them says so.
    """
    asked, current, treated = known(session), documents.current(session), Treated()
    ordered = sorted(records)
    for begin in range(0, len(ordered), AT_ONCE):
        gone: list[int] = []
        for record, source, key, versions in _held(session, ordered[begin : begin + AT_ONCE]):
            asked.met.clear()
            theirs = asked("word", erasing.fold(key)) or _is_theirs(
                current, asked, source, [Version(one.id, None if one.deleted else one.data) for one in versions]
            )
            number = min(asked.met, default=erasure)
            _remember(session, asked, [("record" if theirs else "touched", f"{source}|{key}")], number)
            if theirs:
                gone.append(record)
                treated.versions += len(versions)
            else:
                treated.cleaned += _clean_versions(session, asked, record, source, versions)
        if gone:
            treated.deleted += len(gone)
            stale = session.scalars(_DELETE[0], {"gone": gone}).all()
            treated.facts += len(stale)
            for statement in _DELETE[1:]:
                session.execute(statement, {"gone": gone})
            mark(session, set(stale))
    return treated


def _held(session: Session, records: Sequence[int]) -> Iterator[tuple[int, str, str, list[Any]]]:
    by_record: dict[int, list[Any]] = {}
    for row in session.execute(_VERSIONS, {"records": list(records)}):
        by_record.setdefault(row.record_id, []).append(row)
    for record, versions in by_record.items():
        yield record, versions[0].source, versions[0].key, versions


def _clean_versions(session: Session, asked: Known, record: int, source: str, versions: Sequence[Any]) -> int:
    changed = [(one, data) for one in versions if (data := cleaned(one.data, asked, source)) != one.data]
    for one, data in changed:
        session.execute(_CLEAN, {"id": one.id, "data": json.dumps(data), "content_hash": content_hash(data)})
    if changed:
        session.execute(_READ_AGAIN, {"record": record})
    return len(changed)


def _is_theirs(current: Documents | None, asked: Known, source: str, versions: Sequence[Version]) -> bool:
    """Tell whether all whom a record is about are erased; False where it is about nobody."""
    if current is None:
        return False
    owners: set[bool] = set()
    if source == reconciled.SOURCE:
        owners |= {is_alias(asked, fact.alias_key) for fact in reconciled.read(versions)}
    else:
        read = current.record_reader(source).read(versions)
        owners |= {is_alias(asked, fact.alias_key) for fact in (*read.facts, *read.history)}
    for roster in current.identity.rosters:
        newest = next((one.data for one in reversed(versions) if one.data is not None), None)
        if roster.source != source or newest is None:
            continue
        entry = read_roster(roster, dict(newest))
        if isinstance(entry, RosterEntry) and entry.learner_key is not None:
            owners.add(is_theirs(asked, entry))
        elif isinstance(entry, RosterEntry):
            owners |= {is_alias(asked, alias) for alias in entry.alias_keys}
    return owners == {True}


def is_theirs(asked: Known, entry: RosterEntry) -> bool:
    """Tell whether a roster row is an erased person's: by its key, or by an alias where it does not name another.

    An address goes from one to the next, as that of whoever leads a shop.
    """
    if entry.learner_key is not None and asked("learner", entry.learner_key):
        return True
    if entry.learner_key is not None and entry.name and not asked("name", erasing.name_key(entry.name)):
        return False
    return any(is_alias(asked, alias) for alias in entry.alias_keys)


def _remember(session: Session, asked: Known, what: Sequence[tuple[str, str]], erasure: int | None = None) -> None:
    number = min(asked.met, default=erasure)
    if number is not None:
        keep_out(session, number, what)


def keep_out(session: Session, erasure: int, what: Iterable[tuple[str, str]]) -> None:
    """Take in nothing from now on that is known here as (kind, text)."""
    digests = sorted({erased.digest(context.secret_key(), kind, word) for kind, word in what})
    rows = [{"digest": one, "erasure_id": erasure} for one in digests]
    if rows:
        session.execute(insert(ErasedWord).values(rows).on_conflict_do_nothing())


def mark(session: Session, stale: Collection[int]) -> None:
    """Let the records of those who have these aliases be built again."""
    if stale:
        marks = text("insert into stale_alias (alias_id) select id from alias where id = any(cast(:ids as bigint[]))")
        session.execute(marks, {"ids": sorted(stale)})
