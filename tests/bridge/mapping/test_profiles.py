"""xAPI Profiles: what of them is read, which statements follow their templates, and what is wrong with broken ones."""

import json

import pytest

from bridge.mapping import Documents, MappingError, jsonpath, keep_profile, load_folders, load_profile

PROFILE_ID = "https://example.com/sales"
ASKED, MEETING = f"{PROFILE_ID}/verbs/asked", f"{PROFILE_ID}/types/meeting"
TEMPLATE = f"{PROFILE_ID}/templates/asked-first"
TEMPLATE_DATA = {
    "id": TEMPLATE,
    "type": "StatementTemplate",
    "prefLabel": {"en": "Asked first"},
    "verb": ASKED,
    "objectActivityType": MEETING,
    "contextParentActivityType": [f"{PROFILE_ID}/types/deal"],
    "rules": [{"location": "$.result.score.scaled", "presence": "included"}],
}
PROFILE = {
    "@context": "https://w3id.org/xapi/profiles/context",
    "id": PROFILE_ID,
    "type": "Profile",
    "prefLabel": {"en": "Sales talks", "de": "Verkauf"},
    "versions": [{"id": f"{PROFILE_ID}/v2"}, {"id": f"{PROFILE_ID}/v1"}],
    "concepts": [
        {"id": ASKED, "type": "Verb", "prefLabel": {"en": "asked"}},
        {"id": MEETING, "type": "ActivityType", "prefLabel": {"en": "meeting"}},
        {"id": f"{PROFILE_ID}/extensions/mood", "type": "ContextExtension"},
    ],
    "templates": [TEMPLATE_DATA],
}
STATEMENT = {
    "actor": {"mbox": "mailto:ana@example.com"},
    "verb": {"id": ASKED},
    "object": {"id": "https://crm/meeting/7", "definition": {"type": MEETING}},
    "context": {
        "contextActivities": {
            "parent": {"id": "https://crm/deal/1", "definition": {"type": f"{PROFILE_ID}/types/deal"}}
        }
    },
    "result": {"score": {"scaled": 0.5}},
    "timestamp": "2026-10-05T08:00:00Z",
}
RULE = "kind: learning\nname: d\nrules: [{name: r, match: {MATCH}, fact: applied}]\n"


@pytest.fixture
def loaded(tmp_path):
    def load(match, *profiles):
        for number, profile in enumerate(profiles):
            (tmp_path / f"{number}.jsonld").write_text(json.dumps(profile, indent=1))
        (tmp_path / "d.yaml").write_text(RULE.replace("MATCH", match))
        return load_folders([tmp_path])

    return load


@pytest.fixture
def follows(loaded):
    """Tell whether a statement follows a template that is changed like this."""

    def tell(statement=STATEMENT, **changes):
        changed = {key: value for key, value in (TEMPLATE_DATA | changes).items() if value is not None}
        documents = loaded(f'template: "{TEMPLATE}"', PROFILE | {"templates": [changed]})
        return bool(documents.statement_reader.read(statement).facts)

    return tell


# --- Templates


def test_a_statement_that_has_the_determining_properties_and_keeps_the_rules_follows(follows):
    assert follows()


@pytest.mark.parametrize(
    "changes",
    [
        {"verb": {"id": "https://verbs/else"}},
        {"object": {"id": "https://crm/meeting/7"}},
        {"object": {"objectType": "Agent", "id": "x:y", "definition": {"type": MEETING}}},
        {"context": {}},
        {"context": {"contextActivities": {"grouping": STATEMENT["context"]["contextActivities"]["parent"]}}},
        {"result": {"score": {"raw": 1}}},
        {"result": None},
    ],
)
def test_a_statement_that_lacks_one_of_them_does_not(follows, changes):
    assert not follows(STATEMENT | changes)


def test_a_template_of_rules_alone_is_followed_by_any_statement_that_keeps_them(follows):
    nothing = {"verb": None, "objectActivityType": None, "contextParentActivityType": None}

    assert follows({"actor": STATEMENT["actor"], "verb": {"id": "x:y"}, "object": {"id": "x:z"}} | {
        "result": {"score": {"scaled": 1}}, "timestamp": "2026-10-05T08:00:00Z"}, **nothing)  # fmt: skip
    assert not follows(STATEMENT | {"result": {}}, **nothing)


@pytest.mark.parametrize(
    ("role", "other"), [("grouping", "parent"), ("category", "grouping"), ("other", "category"), ("parent", "other")]
)
def test_all_types_asked_for_in_a_role_must_be_there(follows, role, other):
    key = f"context{role.title()}ActivityType"
    asked = {"contextParentActivityType": None} | {key: ["t:a", "t:b"]}
    both = [{"id": "x:1", "definition": {"type": "t:b"}}, {"id": "x:2", "definition": {"type": "t:a"}}]

    assert follows(STATEMENT | {"context": {"contextActivities": {role: both}}}, **asked)
    assert not follows(STATEMENT | {"context": {"contextActivities": {role: both[:1], other: both}}}, **asked)


def test_attachments_are_told_by_their_usage_type(follows):
    with_one = STATEMENT | {"attachments": [{"usageType": "u:photo"}, "no map"]}

    assert follows(with_one, attachmentUsageType=["u:photo"])
    assert not follows(with_one, attachmentUsageType=["u:photo", "u:film"])
    assert not follows(attachmentUsageType=["u:photo"])


def test_where_another_statement_is_asked_for_one_must_be_referred_to(follows):
    reference = {"objectType": "StatementRef", "id": "5a3b7f5e-7c0c-4d53-8f2b-0e5b3b9a4f11"}
    of_object = {"objectActivityType": None, "objectStatementRefTemplate": [TEMPLATE]}

    assert follows(STATEMENT | {"object": reference}, **of_object)
    assert not follows(**of_object)
    in_context = STATEMENT | {"context": STATEMENT["context"] | {"statement": reference}}
    assert follows(in_context, contextStatementRefTemplate=[TEMPLATE])
    assert not follows(contextStatementRefTemplate=[TEMPLATE])


RULES = [
    # (rule, result of the statement, whether it keeps the rule)
    ({"presence": "included"}, {"tags": ["a"]}, True),
    ({"presence": "included"}, {"tags": []}, False),
    ({"presence": "excluded"}, {"tags": []}, True),
    ({"presence": "excluded"}, {"tags": ["a"]}, False),
    ({"presence": "recommended"}, {"tags": []}, True),
    ({"any": ["a", "b"]}, {"tags": ["c", "b"]}, True),
    ({"any": ["a", "b"]}, {"tags": ["c"]}, False),
    ({"any": ["a", "b"]}, {"tags": []}, False),
    ({"any": ["a"], "presence": "recommended"}, {"tags": []}, True),
    ({"any": ["a"], "presence": "recommended"}, {"tags": ["b"]}, False),
    ({"all": ["a", "b"]}, {"tags": ["b", "b"]}, True),
    ({"all": ["a", "b"]}, {"tags": ["b", "c"]}, False),
    ({"all": ["a"]}, {"tags": []}, True),
    ({"none": ["a"]}, {"tags": ["b"]}, True),
    ({"none": ["a"]}, {"tags": ["b", "a"]}, False),
    ({"none": ["a"], "any": ["b"]}, {"tags": ["b"]}, True),
    ({"any": [1]}, {"tags": [1.0]}, True),
    ({"any": [1]}, {"tags": [True]}, False),
    ({"any": [True]}, {"tags": [1]}, False),
    ({"any": [{"k": [1, "x"]}]}, {"tags": [{"k": [1, "x"]}]}, True),
    ({"any": [{"k": [1, "x"]}]}, {"tags": [{"k": [1, "x"], "l": 1}]}, False),
    ({"selector": "k", "presence": "included"}, {"tags": [{"k": 1}]}, True),
    ({"selector": "k", "presence": "included"}, {"tags": [{"k": 1}, {"l": 1}]}, False),
    ({"selector": "k", "presence": "excluded"}, {"tags": [{"l": 1}]}, True),
    ({"selector": "k", "all": [1]}, {"tags": [{"k": 1}, {"l": 1}]}, False),
    ({"selector": "k", "any": [1]}, {"tags": [{"k": 1}, {"l": 1}]}, True),
    ({"selector": "k", "none": [2]}, {"tags": [{"k": 1}, {"l": 1}]}, True),
]


@pytest.mark.parametrize(("rule", "result", "kept"), RULES)
def test_a_rule_is_kept_as_the_specification_says(follows, rule, result, kept):
    assert follows(STATEMENT | {"result": result}, rules=[{"location": "result.tags[*]", **rule}]) is kept


def test_one_of_several_templates_will_do_and_a_single_context_activity_counts_as_a_list(loaded):
    second = TEMPLATE_DATA | {"id": "t:two", "rules": [{"location": "context.contextActivities.parent[0].id", "any": ["https://crm/deal/1"]}]}  # fmt: skip  # noqa: E501
    first = TEMPLATE_DATA | {"rules": [{"location": "x.y", "presence": "included"}]}
    documents = loaded(f'template: ["{TEMPLATE}", "t:two"]', PROFILE | {"templates": [first, second]})

    assert len(documents.statement_reader.read(STATEMENT).facts) == 1


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"object": {"id": "x:y"}}, "the type 'https://example.com/sales/types/meeting' is expected, and there is ''"),
        ({"context": {}}, "its parent activities are of type 'https://example.com/sales/types/deal'"),
        ({"result": {}}, "its rule on '$.result.score.scaled' holds"),
    ],
)
def test_what_a_statement_lacks_is_named(loaded, changes, because):
    [trace] = loaded(f'template: "{TEMPLATE}"', PROFILE).statement_reader.explain(STATEMENT | changes)

    assert trace.because.endswith(because)


# --- Profiles


@pytest.mark.parametrize(
    ("changes", "matches"),
    [
        ({}, True),
        ({"verb": {"id": "https://verbs/else"}}, False),
        ({"verb": {"id": "v:x"}, "context": {"contextActivities": {"category": [{"id": PROFILE_ID}]}}}, True),
        ({"verb": {"id": "v:x"}, "context": {"contextActivities": {"category": {"id": f"{PROFILE_ID}/v1"}}}}, True),
        ({"verb": {"id": "v:x"}, "context": {"contextActivities": {"grouping": [{"id": PROFILE_ID}]}}}, False),
    ],
)
@pytest.mark.parametrize("named", [PROFILE_ID, f"{PROFILE_ID}/v1"])
def test_a_profile_is_matched_by_its_verbs_and_by_its_category(loaded, named, changes, matches):
    documents = loaded(f'profile: "{named}"', PROFILE)

    assert len(documents.statement_reader.read(STATEMENT | changes).facts) == matches


def test_the_verb_of_a_template_tells_which_statements_its_rule_can_match(loaded):
    with_verb = loaded(f'template: "{TEMPLATE}"', PROFILE)
    without = loaded(f'template: "{TEMPLATE}"', PROFILE | {"templates": [TEMPLATE_DATA | {"verb": "v:a"}]})

    assert [rule.verbs for rule in with_verb.rules] == [{ASKED}]
    assert [rule.verbs for rule in without.rules] == [{"v:a"}]
    assert [rule.verbs for rule in loaded(f'profile: "{PROFILE_ID}"', PROFILE).rules] == [None]


def test_a_rules_hash_changes_with_the_template_that_it_uses_and_with_no_other_part_of_the_profile(loaded):
    def content_hash(profile, match=f'template: "{TEMPLATE}"'):
        [rule] = loaded(match, profile).rules
        return rule.content_hash

    first = content_hash(PROFILE)
    unused = {"id": "t:unused", "type": "StatementTemplate"}

    assert content_hash(PROFILE | {"templates": [TEMPLATE_DATA | {"rules": []}]}) != first
    assert content_hash(PROFILE | {"templates": [unused, TEMPLATE_DATA], "concepts": []}) == first
    by_profile = content_hash(PROFILE, f'profile: "{PROFILE_ID}"')
    assert content_hash(PROFILE | {"concepts": PROFILE["concepts"][1:]}, f'profile: "{PROFILE_ID}"') != by_profile


def test_profiles_in_force_need_no_file(loaded, tmp_path):
    documents = loaded(f'template: "{TEMPLATE}"', PROFILE)
    text = documents.to_text()
    for file in tmp_path.iterdir():
        file.unlink()

    back = Documents.from_text(text)

    assert back == documents
    assert [rule.content_hash for rule in back.rules] == [rule.content_hash for rule in documents.rules]
    assert back.statement_reader.read(STATEMENT) == documents.statement_reader.read(STATEMENT)


def test_a_later_file_of_the_same_profile_replaces_an_earlier_one_and_says_so(loaded, tmp_path):
    later = PROFILE | {"templates": [TEMPLATE_DATA | {"verb": "v:a"}]}

    documents = loaded(f'template: "{TEMPLATE}"', PROFILE, later)

    assert documents.profiles.templates[TEMPLATE].verb == "v:a"
    [notice] = documents.notices
    assert notice == f"{tmp_path}/1.jsonld:1: profile '{PROFILE_ID}' replaces the one in {tmp_path}/0.jsonld:1."


def test_what_is_not_used_of_a_profile_is_told(loaded):
    template = TEMPLATE_DATA | {"contextStatementRefTemplate": [TEMPLATE]}
    documents = loaded('verb: "v:a"', PROFILE | {"patterns": [{"id": "p:1"}], "templates": [template]})

    assert [notice.partition(": ")[2] for notice in documents.notices] == [
        f"the patterns of profile '{PROFILE_ID}' are not used: they are about several statements.",
        f"{TEMPLATE} ask which template another statement follows; it is only looked whether they refer to one.",
    ]


@pytest.mark.parametrize(
    ("match", "place", "text", "remedy"),
    [
        (f'template: "{TEMPLATE}s"', "3:37", f"There is no template '{TEMPLATE}s'", f"Did you mean '{TEMPLATE}'?"),
        (f'template: ["{TEMPLATE}", "t:x"]', "3:89", "There is no template 't:x' in the profiles here", "known here"),
        (f'profile: "{PROFILE_ID}/v3"', "3:36", f"There is no profile '{PROFILE_ID}/v3'", f"'{PROFILE_ID}/v2'?"),
    ],
)
def test_a_template_or_profile_that_is_not_there_is_refused_with_the_nearest(loaded, match, place, text, remedy):
    with pytest.raises(MappingError) as refused:
        loaded(match, PROFILE)

    [problem] = refused.value.problems
    assert f"{problem.line}:{problem.column}" == place
    assert text in problem.text
    assert remedy in problem.remedy


def test_without_any_profile_the_remedy_is_to_bring_one_in(loaded):
    with pytest.raises(MappingError, match="Bring in the profile that has it with `lrs-bridge mapping profile FILE`"):
        loaded(f'template: "{TEMPLATE}"')


# --- Broken profiles


def written(**changes):
    return json.dumps(PROFILE | changes, indent=1)


def template(**changes):
    return written(templates=[TEMPLATE_DATA | changes])


def rule(**changes):
    return template(rules=[{"location": "$.x", "presence": "included"} | changes])


BROKEN = [
    # (text, the line that is wrong, part of the text, part of the remedy)
    ("{", "{", "This is no JSON: Expecting property name", "commas, quotes"),
    (written()[:-3], "", "This is no JSON", "brackets"),
    (written().replace('"type": "Profile"', '"type": "Profile",,'), ",,", "This is no JSON", "commas"),
    ("[]", "[]", "A profile is a JSON object, not a list", "xAPI Profile"),
    (written(title="a\x00"), '"a', "This holds the character U+0000, which cannot be kept", "Remove it"),
    (written(**{"\ud83d": "b"}), '"b"', "This holds the character U+D83D", "Remove it"),
    (written(id=7), '"id": 7', "'7' is a number, a text is expected", "IRI in full"),
    (written(id="sales"), '"id": "sales"', "'sales' is no IRI", "IRI in full"),
    (written(type="profile"), '"type": "profile"', "'profile' is no type", "mean 'Profile'?"),
    (written(concepts=["asked"]), '"asked"', "'asked' is a text, a map is expected", "{ and }"),
    (written(concepts=[{"id": "v:a", "type": "Verbs"}]), "Verbs", "'Verbs' is no type", "mean 'Verb'?"),
    (written(concepts=[{"type": "Verb"}]), "{", "The key 'id' is missing", "IRI in full"),
    (template(type="Template"), '"Template"', "'Template' is no type", "'StatementTemplate'"),
    (template(verb="asked"), '"verb": "asked"', "'asked' is no IRI", "IRI in full"),
    (template(verb=""), '"verb": ""', "'verb' is empty", "IRI in full"),
    (template(objectActivityType=["t:a"]), "[", "is a list, a text is expected", "IRI in full"),
    (template(contextOtherActivityType=[1]), "[", "no list of IRIs", "IRI in full"),
    (template(objectStatementRefTemplate=["t:a"]), "objectActivityType", "for a reference", "Keep one"),
    (written(templates=[TEMPLATE_DATA] * 2), TEMPLATE, "stands twice", "IRI of its own"),
    (rule(location="$.a[?(@.b)]"), "$.a[?", "no JSONPath: '?(@.b)]' is not allowed here", "like $.context"),
    (rule(selector="$.a[0:2]"), "0:2", "no JSONPath: ':2]' is not allowed here", "like $.context"),
    (rule(location="$"), '"$"', "it points to the whole statement", "like $.context"),
    (rule(location="$.x..y..z"), "$.x", "more than one '..'", "like $.context"),
    (rule(location=".".join("x" * 30)), "x.x", "more than 20 steps", "like $.context"),
    (rule(location=None), "null", "'None' is null, a text is expected", "JSONPath"),
    (rule(presence="must"), "must", "'must' is no presence", "included"),
    (rule(any="a"), '"any": "a"', "'a' is a text, a list is expected", "[...]"),
    (template(rules=[{"location": "$.x"}]), "{", "This rule asks for nothing", "Add presence"),
]


@pytest.mark.parametrize(("text", "line", "says", "remedy"), BROKEN, ids=[case[2] for case in BROKEN])
def test_a_broken_profile_is_refused_with_place_and_remedy(tmp_path, text, line, says, remedy):
    (tmp_path / "a.jsonld").write_text(text)

    with pytest.raises(MappingError) as refused:
        load_folders([tmp_path])

    problem = refused.value.problems[0]
    assert says in problem.text
    assert remedy in problem.remedy
    assert line in text.splitlines()[problem.line - 1][max(0, problem.column - 30) :]


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 5_000, "[" + "1," * 2_000_000, '"' + "x" * 2_000_000, "{}" * 10, '{"id": NaN}', "\x00"],
    ids=["deep lists", "deep maps", "large", "one text", "many", "NaN", "null byte"],
)
def test_a_hostile_profile_is_refused(tmp_path, text):
    (tmp_path / "a.jsonld").write_text(text)

    with pytest.raises(MappingError):
        load_folders([tmp_path])


# --- Paths

VALUE = {"a": {"b": [1, {"c": 2, "d e": 3}], "it's": 4}, "x.y": 5}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.a.b[0]", [1]),
        ("a.b[*].c", [2]),
        ("$['a']['b'][1]['d e']", [3]),
        ('$["a"]["it\'s"]', [4]),
        (r"$.a['it\'s']", [4]),
        ("$['x.y']", [5]),
        ("$.a.b[0,1].c", [2]),
        ("a.b[1]['c','d e']", [2, 3]),
        ("$..c", [2]),
        ("$..*", [VALUE["a"], 5, VALUE["a"]["b"], 4, 1, VALUE["a"]["b"][1], 2, 3]),
        ("$.a.b[0] | $.nowhere | ['x.y']", [1, 5]),
        ("$.a.b[7]", []),
        ("$.a.b.c", []),
        ("$.a[0]", []),
        ("$.*", [VALUE["a"], 5]),
    ],
)
def test_a_path_points_to(path, found):
    assert jsonpath.parse(path).find(VALUE) == found


def test_a_path_finds_a_bounded_number_of_values_however_large_the_statement_is(monkeypatch):
    monkeypatch.setattr(jsonpath, "MAX_FOUND", 10)
    deep = []
    for _ in range(5_000):
        deep = [deep]

    assert len(jsonpath.parse("$.a[*]").find({"a": list(range(100))})) == 10
    assert len(jsonpath.parse("$..*").find({"a": [[deep] * 50] * 50})) == 10


# --- Keeping


def test_a_profile_is_kept_over_the_file_that_holds_it_already(tmp_path):
    new, folder = tmp_path / "download.json", tmp_path / "mappings"
    new.write_text(written())

    first = keep_profile(new, load_profile(new), folder)
    (folder / "download.jsonld").rename(folder / "sales.jsonld")
    new.write_text(written(prefLabel={"en": "Sales, 2nd"}))
    second = keep_profile(new, load_profile(new), folder)

    assert first.name == "download.jsonld"
    assert [path.name for path in folder.iterdir()] == [second.name] == ["sales.jsonld"]
    assert load_profile(second).title == "Sales, 2nd"


def test_a_file_with_another_profile_or_none_is_not_written_over(tmp_path):
    new, folder = tmp_path / "sales.json", tmp_path / "mappings"
    new.write_text(written())
    folder.mkdir()
    for text, holds in (
        (written(id="https://example.com/other"), "It holds https://example.com/other"),
        ("{", "no profile"),
    ):
        (folder / "sales.jsonld").write_text(text)

        with pytest.raises(MappingError, match=holds):
            keep_profile(new, load_profile(new), folder)

        assert (folder / "sales.jsonld").read_text() == text


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    new = tmp_path / "sales.json"
    new.write_text(written())
    (tmp_path / "mappings").write_text("a file")

    with pytest.raises(MappingError, match="It cannot be written"):
        keep_profile(new, load_profile(new), tmp_path / "mappings")


@pytest.mark.parametrize(
    ("change", "key", "meant"),
    [
        ({"objectActivityTyp": MEETING}, "objectActivityTyp", "objectActivityType"),
        ({"rules": [{"location": "$.x", "presence": "included", "anny": [1]}]}, "anny", "any"),
    ],
)
def test_a_mistyped_key_would_match_more_than_was_meant_and_is_refused(loaded, change, key, meant):
    wrong = PROFILE | {"templates": [TEMPLATE_DATA | change]}

    with pytest.raises(MappingError, match=rf"The key '{key}' is not known here\. Did you mean '{meant}'\?"):
        loaded(f'template: "{TEMPLATE}"', wrong)


def test_an_authors_own_keys_and_those_of_json_ld_are_let_through(loaded):
    own = {"@type": "x", "our:verb": "x", "colour": "red", "description": {"en": "x"}}
    rule = {"location": "$.result", "presence": "included", **own}

    loaded(f'template: "{TEMPLATE}"', PROFILE | {"templates": [TEMPLATE_DATA | own | {"rules": [rule]}]})
