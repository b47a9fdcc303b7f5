"""Voided statements count for nothing, whichever came first: the statement or the one that voids it."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from company import Company, done, scored

import lrs


def void(statement: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(uuid5(NAMESPACE_URL, f"void {statement['id']}")),
        "actor": {"mbox": "mailto:admin@example.com"},
        "verb": {"id": lrs.VOIDED},
        "object": {"objectType": "StatementRef", "id": statement["id"]},
    }


@pytest.mark.parametrize("between", [True, False], ids=["read in between", "read together"])
@pytest.mark.parametrize("voiding_first", [True, False], ids=["voiding first", "voiding last"])
def test_a_voided_statement_counts_for_nothing(company: Company, voiding_first: bool, between: bool) -> None:
    wrong = scored("ann", 10)
    company.post(done("ann"), scored("ann", 5, at="2026-05-29T09:00:00Z"))
    for statement in (void(wrong), wrong) if voiding_first else (wrong, void(wrong)):
        company.post(statement)
        if between:
            company.run()

    company.run()

    assert (company.report()["E1"]["attempts"], company.report()["E1"]["best_score"]) == (1, 0.5)


def test_a_voided_completion_takes_before_and_since_back(company: Company) -> None:
    company.post(done("ann"), scored("ann", 5))
    company.run()

    company.post(void(done("ann")))
    company.run()

    row = company.report()["E1"]
    assert row["completed_at"] is None
    assert (row["minutes_to_solve_before_count"], row["minutes_to_solve_since_count"]) == (0, 0)
    assert company.delivered()["rows"][0]["completed_at"] is None
