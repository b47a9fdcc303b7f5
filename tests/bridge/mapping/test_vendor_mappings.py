"""The ready mappings of vendors, on rows as their sources give them: pulled from the clouds of our tests."""

from pathlib import Path

import pytest
from clouds import Dynamics, Freshdesk, HubSpot, Intercom, Salesforce, ServiceNow, Zendesk

from bridge.mapping import RecordReader, Version, load_folders

FOLDER = Path(__file__).parents[3] / "mappings" / "vendors"


@pytest.fixture(scope="module")
def mappings():
    return {one.name: one for one in load_folders([FOLDER]).performance}


CASES = [
    (Salesforce, "salesforce-opportunities", {}, {"CloseDate": "2026-11-19"}, {"won": 1.0, "value": 1000.0}, "005A"),
    (
        HubSpot,
        "hubspot-deals",
        {},
        {"hs_is_closed": "true", "hs_is_closed_won": "true", "closedate": "2026-11-19T10:00:00Z"},
        {"won": 1.0, "value": 1000.0},
        "237",
    ),
    (
        Dynamics,
        "dynamics-opportunities",
        {},
        {"actualclosedate": "2026-11-19", "actualvalue_base": 900.0, "_owninguser_value": "ann"},
        {"won": 1.0, "value": 900.0},
        "ann",
    ),
    (
        Freshdesk,
        "freshdesk-tickets",
        {},
        {"created_at": "2026-11-20T09:50:00Z"},
        {"hours_to_resolve": 2.0, "escalated": 1.0},
        "7",
    ),
    (Freshdesk, "freshdesk-ratings", {"stream": "satisfaction_ratings"}, {}, {"satisfied": 1.0}, "7"),
    (
        Zendesk,
        "zendesk-tickets",
        {},
        {
            "metric_set": {
                "solved_at": "2026-11-19T10:00:00Z",
                "reopens": 1,
                "reply_time_in_minutes": {"calendar": 90, "business": 30},
            }
        },
        {"hours_to_first_reply": 0.5, "reopened": 1.0},
        "235323",
    ),
    (Zendesk, "zendesk-ratings", {"stream": "satisfaction_ratings"}, {}, {"satisfied": 1.0}, "135"),
    (
        ServiceNow,
        "servicenow-live",
        {},
        {"state": "7", "opened_at": "2026-11-19 08:00:00", "resolved_at": "2026-11-19 10:30:00"},
        {"hours_to_resolve": 2.5, "sla_met": 1.0},
        "ann",
    ),
    (
        Intercom,
        "intercom-conversations",
        {},
        {
            "statistics": {
                "type": "conversation_statistics",
                "time_to_admin_reply": 1800,
                "last_close_at": 1795000000,
            },
            "conversation_rating": {
                "rating": 4,
                "created_at": 1795000000,
                "teammate": {"type": "admin", "id": "814860"},
            },
        },
        {"hours_to_reply": 0.5, "rating": 4.0},
        "814860",
    ),
]


@pytest.mark.parametrize(
    ("vendor", "name", "keys", "values", "expected", "owner"), CASES, ids=lambda one: str(one)[:40]
)
def test_mapping_reads_the_rows_of_its_vendor(mappings, vendor, name, keys, values, expected, owner):
    cloud = vendor()
    cloud.fill(1)
    cloud.put(1, at=cloud.records[1].at, **values)

    with cloud.online():
        row = cloud.pull(**keys).rows[-1]
    reading = RecordReader([mappings[name]]).read([Version(1, row.data)])

    assert reading.failures == []
    assert {fact.metric.partition("_")[2]: fact.value for fact in reading.facts} == expected
    assert {fact.alias_key for fact in reading.facts} == {f"user:{name}|{owner}"}


def test_every_ready_mapping_is_held_to_rows(mappings):
    assert {name for _, name, *_ in CASES} == set(mappings)
