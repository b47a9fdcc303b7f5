"""What statements are found by: xAPI 1.0.3, Communication 2.1.3."""

from typing import Any

import pytest
from xapi_samples import BAO, COURSE, DID, ID, TEAM, nested, statement, text

from lrs.xapi import validation
from lrs.xapi.terms import Term, terms
from lrs.xapi.versions import Version

ANA_TERM = Term("agent", "account:http://lms.example.com|3")
BAO_TERM = Term("agent", "mbox:mailto:bao@example.com")
LRS = Term("agent", "account:http://lrs.example.com|key")
DID_TERM = Term("verb", DID)
COURSE_TERM = Term("activity", COURSE)
PART = {"id": COURSE + "/part"}
PART_TERM = Term("activity", COURSE + "/part")
BASE = {ANA_TERM, DID_TERM, COURSE_TERM}


@pytest.mark.parametrize(
    ("data", "direct", "related"),
    [
        (statement(), BASE, set()),
        (statement(actor={"mbox": "mailto:BAO@example.com"}), {BAO_TERM, DID_TERM, COURSE_TERM}, set()),
        (statement(object=BAO | {"objectType": "Agent"}), {ANA_TERM, DID_TERM, BAO_TERM}, set()),
        # a group is found by its members, and by itself when it has an identifier
        (statement(actor=TEAM), {ANA_TERM, BAO_TERM, DID_TERM, COURSE_TERM}, set()),
        (
            statement(actor={"objectType": "Group", "openid": "http://g.example.com", "member": [BAO]}),
            {Term("agent", "openid:http://g.example.com"), BAO_TERM, DID_TERM, COURSE_TERM},
            set(),
        ),
        (statement(context={"registration": ID.upper()}), BASE | {Term("registration", ID)}, set()),
        (statement(context={"instructor": BAO}), BASE, {BAO_TERM}),
        (statement(context={"team": TEAM}), BASE, {BAO_TERM}),  # Ana is found directly already
        (statement(context={"contextActivities": {"grouping": PART}}), BASE, {PART_TERM}),
        (
            statement(context={"contextAgents": [{"objectType": "contextAgent", "agent": BAO}]}),
            BASE,
            {BAO_TERM},
        ),
        (
            statement(context={"contextGroups": [{"objectType": "contextGroup", "group": TEAM}]}),
            BASE,
            {BAO_TERM},
        ),
        # of a SubStatement the same, but only as related; its verb and registration are not looked for
        (
            statement(object=nested(actor=BAO, object=PART, verb={"id": "a:b"}, context={"registration": ID})),
            {ANA_TERM, DID_TERM},
            {BAO_TERM, PART_TERM},
        ),
        # 17: what context.statement points at counts for nothing
        (statement(context={"statement": {"objectType": "StatementRef", "id": ID}}), BASE, set()),
    ],
)
def test_statement_is_found_by(data: dict[str, Any], direct: set[Term], related: set[Term]) -> None:
    found = terms(validation.validate(text(data), Version.TWO), LRS)

    assert found.direct == direct
    assert found.related == related | {LRS}
