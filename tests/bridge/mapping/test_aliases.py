"""Alias keys: equal identities are equal texts."""

import pytest

from bridge.mapping import aliases
from bridge.mapping.names import name_key


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("ann@example.com", "ann@example.com"),
        ("  MailTo:Ann@Example.COM ", "ann@example.com"),
        # fullwidth letters are the same letters
        ("\uff21nn@example.com", "ann@example.com"),
        ("ann@B\u00fccher.example", "ann@xn--bcher-kva.example"),
        ("ann@\u0062u\u0308cher.example", "ann@xn--bcher-kva.example"),
        ("ann@XN--BCHER-KVA.example", "ann@xn--bcher-kva.example"),
        # the part before the @ has no punycode
        ("M\u00fcller@example.com", "m\u00fcller@example.com"),
        # no domain that can exist: compared as it is
        ("ann@\u00fc..example", "ann@\u00fc..example"),
        ("\u00fc", "\u00fc"),
    ],
)
def test_a_mail_address_has_one_form(written, address):
    assert aliases.of_mbox(written) == f"mbox:mailto:{address}"
    assert aliases.address(address) == address


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann Archer", "archer, ANN"),
        ("Jos\u00e9 \u00c1lvarez", "Alvarez Jose"),
        ("Stra\u00dfe", "STRASSE"),
        ("O'Neil-Smith", "Smith, O Neil"),
    ],
)
def test_names_are_compared_without_accents_case_and_order(one, other):
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize("nothing", [None, "", " - "])
def test_a_name_without_a_letter_is_none(nothing):
    assert name_key(nothing) is None


def test_other_names_stay_others():
    assert name_key("Ann Archer") != name_key("Anna Archer")
