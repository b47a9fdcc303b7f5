"""What every manifest must hold."""

from datetime import date

import pytest

from connectors.sources import vendors


def test_every_manifest_is_registered_and_the_other_way_round():
    assert {path.stem for path in vendors.MANIFESTS.glob("*.yaml")} == set(vendors.VENDORS)


@pytest.mark.parametrize("vendor", vendors.VENDORS)
def test_manifest_names_the_pages_it_rests_on_and_when_they_were_read(vendor):
    pages = vendors.manifest(vendor)["rests_on"]

    assert pages
    assert all(page.startswith("https://") and isinstance(day, date) for page, day in pages.items())


@pytest.mark.parametrize("vendor", vendors.VENDORS)
def test_every_stream_of_a_manifest_is_valid(vendor, tmp_path):
    known = vendors.manifest(vendor)
    examples = {
        "site": "acme",
        "instance": "acme",
        "user": "bot",
        "subdomain": "acme",
        "email": "a@example.com",
        "projects": "SUP",
    }
    account = {
        name: {"secret": "some"} if setting["pattern"] is None else setting["default"] or examples[name]
        for name, setting in known["account"].items()
    }
    for stream in known["streams"]:
        document = {"kind": "source", "name": "a", "type": vendor, "stream": stream, "account": account}

        source = vendors.load(document, base=tmp_path)

        assert source.stream.key
        assert "{account" not in repr(source)
