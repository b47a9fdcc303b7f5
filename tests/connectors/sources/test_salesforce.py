"""Salesforce: what is asked in SOQL, how we sign in, and what the day's requests allow."""

import json
from base64 import urlsafe_b64decode
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import responses
from clouds import Salesforce
from clouds.salesforce import URL
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from helpdesk import NOON

from connectors import Secrets, SourceRefused, SourceUnavailable


@pytest.fixture
def org():
    with Salesforce().online() as made:
        made.fill(7)
        yield made


def test_opportunities_come_with_who_has_them_and_what_they_are_worth(org):
    row = org.pull().rows[0]

    assert row.key == org.key(1)
    assert (row.data["OwnerId"], row.data["Amount"], row.data["IsWon"]) == ("005A", 1000.0, True)
    assert "attributes" not in row.data
    assert row.cursor == ("2026-11-20T05:50:00.000000Z",)


def test_every_page_is_a_query_for_what_comes_after_the_last_row(org):
    org.pull()

    assert [(asked["low"], asked["id"]) for asked in org.queries][1:3] == [
        ("2026-11-20T07:50:00.000Z", org.key(3)),
        ("2026-11-20T10:50:00.000Z", org.key(6)),
    ]
    assert {asked["high"] for asked in org.queries} == {"2026-11-20T11:59:00.000Z"}


@pytest.mark.parametrize(
    ("stream", "named", "stamp", "field"),
    [
        ("opportunities", "Opportunity", "SystemModstamp", "StageName"),
        ("cases", "Case", "SystemModstamp", "IsEscalated"),
        ("case_milestones", "CaseMilestone", "SystemModstamp", "IsViolated"),
        ("tasks", "Task", "SystemModstamp", "CompletedDateTime"),
        ("opportunity_history", "OpportunityFieldHistory", "CreatedDate", "NewValue"),
        ("case_history", "CaseHistory", "CreatedDate", "NewValue"),
        ("users", "User", "SystemModstamp", "FederationIdentifier"),
    ],
)
def test_streams_are_objects(org, stream, named, stamp, field):
    org.pull(stream=stream)

    asked = org.queries[0]
    assert (asked["object"], asked["stamp"]) == (named, stamp)
    assert field in asked["fields"].split(", ")


def test_user_whose_login_moves_the_stamp_is_the_same_version(org):
    org.records = {}
    org.put(1, at=NOON - timedelta(hours=1), Email="ann@example.com")
    first = org.pull(stream="users").rows
    org.put(1, at=NOON - timedelta(minutes=30))

    second = org.pull(stream="users").rows

    assert first[0].data["Email"] == "ann@example.com"
    assert first[0].content_hash == second[0].content_hash


def test_fields_are_those_of_the_document(org):
    org.pull(account={"fields": "OwnerId, Csat__c"})

    assert org.queries[0]["fields"] == "Id, IsDeleted, SystemModstamp, OwnerId, Csat__c"


def test_hidden_field_is_told_with_what_to_ask_for(org):
    org.hidden = {"Amount"}

    with pytest.raises(SourceRefused, match=r"No such column 'Amount'.*let the integration user read it, or leave"):
        org.pull()


def test_fifth_of_the_days_requests_is_left_to_others(org):
    org.used = "api-usage=80000/100000; api-bursts=1/750"
    stored = []

    with pytest.raises(SourceUnavailable, match="used up") as caught:
        stored.extend(org.pages())

    assert caught.value.retry_after == 3600
    assert [row.key for page in stored for row in page.rows] == [org.key(number) for number in (1, 2, 3)]
    org.used = "api-usage=70000/100000"
    assert [row.key for row in org.pull(stored[-1].state).rows][:4] == [org.key(number) for number in (4, 5, 6, 7)]


def test_integration_user_signs_in_by_a_signed_statement(org):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    org.secrets = Secrets({"LRS_BRIDGE_SOURCE_SF_KEY": key.private_bytes(*form).decode()}, Path("/nowhere"))
    sent = []
    given = {"access_token": "token-0", "instance_url": "https://elsewhere.example.com"}

    with responses.RequestsMock() as mock:
        mock.add_callback(responses.GET, f"{URL}/services/data/v65.0/queryAll", callback=org.answer)
        mock.add_callback(
            responses.POST, org.TOKEN_URL, callback=lambda request: sent.append(request) or (200, {}, json.dumps(given))
        )
        account = {"domain": "acme", "sign_in": "jwt", "client_id": "3MVG9", "user": "bot@acme.example"}
        org.ACCOUNT = account | {"private_key": {"secret": "sf-key"}}
        rows = org.pull().rows

    assert len(rows) >= 7  # whatever instance_url says: requests go to the domain of the document
    form = {name: values[0] for name, values in parse_qs(sent[0].body.decode()).items()}
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    head, claims, signature = form["assertion"].split(".")
    key.public_key().verify(_bytes(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), SHA256())
    said = json.loads(_bytes(claims))
    assert (said["iss"], said["sub"], said["aud"]) == ("3MVG9", "bot@acme.example", "https://login.salesforce.com")
    assert said["exp"] - NOON.timestamp() <= 180


def _bytes(text):
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
