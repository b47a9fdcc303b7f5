"""The smallest valid things; a test spells only what matters to it."""

import hashlib
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


def sha256(data: bytes) -> str:
    """Hash, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def attachment(data: bytes, **changes: Any) -> dict[str, Any]:
    """Give the attachment object for some bytes, to be sent along."""
    usage = {"usageType": "http://example.com/attachments/note", "display": {"en": "Note"}}
    return usage | {"contentType": "text/plain", "length": len(data), "sha2": sha256(data)} | changes


def part(data: bytes, *headers: str) -> bytes:
    """Give a part of a multipart body, without its boundaries."""
    return "".join(f"{header}\r\n" for header in headers).encode() + b"\r\n" + data


def mixed(data: object, *attached: bytes) -> bytes:
    """Give a body of type multipart/mixed with the boundary `b`: statements and what is sent along."""
    first = part(text(data), "Content-Type: application/json")
    others = [
        part(one, "Content-Transfer-Encoding: binary", f"X-Experience-API-Hash: {sha256(one)}") for one in attached
    ]
    return b"".join(b"--b\r\n" + one + b"\r\n" for one in [first, *others]) + b"--b--\r\n"
