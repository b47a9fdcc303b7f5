"""What of a person may stand where: each column of each table that can hold words, in one list.

Numbers, times and truth values name nobody: they go with their row. A test holds this list against the tables, so that
a new column that can hold words has to say here what becomes of it when a person is erased.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Deed(StrEnum):
    """What is done to a row, or a value, in which a search finds words or names of the person."""

    DELETE = "the row is deleted"
    CLEAN = "words are taken out of the value"
    EMPTY = "the value becomes null"
    OWN = "a step of its own sees to it"
    TELL = "a person is told: it is their text, and changing it changes what runs"


@dataclass(frozen=True)
class Table:
    """What becomes of a table's rows."""

    goes: str | None = None
    """By what the person's own rows are found, to be deleted; None: it has no rows of one person."""
    searched: dict[str, Deed] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    """Columns that name nobody, or that may, with the reason."""


_NAMES = "named by an administrator"
_HASH = "a hash of something that names nobody"
_STATE = "one of our own words"
_RANDOM = "random, or made of what is random"
_WITH_ROW = "goes with its row"

TABLES: dict[str, Table] = {
    # --- the LRS ---
    "statement": Table("its agents", {"payload": Deed.OWN}, {"id": _RANDOM}),
    "term": Table(
        "agents of the person, once no statement has them", {"text": Deed.OWN}, {"kind": _STATE, "digest": "of text"}
    ),
    "mention": Table("its statement"),
    "reference": Table("its statement", kept={"target": _RANDOM}),
    "attachment": Table(
        "its statements, when nothing else has it", {"data": Deed.TELL}, {"sha2": "a hash that others' statements name"}
    ),
    "statement_attachment": Table("its statement", kept={"sha2": "a hash that others' statements name"}),
    "activity_definition": Table(None, {"definition": Deed.DELETE}, {"digest": "of definition"}),
    "bulk_position": Table(None, {"work": Deed.DELETE, "state": Deed.DELETE}),
    "repair": Table("its statement", {"original": Deed.DELETE, "repairs": Deed.DELETE}),
    "refused_request": Table(
        None,
        {"body": Deed.OWN, "query": Deed.OWN, "reasons": Deed.OWN},
        {"digest": "of body", "method": _STATE, "content_type": _STATE, "version": _STATE},
    ),
    "sent_content": Table("its statement", kept={"digest": "of the statement's content", "statement_id": _RANDOM}),
    "document": Table(
        "its agent",
        {"content": Deed.OWN, "document_id": Deed.OWN, "activity": Deed.OWN},
        {
            "agent": "others'; the person's rows are gone",
            "digest": "of what the row is about",
            "context": "of what the row is about",
            "resource": _STATE,
            "registration": _RANDOM,
            "content_type": _STATE,
            "etag": "of content",
        },
    ),
    "credential": Table(
        None,
        {"name": Deed.TELL, "subject": Deed.TELL},
        {
            "key": _RANDOM,
            "secret_hash": _RANDOM,
            "former_secret_hash": _RANDOM,
            "issuer": _NAMES,
            "scopes": _STATE,
        },
    ),
    "credential_limit": Table(None, {"value": Deed.TELL}, {"credential": _RANDOM, "kind": _STATE}),
    "erased_agent": Table(None, kept={"digest": "a keyed hash: what keeps the person out"}),
    # --- documents and settings ---
    "setting": Table(None, kept={"name": _STATE, "value": _RANDOM}),
    "mapping_version": Table("no longer in force", {"documents": Deed.TELL}, {"rules_hash": _HASH}),
    "mapping_problem": Table(None, {"text": Deed.DELETE, "remedy": Deed.DELETE}, {"file": _NAMES}),
    "edited_document": Table(None, {"data": Deed.TELL, "by": Deed.TELL}, {"kind": _STATE, "name": _NAMES}),
    # --- sources ---
    "source_state": Table(
        None,
        {
            "state": Deed.TELL,
            "last_error": Deed.CLEAN,
            "waits_for": Deed.CLEAN,
            "paused_why": Deed.CLEAN,
            "sweep_error": Deed.CLEAN,
        },
        {"source": _NAMES, "document_hash": _HASH},
    ),
    "source_record": Table("its owners and its key", {"key": Deed.OWN}, {"source": _NAMES}),
    "source_record_version": Table("its record", {"data": Deed.OWN, "cursor": Deed.OWN}, {"content_hash": "of data"}),
    "source_problem": Table(None, {"raw": Deed.DELETE, "message": Deed.DELETE}, {"source": _NAMES, "column": _NAMES}),
    "backfill_slice": Table(None, {"state": Deed.TELL, "last_error": Deed.CLEAN}, {"source": _NAMES}),
    "sweep_piece": Table(None, kept={"source": _NAMES, "number": _RANDOM, "records": "ids of rows"}),
    "source_token": Table(
        None, kept={"name": _NAMES, "ciphertext": "encrypted, and of a system's, not of a learner's"}
    ),
    "webhook_event": Table(
        None, {"body": Deed.DELETE, "error": Deed.DELETE}, {"source": _NAMES, "delivery": _RANDOM, "state": _STATE}
    ),
    "live_event": Table(
        "its statement",
        {"body": Deed.DELETE, "reason": Deed.DELETE},
        {"source": _NAMES, "event": "a hash of an event's id", "state": _STATE, "statement": _RANDOM},
    ),
    # --- reading ---
    "rule": Table(
        None,
        kept=dict.fromkeys(("kind", "document", "name", "content_hash", "fact", "metric", "source", "state"), _NAMES),
    ),
    "reading": Table(None, kept={"rules_hash": _HASH, "state": _STATE, "verbs": _NAMES, "sources": _NAMES}),
    "reading_lane": Table(None, kept={"stream": _STATE}),
    "built": Table(None, kept={"part": _STATE, "signature": _HASH}),
    # --- people ---
    "learner": Table(
        "its aliases and keys",
        {"name": Deed.TELL, "attributes": Deed.CLEAN},
        {"key": "others'; the person's rows are gone", "name_key": "of name"},
    ),
    "learner_attribute": Table("its learner", {"value": Deed.DELETE}, {"name": _NAMES}),
    "alias": Table("itself", {"name": Deed.EMPTY}, {"key": "others'; the person's rows are gone", "rule": _STATE}),
    "roster_row": Table(
        "its record",
        {"attributes": Deed.CLEAN, "name": Deed.EMPTY},
        {"roster": _NAMES, "source": _NAMES, "learner_key": "others'; the person's rows are gone"},
    ),
    "claim": Table("its alias"),
    "alias_link": Table("its alias", {"token": Deed.DELETE}),
    "identity_decision": Table(
        "its learners and aliases",
        {
            "because": Deed.CLEAN,
            "undone_because": Deed.CLEAN,
            "learner": Deed.DELETE,
            "other": Deed.DELETE,
            "aliases": Deed.DELETE,
            "former": Deed.CLEAN,
        },
        {"kind": _STATE, "made_by": "who works here, not who learns", "undone_by": "as made_by"},
    ),
    "identity_problem": Table("its row, alias or learner", {"subject": Deed.DELETE, "text": Deed.DELETE}),
    "stale_alias": Table("its alias"),
    "stale_learner": Table("its learner"),
    # --- facts and figures ---
    "fact": Table(
        "its alias",
        {"detail": Deed.CLEAN, "activity": Deed.CLEAN, "course": Deed.CLEAN, "attempt": Deed.CLEAN},
    ),
    "fact_history": Table("its alias"),
    "quarantine": Table("its statement or record", {"reason": Deed.DELETE}, {"expression": _NAMES}),
    "record": Table("its learner", kept={"program": _NAMES, "tiers": "numbers", "match": _STATE, "courses": _NAMES}),
    "record_behaviour": Table("its record", kept={"behaviour": _NAMES}),
    "record_metric": Table("its record", kept={"metric": _NAMES}),
    "weekly_metric": Table("its learner", kept={"metric": _NAMES}),
    "program_event": Table(
        "the person's place in a draw",
        {"details": Deed.CLEAN, "because": Deed.CLEAN, "contract": Deed.TELL},
        {"program": _NAMES, "what": _STATE, "by": "who works here, not who learns", "contract_hash": _HASH},
    ),
    "impact": Table(
        None,
        {"result": Deed.TELL},
        {"program": _NAMES, "engine": _STATE, "data_hash": _HASH, "contract_hash": _HASH},
    ),
    # --- what leaves ---
    "published_row": Table(
        "its learner: it becomes a tombstone",
        {"person": Deed.CLEAN, "body": Deed.CLEAN, "team": Deed.TELL},
        {
            "feed": _STATE,
            "key": "a salted hash, program, metric",
            "program": _NAMES,
            "courses": _NAMES,
            "past_teams": "emptied with the tombstone",
            "past_courses": "emptied with the tombstone",
            "checksum": "of person and body",
        },
    ),
    "delivery": Table(
        None,
        {"last_error": Deed.CLEAN},
        {
            "kind": _STATE,
            "report": _NAMES,
            "destination": _NAMES,
            "state": _STATE,
            "checksum": _HASH,
            "location": _NAMES,
        },
    ),
    "sent_row": Table(
        None,
        {"message": Deed.EMPTY},
        {"key": "a salted hash, program, metric", "checksum": _HASH, "outcome": _STATE},
    ),
    "reconciliation": Table(
        None, {"note": Deed.CLEAN, "error": Deed.CLEAN}, {"area": _STATE, "name": _NAMES, "kinds": "numbers"}
    ),
    "difference": Table(
        "its subject", {"subject": Deed.DELETE, "text": Deed.DELETE}, {"state": _STATE, "kind": _STATE}
    ),
    "forward": Table(None, {"last_error": Deed.CLEAN}, {"name": _NAMES, "document_hash": _HASH, "state": _STATE}),
    "forward_lane": Table(None, kept={"forward": _NAMES}),
    "dead_letter": Table("its statement", {"error": Deed.DELETE}, {"forward": _NAMES, "statement": _RANDOM}),
    # --- LTI ---
    "lti_platform": Table(
        None,
        kept=dict.fromkeys(
            (
                "issuer",
                "client_id",
                "title",
                "auth_url",
                "token_url",
                "jwks_url",
                "token_audience",
                "home_page",
                "account_name",
                "course_url",
                "match_by",
            ),
            _NAMES,
        ),
    ),
    "lti_deployment": Table(None, kept={"deployment_id": _NAMES}),
    "lti_course": Table(
        None,
        {"title": Deed.EMPTY},
        dict.fromkeys(("context_id", "course", "members_url", "grades", "resource_link"), "a platform's own"),
    ),
    "lti_key": Table(None, kept={"kid": _RANDOM, "public_key": _RANDOM}),
    "lti_login": Table(
        None,
        {"sent": Deed.DELETE},
        {"state_hash": _RANDOM, "browser_hash": _RANDOM, "nonce": _RANDOM},
    ),
    "lti_session": Table(
        "its aliases",
        {"name": Deed.DELETE, "aliases": Deed.DELETE, "launch": Deed.DELETE, "members": Deed.EMPTY},
        {
            "id": _RANDOM,
            "secret_hash": _RANDOM,
            "ticket_hash": _RANDOM,
            "deployment_id": _NAMES,
            "role": _STATE,
            "course": _NAMES,
        },
    ),
    "lti_invitation": Table(None, kept={"token_hash": _RANDOM, "issuer": _NAMES, "given": _NAMES}),
    # --- erasures ---
    "erasure": Table(
        None,
        kept={
            "requested_by": "who works here, not who learns",
            "work": "null as soon as it has ended",
            "counts": "numbers by table",
            "left_over": "names of places",
            "published": "a salted hash, program, metric",
            "elsewhere": _NAMES,
            "key_mark": _HASH,
            "lifted_by": "who works here, not who learns",
        },
    ),
    "erased_word": Table(None, kept={"digest": "a keyed hash: what keeps the person out"}),
}
