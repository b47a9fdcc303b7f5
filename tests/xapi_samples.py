"""The smallest valid things; a test spells only what matters to it."""

import json
from typing import Any

ANA = {"account": {"homePage": "http://lms.example.com", "name": "3"}}
BAO = {"mbox": "mailto:bao@example.com"}
TEAM = {"objectType": "Group", "name": "Team", "member": [ANA, BAO]}
DID = "http://example.com/verbs/did"
VOIDED = "http://adlnet.gov/expapi/verbs/voided"
COURSE = "http://lms.example.com/course/1"
ID = "5c1b7f0e-8f2a-4d0b-9a57-1a2b3c4d5e6f"
OTHER_ID = "6d2c8f1f-9a3b-4e1c-8b68-2b3c4d5e6f70"


def statement(**changes: Any) -> dict[str, Any]:
    """Give a statement; a change to None leaves the property out."""
    made = {"actor": ANA, "verb": {"id": DID}, "object": {"id": COURSE}} | changes
    return {name: value for name, value in made.items() if value is not None}


def about(statement_id: str, **changes: Any) -> dict[str, Any]:
    """Give a statement whose object is another one."""
    return statement(object={"objectType": "StatementRef", "id": statement_id}, **changes)


def voiding(statement_id: str, **changes: Any) -> dict[str, Any]:
    """Give a statement that voids another one."""
    return about(statement_id, verb={"id": VOIDED}, **changes)


def nested(**changes: Any) -> dict[str, Any]:
    """Give a SubStatement."""
    return {"objectType": "SubStatement"} | statement(**changes)


def text(data: object) -> bytes:
    """Write as JSON."""
    return json.dumps(data).encode()
