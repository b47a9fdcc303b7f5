"""Our pages in Moodle by LTI 1.3: registered by an admin, put into a course by a teacher, seen by each as they may.

Moodle is the platform. What is refused here is what it signed itself, used a second time or by somebody else, altered
on the way, or signed once more with its own key after one claim was changed: so each check stands alone.
"""

import base64
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

import jwt
import psycopg
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from moodle import Moodle
from pages import Visit, Visitor, visitor
from round_trip import signed_in
from sqlalchemy import make_url
from trees import CLEAN, COMMAND, Tree, wait_until

from bridge.embedded import running

pytestmark = pytest.mark.moodle

PATIENCE_SECONDS = 600
DOCUMENTS = """\
kind: learning
name: tests
rules:
  - {{name: done, when: "verb == 'https://example.com/verbs/did'", fact: completed, course: statement.object.id}}
  - name: tested
    when: "verb == 'https://example.com/verbs/scored'"
    fact: assessed
    course: statement.object.id
    attempt: statement.id
    score: result.score.scaled
---
kind: program
name: sales-calls
title: Better sales calls
courses: ["{SALES}"]
assessments: ["{SALES}"]
completion: {{of: ["{SALES}"]}}
skills: [{{name: asking, title: Asking, activities: ["{SALES}"], required: 0.7}}]
---
kind: program
name: faster-support
title: Faster support
courses: ["{SUPPORT}"]
completion: {{of: ["{SUPPORT}"]}}
"""


@pytest.fixture(scope="module")
def bridge(moodle: Moodle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """A running `up` where three learners have completed the course SALES, and one SUPPORT."""
    folder = tmp_path_factory.mktemp("launching")
    (folder / "company").mkdir()
    courses = {name: address_of(moodle, name) for name in ("SALES", "SUPPORT")}
    (folder / "company" / "company.yaml").write_text(DOCUMENTS.format(**courses))
    data = folder / "data"
    env = CLEAN | {"LRS_BRIDGE_MAPPINGS": str(folder / "company")}
    with (folder / "up.out").open("ab") as out:
        process = subprocess.Popen([*COMMAND, "up", "--data-dir", str(data)], env=env, stdout=out, stderr=out)
    tree = Tree(data, process, env)
    try:
        wait_until(
            lambda: (data / "endpoint.json").exists() or process.poll() is not None,
            "it is up",
            seconds=PATIENCE_SECONDS,
        )
        statements = [done(moodle, f"learner0{number}", "SALES") for number in (1, 2, 3)]
        statements += [scored(moodle, f"learner0{number}", "SALES", number / 10) for number in (1, 2)]
        post(tree.endpoint, [*statements, done(moodle, "learner08", "SUPPORT")])
        wait_until(lambda: len(records(tree)) == 4, "the records are there", seconds=PATIENCE_SECONDS)
        scores = {None, 0.1, 0.2}
        wait_until(lambda: {one["body"]["best_score"] for one in records(tree)} == scores, "and the scores in them")
        yield tree
    finally:
        tree.stop()


@pytest.fixture(scope="module")
def tool(moodle: Moodle, bridge: Tree, shots: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """Its number in Moodle, when an admin has registered it."""
    with visitor(moodle, "admin", tmp_path_factory.mktemp("admin"), shots) as admin:
        return register(admin, bridge, moodle)


@pytest.fixture(scope="module")
def activity(moodle: Moodle, bridge: Tree, tool: int, shots: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """Its course module in SALES, where a teacher has put it."""
    with visitor(moodle, "teacher1", tmp_path_factory.mktemp("teacher"), shots) as teacher:
        made = put_into_course(teacher, moodle, tool, "SALES")
        wait_until(lambda: "who needs what" in framed(teacher), "the teacher's page is in the frame")
        teacher.shot("lti-2-teacher-in-course")
        text = framed(teacher)
        assert all(f"Learner0{number}" in text for number in (1, 2, 3))
        assert "Learner08" not in text
        return made


def done(moodle: Moodle, username: str, course: str) -> dict[str, Any]:
    return {
        "actor": {
            "name": username.capitalize(),
            "account": {"homePage": moodle.url, "name": str(moodle.site["users"][username])},
        },
        "verb": {"id": "https://example.com/verbs/did"},
        "object": {"id": address_of(moodle, course)},
        "timestamp": "2026-10-14T09:00:00Z",
    }


def scored(moodle: Moodle, username: str, course: str, score: float) -> dict[str, Any]:
    verb, result = {"id": "https://example.com/verbs/scored"}, {"score": {"scaled": score}}
    return done(moodle, username, course) | {"verb": verb, "result": result}


def address_of(moodle: Moodle, course: str) -> str:
    return f"{moodle.url}/course/view.php?id={moodle.site['courses'][course]['id']}"


def post(endpoint: dict[str, str], statements: list[dict[str, Any]]) -> None:
    address, auth = f"{endpoint['xapi'].rstrip('/')}/statements", (endpoint["key"], endpoint["secret"])
    headers = {"X-Experience-API-Version": "1.0.3"}
    assert requests.post(address, json=statements, auth=auth, headers=headers, timeout=30).ok


def records(tree: Tree) -> list[dict[str, Any]]:
    endpoint = tree.endpoint
    address, auth = f"{endpoint['url'].rstrip('/')}/api/v1/records", (endpoint["key"], endpoint["secret"])
    return list(requests.get(address, auth=auth, timeout=30).json()["items"])


def register(admin: Visitor, tree: Tree, moodle: Moodle) -> int:
    """Register us as an admin does: paste the address, look, switch on; gives the tool's number."""
    moodle.execute("truncate mdl_lti_types, mdl_lti_types_config")  # of an earlier run: Moodle would offer to update it
    invitation = json.loads(tree.run("lti", "invite", moodle.url, "--grades", "--json").stdout)["address"]
    admin.go("/mod/lti/toolconfigure.php")
    admin.fill("input[name=url]", invitation)
    admin.press("Add LTI Advantage")

    def added() -> set[int]:
        return {number for (number,) in moodle.rows("select id from mdl_lti_types")}

    wait_until(lambda: bool(added()), "Moodle has the tool")
    [number] = added()
    admin.until("document.body.innerText.includes('lrs-bridge')", "the tool is listed")
    admin.shot("lti-1-admin-registered")
    admin.press("Activate")
    wait_until(lambda: moodle.rows("select state from mdl_lti_types where id = %s", number) == [(1,)], "it is on")
    return number


def put_into_course(teacher: Visitor, moodle: Moodle, tool: int, course: str) -> int:
    """Add the tool as an activity, as a teacher does; gives its course module."""
    number = moodle.site["courses"][course]["id"]
    teacher.go(f"/course/modedit.php?add=lti&typeid={tool}&course={number}&section=0&return=0")
    teacher.press("Select content")
    wait_until(lambda: "What should the link show?" in framed(teacher), "our links can be chosen (deep linking)")
    teacher.shot("lti-2-teacher-chooses")
    in_frame(teacher, "document.querySelector('form button').click()")
    teacher.until("document.querySelector('#id_name').value === 'How I am doing'", "Moodle has taken the link")
    known = activities(moodle)
    teacher.press("Save and display")
    wait_until(lambda: len(activities(moodle)) > len(known), "the activity is there")
    [made] = activities(moodle) - known
    teacher.go(f"/mod/lti/view.php?id={made}")
    return made


def activities(moodle: Moodle) -> set[int]:
    """Give the course modules that are external tools."""
    found = moodle.rows(
        "select cm.id from mdl_course_modules cm join mdl_modules m on m.id = cm.module where m.name = 'lti'"
    )
    return {number for (number,) in found}


def framed(one: Visitor) -> str:
    """Give what stands in all frames of the page."""
    one.browser.call("DOM.enable")
    nodes = one.browser.call("DOM.getFlattenedDocument", depth=-1, pierce=True)["nodes"]
    return " ".join(node["nodeValue"] for node in nodes if node["nodeName"] == "#text")


def in_frame(one: Visitor, script: str) -> None:
    """Run a script in the frame that shows our page, as whoever looks at it would click there."""

    def ours(node: dict[str, Any]) -> Iterator[str]:
        if "/lti/s/" in node["frame"]["url"]:
            yield node["frame"]["id"]
        for inner in node.get("childFrames", ()):
            yield from ours(inner)

    frame = next(ours(one.browser.call("Page.getFrameTree")["frameTree"]))
    world = one.browser.call("Page.createIsolatedWorld", frameId=frame)["executionContextId"]
    one.browser.call("Runtime.evaluate", expression=script, contextId=world, userGesture=True)


def form(page: str, address: str) -> tuple[str, dict[str, str]]:
    """Read the form that a page sends by itself: (where to, what)."""
    action = unescape(re.search(r'<form[^>]*action="([^"]*)"', page)[1])
    fields = {}
    for tag in re.findall(r"<input[^>]*>", page):
        name, value = (re.search(rf'{key}="([^"]*)"', tag) for key in ("name", "value"))
        if name:
            fields[unescape(name[1])] = unescape(value[1]) if value else ""
    return urljoin(address, action), fields


# --- what each sees ---------------------------------------------------------------------------------------------------


def test_each_sees_what_they_may(moodle: Moodle, bridge: Tree, tool: int, activity: int, visit: Visit) -> None:
    [platform] = json.loads(bridge.run("lti", "list", "--json").stdout)
    assert (platform["issuer"], platform["deployments"]) == (moodle.url, [str(tool)])
    assert platform["course_url"] == "{home_page}/course/view.php?id={context_id}"

    # --- the teacher of SALES sees its learners, and nobody of SUPPORT
    teacher = visit("teacher1")
    teacher.go(f"/mod/lti/launch.php?id={activity}")
    teacher.until("location.pathname.includes('/programs/sales-calls')", "it is open in a window")
    assert "Better sales calls: who needs what" in teacher.text()
    teacher.shot("lti-3-teacher-window")
    [other] = [row for row in records(bridge) if row["body"]["program"] == "faster-support"]
    page = teacher.browser.run("location.href").partition("/programs/")[0]
    teacher.go(f"{page}/programs/faster-support")
    assert "There is nothing here for you" in teacher.text()
    assert other["user"]["name"] not in teacher.text()

    # --- a learner sees themselves, and not what the teacher sees
    learner = visit("learner01")
    learner.go(f"/mod/lti/view.php?id={activity}")
    wait_until(lambda: "How I am doing" in framed(learner) and "Evidence" in framed(learner), "the learner's page")
    learner.shot("lti-4-learner-in-course")
    assert "Learner02" not in framed(learner)
    learner.go(f"/mod/lti/launch.php?id={activity}")
    learner.until("location.pathname.startsWith('/lti/s/')", "it is open in a window")
    assert "Learner01" in learner.text()
    learner.shot("lti-5-learner-window")
    mine = learner.browser.run("location.href").rstrip("/")
    learner.go(f"{mine}/programs/sales-calls")
    assert "There is nothing here for you" in learner.text()
    learner.go(f"{page}/programs/sales-calls")  # the teacher's address, without the teacher's cookie
    assert "Please open this page again from your course" in learner.text()

    # --- somebody without a record is told so
    newcomer = visit("learner06")
    newcomer.go(f"/mod/lti/launch.php?id={activity}")
    newcomer.until("document.body.innerText.includes('do not know you yet')", "they are told")
    newcomer.shot("lti-6-unknown")

    # --- an admin of the site teaches in no course by that: as Moodle itself says in its message
    admin = visit("admin")
    admin.go(f"/mod/lti/launch.php?id={activity}")
    admin.until("location.pathname.startsWith('/lti/s/')", "it is open in a window")
    admin.shot("lti-7-admin-window")
    with signed_in(moodle, "admin") as web:
        roles = message_of(web, moodle, activity).claims[ROLES]
    teaches = any("membership#Instructor" in role for role in roles)
    assert ("who needs what" in admin.text()) == teaches, roles
    assert "Learner08" not in admin.text(), "not of this course"

    # --- the roster of the course says who is who, without a token of Moodle's web services
    people = json.loads(bridge.run("lti", "roster", moodle.url).stdout)["members"]
    by_id = {one["user_id"]: one for one in people}
    assert str(moodle.site["users"]["learner01"]) in by_id
    assert by_id[str(moodle.site["users"]["learner01"])]["email"]


GRADES = """
    select u.username, round(g.finalgrade, 2)
    from mdl_grade_grades g join mdl_grade_items i on i.id = g.itemid join mdl_user u on u.id = g.userid
    where i.itemname like '%%best score%%' and g.finalgrade is not null order by 1
"""


def test_best_scores_stand_in_moodle_s_gradebook(
    moodle: Moodle, bridge: Tree, tool: int, activity: int, visit: Visit
) -> None:
    for _ in range(2):  # again changes nothing
        ran = bridge.run("lti", "grades", moodle.url, "--program", "sales-calls", check=False, timeout=PATIENCE_SECONDS)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        found = moodle.rows(GRADES)
        assert [(name, float(grade)) for name, grade in found] == [("learner01", 10.0), ("learner02", 20.0)]
    teacher = visit("teacher1")
    teacher.go(f"/grade/report/grader/index.php?id={moodle.site['courses']['SALES']['id']}")
    assert "Better sales calls: best score" in teacher.text()
    teacher.browser.run("window.scrollTo(10000, 0)")
    teacher.shot("lti-8-teacher-gradebook")


# --- attacks ----------------------------------------------------------------------------------------------------------

CLAIM = "https://purl.imsglobal.org/spec/lti/claim"
ROLES = f"{CLAIM}/roles"


@dataclass
class Captured:
    """A launch that Moodle signed, caught on its way from the browser to us."""

    address: str
    form: dict[str, str]

    @property
    def token(self) -> str:
        return self.form["id_token"]

    @property
    def claims(self) -> dict[str, Any]:
        return jwt.decode(self.token, options={"verify_signature": False})

    def with_token(self, token: str) -> dict[str, str]:
        return self.form | {"id_token": token}


def message_of(web: requests.Session, moodle: Moodle, activity: int) -> Captured:
    """Let Moodle sign a launch for whoever is signed in; gives what their browser would send us."""
    launch = f"{moodle.url}/mod/lti/launch.php?id={activity}"
    to_us = form(web.get(launch, timeout=60).text, launch)
    signed = web.post(to_us[0], data=to_us[1], timeout=60)  # our login leads back to Moodle, which signs
    assert signed.url.startswith(f"{moodle.url}/mod/lti/auth.php"), signed.text
    return Captured(*form(signed.text, signed.url))


@dataclass(frozen=True)
class Keys:
    """Moodle's own key, and one that somebody made up."""

    private: str
    kid: str
    made_up: rsa.RSAPrivateKey

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Sign as Moodle does."""
        return jwt.encode(dict(claims), self.private, "RS256", {"kid": self.kid})


@pytest.fixture(scope="module")
def keys(moodle: Moodle) -> Keys:
    found = dict(moodle.rows("select name, value from mdl_config_plugins where plugin = 'mod_lti'"))
    made_up = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return Keys(found["privatekey"], found["kid"], made_up)


def unsigned(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(dict(part)).encode()).decode().rstrip("=")


def altered(token: str, **claims: Any) -> str:
    """Change what a token says and leave its signature as it is."""
    head, _, signature = token.split(".")
    told = jwt.decode(token, options={"verify_signature": False}) | claims
    return f"{head}.{unsigned(told)}.{signature}"


def public_key(keys: Keys) -> bytes:
    """Give Moodle's public key as text, which a careless tool would take for a secret."""
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(keys.private.encode(), None).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def by_hmac(captured: Captured, keys: Keys) -> str:
    import hashlib
    import hmac

    text = f"{unsigned({'typ': 'JWT', 'alg': 'HS256', 'kid': keys.kid})}.{unsigned(captured.claims)}"
    signature = hmac.new(public_key(keys), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


Forge = Callable[[Captured, Keys], str]
SIGNATURE = "not signed by any of the platform's keys"
FORGED: dict[str, tuple[Forge, str]] = {
    # Altered on the way; the signature is Moodle's.
    "learner made teacher": (lambda c, _: altered(c.token, **{ROLES: [f"{CLAIM}/membership#Instructor"]}), SIGNATURE),
    "somebody else": (lambda c, _: altered(c.token, sub="2"), SIGNATURE),
    "signature cut": (lambda c, _: c.token[:-8] + "AAAAAAAA", SIGNATURE),
    # Signed by somebody else.
    "wrong key": (lambda c, k: jwt.encode(c.claims, k.made_up, "RS256", {"kid": k.kid}), SIGNATURE),
    "wrong key, unknown by name": (lambda c, k: jwt.encode(c.claims, k.made_up, "RS256", {"kid": "mine"}), SIGNATURE),
    "alg none": (lambda c, _: f"{unsigned({'alg': 'none', 'typ': 'JWT'})}.{unsigned(c.claims)}.", "RS256"),
    "alg none, with the key's name": (
        lambda c, k: f"{unsigned({'alg': 'none', 'typ': 'JWT', 'kid': k.kid})}.{unsigned(c.claims)}.",
        "RS256",
    ),
    "HS256 by the public key": (by_hmac, "RS256"),
    # Signed by Moodle itself, but for one claim as it was.
    "another nonce": (lambda c, k: k.sign(c.claims | {"nonce": "made-up"}), "nonce"),
    "no nonce": (lambda c, k: k.sign({n: v for n, v in c.claims.items() if n != "nonce"}), "nonce"),
    "another audience": (lambda c, k: k.sign(c.claims | {"aud": "another-tool"}), "client id"),
    "two audiences and no azp": (lambda c, k: k.sign(c.claims | {"aud": [c.claims["aud"], "x"]}), "azp"),
    "azp of another tool": (lambda c, k: k.sign(c.claims | {"azp": "another-tool"}), "azp"),
    "another issuer": (lambda c, k: k.sign(c.claims | {"iss": "https://moodle.example.com"}), "issuer"),
    "expired": (lambda c, k: k.sign(c.claims | {"exp": int(time.time()) - 60}), "expired"),
    "no end": (lambda c, k: k.sign({n: v for n, v in c.claims.items() if n != "exp"}), "exp"),
    "made long ago": (lambda c, k: k.sign(c.claims | {"iat": int(time.time()) - 3600}), "too old"),
    "made in the future": (lambda c, k: k.sign(c.claims | {"iat": int(time.time()) + 3600}), "clock"),
    "unknown deployment": (lambda c, k: k.sign(c.claims | {f"{CLAIM}/deployment_id": "999"}), "deployment"),
    "leads to another host": (
        lambda c, k: k.sign(c.claims | {f"{CLAIM}/target_link_uri": "https://evil.example.com/lti/launch"}),
        "does not lead to",
    ),
    "LTI 2.0": (lambda c, k: k.sign(c.claims | {f"{CLAIM}/version": "2.0"}), "version"),
    "no subject": (lambda c, k: k.sign({n: v for n, v in c.claims.items() if n != "sub"}), "sub"),
    "no token at all": (lambda _c, _k: "", "message is not valid"),
}
"""What is sent in place of the message, and what the page says of it."""


def sessions(bridge: Tree) -> int:
    servers = running(bridge.data_dir)
    assert servers is not None
    url = make_url(servers.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        return int(connection.execute("select count(*) from lti_session").fetchall()[0][0])


@contextmanager
def opening_nothing(bridge: Tree) -> Iterator[None]:
    """What is done in the block opens no session."""
    before = sessions(bridge)
    yield
    assert sessions(bridge) == before


def assert_refused(answer: requests.Response, says: str, *, status: int = 403, hidden: tuple[str, ...] = ()) -> None:
    """The page says what is wrong, to whoever has to mend it, and gives away nothing of what was sent or is here."""
    text = " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())
    assert answer.status_code == status, text
    assert "This page could not be opened" in text
    assert says in text, text
    for secret in ("Learner0", "Tina", "@example.com", "Traceback", 'File "', "psycopg", "sales-calls", *hidden):
        assert secret not in answer.text, secret
    assert "lti-session" not in "; ".join(answer.headers.get("Set-Cookie", "").split())


def test_what_was_forged_out_of_moodle_s_own_messages_opens_nothing(
    moodle: Moodle, bridge: Tree, activity: int, keys: Keys
) -> None:
    with signed_in(moodle, "teacher1") as web:
        for name, (forge, says) in FORGED.items():
            captured = message_of(web, moodle, activity)
            token = forge(captured, keys)
            hidden = (*(part for part in token.split(".") if part), captured.form["state"])
            with opening_nothing(bridge):
                answer = web.post(captured.address, data=captured.with_token(token), allow_redirects=False, timeout=60)
                try:
                    assert_refused(answer, says, hidden=hidden)
                except AssertionError as err:
                    raise AssertionError(f"{name}: {err}") from err
                # The state was good for one try: the message that was caught cannot be used after it either.
                again = web.post(captured.address, data=captured.form, allow_redirects=False, timeout=60)
                assert_refused(again, "was used before", hidden=hidden)
        # All this refused what was forged, and nothing else: as it came from Moodle it opens the page.
        captured = message_of(web, moodle, activity)
        resigned = captured.with_token(keys.sign(captured.claims))
        assert web.post(captured.address, data=resigned, allow_redirects=False, timeout=60).status_code == 303


def test_what_moodle_signed_is_good_once_in_the_browser_that_asked_for_it(
    moodle: Moodle, bridge: Tree, activity: int, keys: Keys
) -> None:
    with signed_in(moodle, "teacher1") as web, requests.Session() as stranger:
        captured = message_of(web, moodle, activity)
        assert captured.address == f"{bridge.endpoint['url'].rstrip('/')}/lti/launch"
        with opening_nothing(bridge):
            # Another browser has no cookie of the login; it is offered to begin a login of its own.
            answer = stranger.post(captured.address, data=captured.form, timeout=60)
            assert "Open in a new window" in answer.text
            assert "lti-session" not in str(answer.headers)
            # Nor does it help to make up what the browser keeps, or to send no state, or one that nobody was given.
            short = captured.form["state"].removeprefix("state-")[:12]
            for cookies, form_ in (
                ({f"lti-{short}": "made-up"}, captured.form),
                ({}, captured.form | {"browser": "made-up"}),
                (web.cookies.get_dict(), captured.form | {"state": ""}),
                (web.cookies.get_dict(), {"id_token": captured.token}),
                (web.cookies.get_dict(), captured.form | {"state": "state-made-up"}),
            ):
                answer = stranger.post(captured.address, data=form_, cookies=cookies, timeout=60)
                assert_refused(answer, "was not begun in this browser", hidden=(captured.token,))
        assert web.post(captured.address, data=captured.form, allow_redirects=False, timeout=60).status_code == 303
        with opening_nothing(bridge):
            again = web.post(captured.address, data=captured.form, allow_redirects=False, timeout=60)
            assert_refused(again, "was used before", hidden=(captured.token,))
            # The same message under a login of its own: its nonce was that of the first.
            second = message_of(web, moodle, activity)
            mixed = second.with_token(captured.token)
            assert_refused(web.post(second.address, data=mixed, timeout=60), "nonce", hidden=(captured.token,))
            # Nor is the state of one login good with the message of another.
            third, fourth = message_of(web, moodle, activity), message_of(web, moodle, activity)
            assert_refused(web.post(third.address, data=third.with_token(fourth.token), timeout=60), "nonce")
        # A learner who catches a teacher's message has no use of it in a browser of their own.
        with signed_in(moodle, "learner01") as learner:
            own, caught = message_of(learner, moodle, activity), message_of(web, moodle, activity)
            with opening_nothing(bridge):
                taken = learner.post(own.address, data=own.with_token(caught.token), timeout=60)
                assert_refused(taken, "nonce", hidden=("Learner02",))


def test_logins_that_no_platform_of_ours_begins_lead_nowhere(
    moodle: Moodle, bridge: Tree, activity: int, visit: Visit, keys: Keys
) -> None:
    url = bridge.endpoint["url"].rstrip("/")
    login, ours = f"{url}/lti/login", f"{url}/lti/launch"
    right = {"iss": moodle.url, "login_hint": "2", "target_link_uri": ours}
    wrong: dict[str, tuple[dict[str, str], str]] = {
        "unknown issuer": (right | {"iss": "https://evil.example.com"}, "not registered here"),
        "no issuer": ({name: value for name, value in right.items() if name != "iss"}, "not registered here"),
        "unknown client": (right | {"client_id": "another-tool"}, "not registered here"),
        "another host": (right | {"target_link_uri": "https://evil.example.com/lti/launch"}, "does not lead to"),
        "another port": (right | {"target_link_uri": "http://127.0.0.1:1/lti/launch"}, "does not lead to"),
        "our host as a user": (
            right | {"target_link_uri": ours.replace("://", "://evil.example.com@", 1)},
            "does not lead to",
        ),
        "another page of ours": (right | {"target_link_uri": f"{url}/programs/sales-calls"}, "does not lead to"),
        "no target": ({name: value for name, value in right.items() if name != "target_link_uri"}, "does not lead to"),
        "no login hint": ({name: value for name, value in right.items() if name != "login_hint"}, "login hint"),
        "endless": (right | {"login_hint": "x" * 5000}, "too long"),
    }
    with opening_nothing(bridge):
        for name, (sent, says) in wrong.items():
            for method, status in (("GET", 400), ("POST", 403)):
                how = {"params": sent} if method == "GET" else {"data": sent}
                answer = requests.request(method, login, **how, allow_redirects=False, timeout=60)  # type: ignore[arg-type]
                assert "Location" not in answer.headers, name
                assert_refused(answer, says, status=status, hidden=("evil.example.com", "another-tool"))
        invitation = json.loads(bridge.run("lti", "invite", moodle.url, "--json").stdout)["address"]
        for address, says in (
            (
                f"{invitation}?openid_configuration=https://evil.example.com/conf",
                "not an https:// address on the invited",
            ),
            (invitation, "This address is for your LMS"),
            (f"{url}/lti/configure/made-up?openid_configuration={moodle.url}/c", "invitation is not known"),
        ):
            assert_refused(requests.get(address, timeout=60), says, status=400, hidden=("evil.example.com",))

    # As an admin sees it who has made a mistake.
    admin = visit("admin")
    for number, name in enumerate(("unknown issuer", "another host", "no login hint"), 1):
        admin.browser.go(f"{login}?{urlencode(wrong[name][0])}")
        assert wrong[name][1] in admin.text()
        admin.shot(f"lti-9-{number}-refused")
    with signed_in(moodle, "teacher1") as web:
        captured = message_of(web, moodle, activity)
        forged = captured.with_token(keys.sign(captured.claims | {f"{CLAIM}/deployment_id": "999"}))
        page = web.post(captured.address, data=forged, timeout=60)
        (admin.shots / "lti-10-refused.html").write_text(page.text)
