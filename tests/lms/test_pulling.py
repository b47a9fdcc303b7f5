"""What a learner did comes back when Moodle asks for it: the plugin pulls, and we need no way to Moodle."""

import json
from pathlib import Path

import pytest
from moodle import Moodle
from pages import Visit
from round_trip import assert_brought_back, company_up, everybody_learns, names_and_programs, report_id

pytestmark = pytest.mark.moodle


def test_what_a_learner_did_comes_back_when_moodle_asks_for_it(moodle: Moodle, visit: Visit, tmp_path: Path) -> None:
    with company_up(moodle, tmp_path, push=False) as company:
        made = company.tree.run("credential", "create", "--name", "plugin", "--scope", "reports/read", "--json")
        credential = json.loads(made.stdout)
        admin = visit("admin")
        for name, value in {
            "mode": "pull",
            "url": company.tree.endpoint["url"].rstrip("/"),
            "key": credential["key"],
            "secret": credential["secret"],
        }.items():
            moodle.configure(name, value, "local_lrsbridge")
        try:
            admin.go("/local/lrsbridge/testconnection.php")
            admin.shot("20-admin-connection-works")
            everybody_learns(moodle, visit, company, "learner02")
            assert_brought_back(moodle, company, "learner02", pull=True)

            number = report_id(moodle, "records")
            admin.go(f"/reportbuilder/view.php?id={number}")
            admin.shot("21-admin-report-pulled")
            assert ("Ben Learner", "Better sales calls") in names_and_programs(admin)
        finally:
            moodle.configure("mode", "push", "local_lrsbridge")
