"""Taking statements in: all faults told at once, by the strictness of the credential (Communication 2.1.1, 2.1.2)."""

import json
from typing import Any

import pytest
from xapi_samples import ID, OTHER_ID, statement

from lrs import intake
from lrs.errors import Invalid
from lrs.intake import InvalidBatch, Sent
from lrs.xapi.versions import Version

BAD = statement(result={"response": None})
WORSE = statement(actor={})


def sent(body: object, method: str = "POST", query: str = "", content_type: str = "application/json") -> Sent:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Sent(method, query, content_type, Version.ONE, text)


def refusal(request: Sent, **options: Any) -> Any:
    with pytest.raises(Invalid) as caught:
        intake.read(request, **options)
    return caught.value


def test_all_faults_of_a_batch_are_told_the_first_of_them_on_top() -> None:
    told = refusal(sent([statement(), BAD, statement(), WORSE])).to_dict()

    assert (told["index"], told["pointer"], told["error_count"]) == (1, "/result/response", 2)
    assert [(one["index"], one["pointer"]) for one in told["errors"]] == [(1, "/result/response"), (3, "/actor")]
    assert {"error", "index", "pointer", "rule", "section", "remedy"} == set(told["errors"][0])
    assert told["errors"][0] == {name: told[name] for name in told["errors"][0]}


def test_the_list_of_faults_is_bounded_and_the_count_is_not() -> None:
    told = refusal(sent([WORSE] * (intake.MAX_ERRORS + 5))).to_dict()

    assert (len(told["errors"]), told["error_count"]) == (intake.MAX_ERRORS, intake.MAX_ERRORS + 5)


def test_a_single_statement_has_no_index() -> None:
    assert refusal(sent(BAD)).to_dict()["errors"][0]["index"] is None


def test_strict_is_the_default() -> None:
    assert isinstance(refusal(sent([BAD])), InvalidBatch)


def test_lenient_repairs_and_keeps_the_original() -> None:
    batch = intake.read(sent([statement(), BAD]), lenient=True)

    plain, mended = batch.incoming
    assert plain.repair is None
    assert mended.repair is not None
    assert json.loads(mended.repair.original) == BAD
    assert json.loads(mended.repair.repairs) == [{"fault": "null", "pointer": "/result/response"}]
    assert json.loads(bytes(mended.text)) == statement(result={})


def test_what_is_valid_is_not_touched_by_leniency() -> None:
    text = b' { "verb" : {"id":"http:\\/\\/a\\/b"}, "actor":{"mbox":"mailto:a@b"},"object":{"id":"http://a/\\u00e4"}} '

    (one,) = intake.read(sent(text), lenient=True).incoming

    assert bytes(one.text).strip() == text.strip()
    assert one.repair is None


def test_lenient_refuses_what_is_not_on_the_list_and_the_batch_with_it() -> None:
    told = refusal(sent([BAD, WORSE]), lenient=True).to_dict()

    assert [(one["index"], one["pointer"]) for one in told["errors"]] == [(1, "/actor")]


@pytest.mark.parametrize("content_type", ["", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded"])
def test_lenient_reads_json_whatever_it_is_called(content_type: str) -> None:
    assert len(intake.read(sent([statement()], content_type=content_type), lenient=True).incoming) == 1
    assert refusal(sent([statement()], content_type=content_type)).status == 400


def test_lenient_passes_over_a_byte_order_mark() -> None:
    assert len(intake.read(sent(b"\xef\xbb\xbf[]"), lenient=True).incoming) == 0
    assert refusal(sent(b"\xef\xbb\xbf[]")).status == 400


def test_lenient_takes_a_put_that_names_no_id() -> None:
    """Lectora: LearningLocker#77."""
    assert len(intake.read(sent(statement(), "PUT"), lenient=True).incoming) == 1
    assert refusal(sent(statement(), "PUT")).pointer == "statementId"


def test_put_takes_one_statement_whose_id_is_that_of_the_query() -> None:
    (one,) = intake.read(sent(statement(id=ID.upper()), "PUT", f"statementId={ID}")).incoming

    assert one.statement.id == ID
    assert refusal(sent(statement(id=OTHER_ID), "PUT", f"statementId={ID}")).pointer == "/id"
    assert "list" in refusal(sent([statement()], "PUT", f"statementId={ID}")).error


def test_partial_gives_the_good_and_the_bad_with_their_places() -> None:
    batch = intake.read(sent([BAD, statement(), WORSE, statement()]), partial=True)

    assert batch.places == [1, 3]
    assert [json.loads(bytes(one.text)) for one in batch.refused] == [BAD, WORSE]
    assert [one.error.index for one in batch.refused] == [0, 2]


def test_partial_needs_something_good() -> None:
    assert refusal(sent([BAD, WORSE]), partial=True).to_dict()["error_count"] == 2


@pytest.mark.parametrize(("body", "expected"), [(b"[]", 0), ([BAD] * 3, 3), (BAD, 1), (b"no JSON", None)])
def test_statements_are_counted_though_they_are_bad(body: object, expected: int | None) -> None:
    assert intake.count(sent(body)) == expected
