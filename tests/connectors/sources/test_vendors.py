"""What every manifest must hold."""

from datetime import date

import pytest

from connectors import ConfigError
from connectors.sources import vendors


def test_every_manifest_is_registered_and_the_other_way_round():
    assert {path.stem for path in vendors.MANIFESTS.glob("*.yaml")} == set(vendors.VENDORS)


@pytest.mark.parametrize("vendor", vendors.VENDORS)
def test_manifest_names_the_pages_it_rests_on_and_when_they_were_read(vendor):
    pages = vendors.manifest(vendor)["rests_on"]

    assert pages
    assert all(page.startswith("https://") and isinstance(day, date) for page, day in pages.items())


EXAMPLES = {
    "audience": "https://login.salesforce.com",
    "client_id": "0oa1b2",
    "cloud_id": "11223344-a1b2-3b33-c444-def123456789",
    "company": "1",
    "database": "acme",
    "domain": "acme",
    "email": "a@example.com",
    "environment": "acme.crm4.dynamics.com",
    "host": "acme.example.com",
    "instance": "acme",
    "key_id": "a1",
    "projects": "SUP",
    "site": "acme",
    "subdomain": "acme",
    "tenant": "acme.onmicrosoft.com",
    "timezone": "Europe/Berlin",
    "url": "https://acme.example.com",
    "user": "bot",
}


def account_of(vendor, way=None):
    """Give the smallest account: no setting that has a default."""
    known = vendors.manifest(vendor)
    settings = {**known["account"], **(known["sign_in"][way]["account"] if way else {})}
    account = {
        name: {"secret": "some"} if setting["pattern"] is None else EXAMPLES[name]
        for name, setting in settings.items()
        if setting["default"] is None
    }
    return account | ({"sign_in": way} if way else {})


WAYS = [(vendor, way) for vendor in vendors.VENDORS for way in vendors.manifest(vendor)["sign_in"] or [None]]


@pytest.mark.parametrize(("vendor", "way"), WAYS)
def test_every_stream_of_a_manifest_is_valid_by_every_way_to_sign_in(vendor, way, tmp_path):
    for stream in vendors.manifest(vendor)["streams"]:
        document = {"kind": "source", "name": "a", "type": vendor, "stream": stream, "account": account_of(vendor, way)}

        source = vendors.load(document, base=tmp_path)

        assert source.stream.key
        assert "{account" not in repr(source)


@pytest.mark.parametrize("vendor", sorted({vendor for vendor, way in WAYS if way}))
def test_first_way_to_sign_in_is_the_default(vendor, tmp_path):
    known = vendors.manifest(vendor)
    way = next(iter(known["sign_in"]))
    document = {"kind": "source", "name": "a", "type": vendor, "stream": next(iter(known["streams"]))}
    named, unnamed = account_of(vendor, way), account_of(vendor, way)
    del unnamed["sign_in"]

    one, other = (vendors.load(document | {"account": account}, base=tmp_path) for account in (named, unnamed))

    assert one.system == other.system


SALESFORCE = {"kind": "source", "name": "a", "type": "salesforce", "stream": "cases"}


@pytest.mark.parametrize(
    ("account", "path", "told"),
    [
        ({"sign_in": "saml"}, ("account", "sign_in"), "There are: client_credentials, jwt."),
        (
            {"user": "bot"},
            ("account", "user"),
            "does not belong to `sign_in: client_credentials`. Write `sign_in: jwt`",
        ),
        ({"sign_in": "jwt"}, ("account", "client_secret"), "Write `sign_in: client_credentials`"),
        ({"fields": "Id; DROP"}, ("account", "fields"), "with commas between"),
        ({"object": "User"}, ("account", "object"), "There is no key 'object' here"),
    ],
)
def test_faults_of_accounts_with_several_ways_to_sign_in_are_told(account, path, told, tmp_path):
    document = SALESFORCE | {"account": account_of("salesforce", "client_credentials") | account}

    with pytest.raises(ConfigError) as caught:
        vendors.load(document, base=tmp_path)

    assert path in [fault.path for fault in caught.value.faults]
    assert any(told in f"{fault.text} {fault.remedy}" for fault in caught.value.faults)


def test_document_says_how_to_learn_of_deletions_in_place_of_the_manifest(tmp_path):
    document = SALESFORCE | {"account": account_of("salesforce", "jwt")}

    assert vendors.load(document, base=tmp_path).stream.deleted is not None
    assert vendors.load(document | {"deleted": "none"}, base=tmp_path).stream.deleted is None
    for unknown in ("nowhere", {"type": "nowhere"}):
        with pytest.raises(ConfigError, match="nowhere"):
            vendors.load(document | {"deleted": unknown}, base=tmp_path)


def test_document_may_require_fields(tmp_path):
    document = SALESFORCE | {"account": account_of("salesforce", "jwt"), "require": ["OwnerId", "Csat__c"]}

    assert vendors.load(document, base=tmp_path).stream.require == (("OwnerId",), ("Csat__c",))
