"""Rosters in formats whose expressions are ready made."""

from textwrap import dedent

import pytest

from bridge.mapping import Failure, MappingError, RosterEntry, load_folders, read_roster

LMS = "https://lms.example.com"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

SCIM_USER = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
    "id": "2819c223",
    "externalId": "aarcher",
    "userName": "ann.archer@corp.example.com",
    "name": {"formatted": "Ann Archer", "familyName": "Archer"},
    "title": "Account manager",
    "active": True,
    "emails": [
        {"value": "Ann@Example.com", "type": "work", "primary": True},
        {"value": "ann@home.example", "type": "home"},
    ],
    "addresses": [{"locality": "Oslo"}],
    ENTERPRISE: {
        "employeeNumber": "E1",
        "department": "North",
        "manager": {"value": "26118915", "displayName": "Cy Chief"},
    },
}
MOODLE_USER = {
    "id": 7,
    "username": "aarcher",
    "fullname": "Ann Archer",
    "email": "ann@example.com",
    "idnumber": "E1",
    "department": "North",
    "city": "Oslo",
    "customfields": [
        {"type": "text", "value": "x", "name": "Shoe", "shortname": "shoe"},
        {"type": "text", "value": "005A", "shortname": "crmuserid"},
    ],
}
LTI_MEMBER = {
    "status": "Active",
    "name": "Ann Archer",
    "email": "ann@example.com",
    "user_id": "7",
    "lis_person_sourcedid": "E1",
    "roles": ["http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"],
}


def roster(tmp_path, keys: str):
    file = tmp_path / "identity.yaml"
    written = dedent(keys).strip().replace("\n", "\n    ")
    crm = "kind: source\nname: crm\ntype: csv\n"
    file.write_text(f"kind: identity\nname: people\nrosters:\n  - source: users\n    {written}\n---\n{crm}")
    [found] = load_folders([file]).identity.rosters
    return found


def attributes(entry: RosterEntry) -> dict[str, str]:
    return {one.name: one.value for one in entry.attributes}


def test_a_scim_user_needs_no_expression(tmp_path):
    entry = read_roster(roster(tmp_path, "format: scim"), SCIM_USER)

    assert (entry.learner_key, entry.name) == ("E1", "Ann Archer")
    assert attributes(entry) == {"team": "North", "manager": "Cy Chief", "role": "Account manager", "site": "Oslo"}
    assert set(entry.alias_keys) == {
        "user:users|2819c223",
        "employee:E1",
        "mbox:mailto:ann.archer@corp.example.com",
        "mbox:mailto:ann@example.com",
        "mbox:mailto:ann@home.example",
    }


def test_a_scim_user_without_what_is_optional_goes_by_the_external_id_or_only_links(tmp_path):
    ready = roster(tmp_path, f"format: scim\nplatform: {LMS}")

    external = read_roster(ready, {"id": "1", "userName": "bo", "externalId": "x7"})
    bare = read_roster(ready, {"id": "1", "userName": "bo"})

    assert (external.learner_key, external.attributes) == ("x7", ())
    assert bare.learner_key is None
    assert bare.alias_keys == ("user:users|1", f"account:{LMS}|bo")


def test_a_manager_without_a_display_name_is_named_by_the_id(tmp_path):
    user = SCIM_USER | {ENTERPRISE: {"employeeNumber": "E1", "manager": {"value": "26118915"}}}

    assert attributes(read_roster(roster(tmp_path, "format: scim"), user))["manager"] == "26118915"


def test_a_moodle_user_needs_the_site_and_the_profile_field_of_the_crm(tmp_path):
    ready = roster(tmp_path, f"format: moodle\nplatform: {LMS}\ncrm: {{field: crmuserid, source: crm}}")

    entry = read_roster(ready, MOODLE_USER)

    assert (entry.learner_key, entry.name) == ("E1", "Ann Archer")
    assert attributes(entry) == {"team": "North", "site": "Oslo"}
    assert set(entry.alias_keys) == {
        f"account:{LMS}|7",
        f"account:{LMS}|aarcher",
        "mbox:mailto:ann@example.com",
        "employee:E1",
        "user:crm|005A",
    }


@pytest.mark.parametrize(
    "without",
    [{"customfields": []}, {"customfields": [{"shortname": "crmuserid", "value": ""}]}, {"customfields": None}],
    ids=["no field", "an empty one", "null"],
)
def test_a_moodle_user_without_a_crm_id_has_the_other_aliases(tmp_path, without):
    ready = roster(tmp_path, f"format: moodle\nplatform: {LMS}\ncrm: {{field: crmuserid, source: crm}}")

    entry = read_roster(ready, MOODLE_USER | without)

    assert isinstance(entry, RosterEntry)
    assert not [alias for alias in entry.alias_keys if alias.startswith("user:")]
    assert f"account:{LMS}|7" in entry.alias_keys


def test_a_moodle_user_whose_name_is_a_number_is_not_taken_for_somebody_elses_id(tmp_path):
    entry = read_roster(roster(tmp_path, f"format: moodle\nplatform: {LMS}"), MOODLE_USER | {"username": "8"})

    assert f"account:{LMS}|8" not in entry.alias_keys


def test_a_moodle_user_without_an_id_number_only_links(tmp_path):
    entry = read_roster(roster(tmp_path, f"format: moodle\nplatform: {LMS}"), MOODLE_USER | {"idnumber": ""})

    assert (entry.learner_key, set(entry.alias_keys)) == (
        None,
        {f"account:{LMS}|7", f"account:{LMS}|aarcher", "mbox:mailto:ann@example.com"},
    )


@pytest.mark.parametrize(
    ("roles", "role"),
    [(LTI_MEMBER["roles"], "instructor"), (["http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"], "learner")],
)
def test_a_member_of_names_and_roles_is_the_account_of_the_statements(tmp_path, roles, role):
    entry = read_roster(roster(tmp_path, f"format: lti\nplatform: {LMS}"), LTI_MEMBER | {"roles": roles})

    assert (entry.learner_key, entry.name, attributes(entry)) == ("E1", "Ann Archer", {"role": role})
    assert set(entry.alias_keys) == {f"account:{LMS}|7", "mbox:mailto:ann@example.com", "employee:E1"}


def test_what_the_document_says_takes_the_place_of_what_is_ready(tmp_path):
    ready = roster(
        tmp_path,
        """
        format: scim
        learner: row.userName
        attributes: {team: "'one'"}
        aliases: [{openid: row.id}]
        """,
    )

    entry = read_roster(ready, SCIM_USER)

    assert (entry.learner_key, entry.name, attributes(entry)) == (SCIM_USER["userName"], "Ann Archer", {"team": "one"})
    assert entry.alias_keys == ("openid:2819c223",)


def test_a_row_of_a_csv_roster_needs_its_learner(tmp_path):
    ready = roster(tmp_path, "format: csv\nkey: [number]\nlearner: row.number\naliases: [{mbox: row.email}]")

    assert isinstance(read_roster(ready, {"email": "ann@example.com"}), Failure)


@pytest.mark.parametrize(
    ("keys", "line", "words"),
    [
        ("format: scmi", 5, "Did you mean 'scim'?"),
        ("format: moodle\nplatfrom: x", 6, "Did you mean 'platform'?"),
        ('format: moodle\nplatform: "https://x\'y"', 6, "has a quote"),
        ("format: moodle\ncrm: crmuserid", 6, "Write crm: {field: crmuserid, source: crm}"),
        ("format: moodle\ncrm: {field: crmuserid, source: crn}", 6, "Did you mean 'crm'?"),
        ("format: csv\nplatform: x\naliases: [{mbox: row.a}]", 6, "only for rosters of a format"),
        ("format: csv", 4, "'aliases' is missing"),
        ("name: row.name\naliases: [{mbox: row.a}]", 5, "this roster names none"),
        ("learner: row.a\naliases: [{mail: row.a}]", 6, "An alias is one of"),
        (
            "learner: row.a\naliases: [{mbox: row.a}]\nattributes: {team: {form: row.b, value: row.a}}",
            7,
            "Did you mean 'from'?",
        ),
        ("learner: row.a\naliases: [{mbox: row.a}]\nattributes: {team: {from: row.b}}", 7, "'value' is missing"),
        ("learner: row.a\naliases: [{mbox: row.a}]", 4, "There is no source called 'users'"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_the_remedy(tmp_path, keys, line, words):
    with pytest.raises(MappingError) as raised:
        roster(tmp_path, keys)

    assert words in str(raised.value)
    assert line in [problem.line for problem in raised.value.problems]
