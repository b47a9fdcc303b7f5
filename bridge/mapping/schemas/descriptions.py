"""What each key of a document means, in a line for editors; mappings/README.md says more."""

from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    "learning": "Which statements give which facts.",
    "performance": "Which metrics a source's records give.",
    "identity": "Which accounts, addresses and users are one learner.",
    "program": "What belongs to a training initiative, what completes it, what it should move.",
    "report": "Which program's records go where.",
    "source": "Where performance records come from.",
    "destination": "Where reports go.",
}

_ACTIVITY = "any one of these must hold for all that is said of it: id, prefix, pattern, type."

DESCRIPTIONS: Mapping[str, Mapping[str, str]] = {
    "": {
        "kind": "What the document is about.",
        "name": "What it is called: a-z, 0-9 and -. A later one of the same kind and name takes its place.",
        "title": "What people read instead of the name.",
    },
    "LearningSchema": {
        "match": "What a statement must be for any rule of this document.",
        "when": "CEL that must be true for any rule of this document.",
        "rules": "Each rule that a statement matches gives one fact.",
    },
    "_LearningRule": {
        "name": "What the rule is called where its facts and failures are listed.",
        "match": "What the statement must be; all keys must hold.",
        "when": "CEL that must be true.",
        "fact": "The kind of fact that it gives; `nothing` for statements that are left out on purpose.",
        "learner": "CEL: the agent whose fact it is. Default: actor.",
        "activity": "CEL: the id of the activity that the fact is about. Default: object.id.",
        "course": "CEL: the id of the course that it belongs to.",
        "attempt": "CEL: the id of the attempt; several facts of one attempt count as one.",
        "occurred_at": "CEL: when it happened. Default: the timestamp.",
        "duration": "CEL: how long it took, in seconds, as a duration or as ISO 8601.",
        "score": "CEL: 0 to 1, like fraction(result.score).",
        "success": "CEL: true or false.",
        "progress": "CEL: 0 to 1.",
        "level": "CEL: a number, how well it was done.",
        "by": "CEL: the agent who watched, or said so.",
        "question": "CEL: what was asked.",
        "answer": "CEL: what was answered, a number or a text.",
        "what": "CEL: what was done, or will be.",
        "due": "CEL: until when.",
        "category": "CEL: what sort of obstacle it is.",
        "text": "CEL: in the learner's words.",
        "required": "Keys whose value must not be null; where it is, the statement goes into quarantine.",
        "because": "Why there is nothing to read.",
    },
    "_Match": {
        "verb": "Ids of verbs, one of which it must have.",
        "activity": f"Its object: {_ACTIVITY}",
        "parent": f"A parent activity: {_ACTIVITY}",
        "grouping": f"A grouping activity: {_ACTIVITY}",
        "category": f"A category activity: {_ACTIVITY}",
        "other": f"An other activity: {_ACTIVITY}",
        "context": f"A parent, grouping, category or other activity: {_ACTIVITY}",
        "registration": "present, absent, or UUIDs.",
        "platform": "What context.platform must be.",
        "template": "IRIs of statement templates of xAPI Profiles, one of which it must follow.",
        "profile": "IRIs of xAPI Profiles, of one of which it must have a verb, or its category.",
    },
    "_Activity": {
        "id": "Its id.",
        "prefix": "How its id begins.",
        "pattern": "A regular expression (RE2) that is found in its id; ^ and $ tie it to the ends.",
        "type": "The type of its definition.",
    },
    "ProgramSchema": {
        "courses": "Ids of the courses that belong to it.",
        "assessments": "Ids of the activities whose attempts and scores count.",
        "completion": "What it takes to have completed it.",
        "metrics": "Names of the metrics that it should move.",
        "window_days": "How many days before and since completion are compared. Default: 90.",
    },
    "_Completion": {
        "of": "Ids of the activities that must be completed.",
        "need": "any or all of them. Default: any.",
    },
    "ReportSchema": {
        "program": "The program whose records it shows.",
        "note": "A line that is printed with it.",
        "destinations": "Names of the destinations that take it.",
    },
}
"""By the name of the schema and the key; under the empty name, what all documents share."""
