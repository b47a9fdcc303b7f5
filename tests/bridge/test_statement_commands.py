"""`lrs-bridge statement`: in from files and from another LRS, out to files; told, resumed, and nothing twice."""

import gzip
import json
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from flask import Flask
from redis import Redis
from rq import Queue
from sqlalchemy import create_engine, select, text
from werkzeug.serving import make_server
from xapi_samples import ANA, BAO, COURSE, ID, OTHER_ID, statement, voiding

import lrs
from bridge import cli, context
from bridge.app import create_app
from bridge.commands import bulk as storing
from bridge.embedded import Servers
from bridge.settings import Settings
from connectors import lrs as remote
from lrs import bulk, db
from lrs.models import Statement

Call = Callable[..., Result]


class _Door(click.Command):
    """The command as a person enters it: with what `main` makes of errors."""

    def main(self, *_: Any, **__: Any) -> None:
        cli.main()


@pytest.fixture
def call(app: Flask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Run `lrs-bridge statement ...` in this process, on the test's servers."""
    for variable, value in context.settings().to_mapping().items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr("bridge.app.create_app", lambda _: app)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path, stdin: bytes | None = None) -> Result:
        db.session.rollback()
        monkeypatch.setattr(sys, "argv", ["lrs-bridge", "statement", *map(str, arguments)])
        return CliRunner().invoke(_Door("lrs-bridge"), input=stdin)

    return run


@pytest.fixture
def batches_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BATCH", 2)


def summary(result: Result) -> dict[str, Any]:
    return json.loads(result.stdout)


def counts(result: Result) -> tuple[int, int, int]:
    assert result.stdout, (result.stderr, result.exception)
    found = summary(result)
    return found["stored"], found["already_stored"], found["rejected"]


def stored() -> list[dict[str, Any]]:
    db.session.rollback()
    return [json.loads(one) for one in db.session.scalars(select(Statement.payload).order_by(Statement.seq))]


def people(*names: object) -> list[dict[str, Any]]:
    """Give a statement for each."""
    return [statement(actor={"mbox": f"mailto:{name}@example.com"}) for name in names]


def named() -> list[str]:
    return [one["actor"]["mbox"].removeprefix("mailto:").partition("@")[0] for one in stored()]


def lines(statements: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in statements)


# --- import ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("array", [False, True], ids=["lines", "array"])
@pytest.mark.parametrize("piped", [False, True], ids=["file", "stdin"])
def test_every_form_is_known_by_its_content(
    call: Call, tmp_path: Path, *, packed: bool, array: bool, piped: bool, batches_of_two: None
) -> None:
    content = json.dumps(people(1, 2, 3)).encode() if array else lines(people(1, 2, 3))
    content = gzip.compress(content) if packed else content
    (tmp_path / "file").write_bytes(content)

    result = call("import", "-", "--json", stdin=content) if piped else call("import", tmp_path / "file", "--json")

    assert (result.exit_code, counts(result)) == (0, (3, 0, 0))
    assert named() == ["1", "2", "3"]


def test_a_file_imported_again_stores_nothing_also_in_another_form(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(lines([*people("same", "same"), statement(id=ID)]))

    first, again = call("import", file, "--json"), call("import", file, "--json")
    packed = call("import", "-", "--json", stdin=gzip.compress(file.read_bytes()))

    assert (counts(first), counts(again), counts(packed)) == ((3, 0, 0), (0, 3, 0), (0, 3, 0))


def test_a_file_that_has_grown_brings_what_is_new(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(lines(people(1, 2)))
    call("import", file)
    file.write_bytes(lines(people(1, 2, 3)))

    assert counts(call("import", file, "--json")) == (1, 2, 0)


def test_what_is_refused_goes_to_a_file_of_its_own_with_the_reasons(call: Call, tmp_path: Path) -> None:
    call("import", "-", stdin=lines([statement(id=ID)]))
    file = tmp_path / "file"
    file.write_bytes(b'{"bad": 1.50}\n{"torn\n' + lines([statement(id=ID, actor=BAO), *people(1)]))

    result = call("import", file, "--json")

    rejects = tmp_path / "file.rejected.jsonl"
    assert (result.exit_code, counts(result)) == (1, (1, 0, 3))
    assert summary(result)["rejects"] == str(rejects)
    rows = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [row["index"] for row in rows] == [0, 1, 2]
    assert [row["statement"] for row in rows] == [{"bad": 1.5}, '{"torn', statement(id=ID, actor=BAO)]
    assert [row["reasons"][0]["index"] for row in rows] == [0, 1, 2]
    assert rows[2]["reasons"][0]["pointer"] == "/id"
    assert all(reason["rule"] for row in rows for reason in row["reasons"])
    assert '"bad": 1.50' in rejects.read_text()
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600


@pytest.mark.parametrize("indent", [None, 2])
def test_a_saved_answer_is_told_from_a_statement(call: Call, tmp_path: Path, indent: int | None) -> None:
    answer = {"statements": people(1, 2), "more": ""}
    (tmp_path / "file").write_text(json.dumps(answer, indent=indent))

    result = call("import", tmp_path / "file", "--json")

    assert (result.exit_code, counts(result)) == (1, (0, 0, 1))
    [reason] = json.loads((tmp_path / "file.rejected.jsonl").read_text())["reasons"]
    assert reason["error"] == "This is no statement, but an answer that holds 2 of them."
    assert "jq .statements" in reason["remedy"]


def test_no_file_of_rejects_is_made_when_there_are_none(call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(lines(people(1)))

    assert summary(call("import", tmp_path / "file", "--json"))["rejects"] is None
    assert [path.name for path in tmp_path.glob("*")] == ["file"]


def interrupt_after(batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C in the middle of a batch, after so many."""
    real = storing.bulk.keep
    kept = []

    def keep(*arguments: Any) -> None:
        real(*arguments)
        kept.append(1)
        if len(kept) > batches:
            monkeypatch.setattr(storing.bulk, "keep", real)
            raise KeyboardInterrupt

    monkeypatch.setattr(storing.bulk, "keep", keep)


def test_an_interrupted_import_goes_on_where_it_was(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches_of_two: None
) -> None:
    file = tmp_path / "file"
    content = people(1, 2, 3, 4, 5, 6)
    content[1], content[2], content[4] = ({"bad": number} for number in (1, 2, 4))
    file.write_bytes(lines(content))
    interrupt_after(1, monkeypatch)

    torn = call("import", file, "--json")
    whole = call("import", file, "--json")

    assert (torn.exit_code, counts(torn)) == (1, (2, 0, 2))  # the batch under way is counted, and rolled back
    assert "The same command goes on from here" in torn.stderr
    assert (whole.exit_code, counts(whole), summary(whole)["resumed_at"]) == (1, (3, 0, 3), 2)
    assert named() == ["1", "4", "6"]
    rejects = (tmp_path / "file.rejected.jsonl").read_text().splitlines()
    assert [json.loads(line)["statement"] for line in rejects] == [{"bad": 1}, {"bad": 2}, {"bad": 4}]
    assert summary(call("import", file, "--json"))["resumed_at"] == 0  # it is done: the next begins anew


def test_a_file_that_was_changed_before_the_place_begins_anew(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches_of_two: None
) -> None:
    file = tmp_path / "file"
    padding = [people(0)[0] | {"object": {"id": COURSE + "x" * 70_000}}]  # longer than what names a file
    file.write_bytes(lines(padding + people(1, 2, 3, 4, 5)))
    interrupt_after(2, monkeypatch)
    call("import", file)
    file.write_bytes(lines(padding + people(7, 2, 3, 4, 5)))

    told, again = call("import", file), call("import", file, "--json")

    assert told.exit_code == 1
    assert "not what was being read" in told.stderr
    assert (again.exit_code, counts(again)[2]) == (0, 0)
    assert {"1", "2", "7", "5"} <= set(named())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (json.dumps(people(1, 2, 3)).encode()[:-30], "in the middle of a statement"),
        (gzip.compress(lines(people(1, 2, 3, *range(4000))))[:-500], "cannot be read any further"),
    ],
    ids=["array", "gzip"],
)
def test_what_comes_before_a_torn_end_is_stored(call: Call, content: bytes, said: str) -> None:
    result = call("import", "-", "--json", stdin=content)

    assert result.exit_code == 1
    assert said in result.stderr
    assert named()[:2] == ["1", "2"]


def test_workers_hear_of_what_was_imported(call: Call, app: Flask, servers: Servers) -> None:
    assert counts(call("import", "-", "--json", stdin=lines(people(1)))) == (1, 0, 0)

    with Redis.from_url(servers.redis_url) as broker:
        assert Queue("facts", connection=broker).count == 1


def test_statements_are_in_the_name_of_the_credential(call: Call, app: Flask) -> None:
    made = lrs.credentials.create(
        db.session, name="Old LRS", scopes=["statements/write"], secret_key=context.secret_key()
    )
    db.session.commit()

    assert call("import", "-", "--credential", made.key, stdin=lines(people(1))).exit_code == 0
    assert call("import", "-", stdin=lines(people(2))).exit_code == 0

    assert [one["authority"]["name"] for one in stored()] == ["Old LRS", "import"]
    wrong = call("import", "-", "--credential", made.key + "x", stdin=b"")
    assert (wrong.exit_code, "Did you mean" in wrong.stderr) == (2, True)


def test_a_file_that_is_not_there_is_a_wrong_call(call: Call) -> None:
    assert call("import", "nowhere").exit_code == 2


CANVAS = Path(__file__).parents[1] / "golden" / "canvas"


def live_events(name: str) -> list[dict[str, Any]]:
    return [case["event"] for case in json.loads((CANVAS / f"{name}.json").read_text())["cases"]]


def test_live_events_of_canvas_are_stored_as_statements_each_once(
    call: Call, tmp_path: Path, batches_of_two: None
) -> None:
    file = tmp_path / "events"
    file.write_bytes(lines([*live_events("graded"), *live_events("course-completed"), *live_events("graded")[:1]]))

    first = call("import", file, "--format", "caliper", "--json")
    again = call("import", file, "--format", "caliper", "--json")

    assert (first.exit_code, counts(first), counts(again)) == (0, (6, 1, 0), (0, 7, 0))
    assert summary(first)["rejects"] is None
    assert [one["verb"]["id"].rpartition("/")[2] for one in stored()] == ["scored"] * 5 + ["completed"]


def test_events_that_are_no_statements_are_told_with_the_reason_and_are_no_failure(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "events"
    created = {"metadata": {"event_name": "course_created", "hostname": "acme.instructure.com"}, "body": {}}
    file.write_bytes(lines([created, *live_events("viewed")]))

    result = call("import", file, "--format", "caliper", "--json")

    assert (result.exit_code, counts(result), summary(result)["not_converted"]) == (0, (3, 0, 0), 1)
    [row] = [json.loads(line) for line in (tmp_path / "events.rejected.jsonl").read_text().splitlines()]
    assert row["statement"] == created
    assert row["reasons"][0]["error"] == "course_created says nothing of a learner, or is not known here."


def test_what_is_no_event_at_all_and_no_valid_statement_is_refused(call: Call, tmp_path: Path) -> None:
    [torn, *_] = live_events("viewed")
    torn["data"][0]["eventTime"] = "yesterday"
    file = tmp_path / "events"
    file.write_bytes(b'{"torn\n42\n' + lines([torn]))

    result = call("import", file, "--format", "caliper", "--json")

    assert (result.exit_code, counts(result), summary(result)["not_converted"]) == (1, (0, 0, 3), 0)


def test_the_site_of_canvas_accounts_can_be_given(call: Call, tmp_path: Path) -> None:
    (tmp_path / "events").write_bytes(lines(live_events("viewed")))

    call("import", tmp_path / "events", "--format", "caliper", "--home-page", "https://learn.example.org")

    assert {one["actor"]["account"]["homePage"] for one in stored()} == {"https://learn.example.org"}
    result = call("import", tmp_path / "events", "--home-page", "https://learn.example.org")
    assert result.exit_code == 2
    assert "--home-page goes with --format caliper" in result.stderr


# --- export ----------------------------------------------------------------------------------------------------------


def test_what_is_exported_is_what_is_stored_in_both_forms(call: Call, tmp_path: Path) -> None:
    content = json.dumps(people(1, 2, 3), indent=1).encode()  # white space that clients send breaks no line
    call("import", "-", stdin=content)

    rows = [json.loads(line) for line in call("export").stdout.splitlines()]
    call("export", "--format", "json", "--gzip", "--out", tmp_path / "all.json.gz")

    assert rows == stored()
    assert json.loads(gzip.decompress((tmp_path / "all.json.gz").read_bytes())) == stored()
    assert stat.S_IMODE((tmp_path / "all.json.gz").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("*")] == ["all.json.gz"]


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_nothing_is_exported_as_nothing(call: Call, form: str) -> None:
    result = call("export", "--format", form)

    assert (result.exit_code, result.stdout.strip()) == (0, "[]" if form == "json" else "")


def test_exported_and_imported_is_the_same(call: Call, tmp_path: Path) -> None:
    call("import", "-", stdin=lines([*people(1, 2), statement(id=ID), voiding(ID, id=OTHER_ID)]))

    call("export", "--with-voided", "--out", tmp_path / "all")

    assert counts(call("import", tmp_path / "all", "--json")) == (0, 4, 0)


def test_filters_of_the_query_filter_the_export(call: Call) -> None:
    call("import", "-", stdin=lines([statement(id=ID), statement(id=OTHER_ID, actor=BAO, context={"instructor": ANA})]))

    def found(*filters: str) -> list[str]:
        return [json.loads(line)["id"] for line in call("export", *filters).stdout.splitlines()]

    assert found("--agent", json.dumps(ANA)) == [ID]
    assert found("--agent", json.dumps(ANA), "--related-agents") == [ID, OTHER_ID]
    assert found("--activity", COURSE, "--since", "2001-01-01T00:00:00Z") == [ID, OTHER_ID]
    assert found("--until", "2001-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    "filters",
    [("--agent", "ana"), ("--since", "yesterday"), ("--registration", "1"), ("--with-voided", "--verb", "a:b")],
)
def test_a_filter_that_is_none_is_a_wrong_call(call: Call, filters: tuple[str, ...]) -> None:
    result = call("export", *filters)

    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


# --- pull ------------------------------------------------------------------------------------------------------------


@dataclass
class Other:
    """Another LRS, over real HTTP."""

    app: Flask
    endpoint: str
    key: str
    secret: str

    def take(self, *statements: dict[str, Any]) -> None:
        self._call(json.dumps(statements).encode(), "application/json")

    def take_body(self, body: bytes, content_type: str) -> None:
        self._call(body, content_type)

    def _call(self, body: bytes, content_type: str) -> None:
        response = self.app.test_client().post(
            "/xapi/statements",
            data=body,
            content_type=content_type,
            auth=(self.key, self.secret),
            headers={"X-Experience-API-Version": "1.0.3"},
        )
        assert response.status_code == 200, response.text


@pytest.fixture(scope="module")
def other_app(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    server = create_engine(servers.database_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("create database other_lrs"))
    server.dispose()
    url = server.url.set(database="other_lrs").render_as_string(hide_password=False)
    made = create_app(
        Settings(
            database_url=url,
            redis_url=servers.redis_url,
            data_dir=tmp_path_factory.mktemp("other"),
            public_url="http://other.example.com",
        )
    )
    yield made
    with made.app_context():
        db.engine.dispose()


@pytest.fixture
def other(other_app: Flask) -> Iterator[Other]:
    with other_app.app_context():
        db.session.execute(text("truncate statement, mention, reference, term, credential cascade"))
        issued = lrs.credentials.create(db.session, name="reader", scopes=["all"], secret_key=context.secret_key())
        db.session.commit()
    server = make_server("127.0.0.1", 0, other_app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Other(other_app, f"http://127.0.0.1:{server.server_port}/xapi", issued.key, issued.secret)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def pull(call: Call, other: Other, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setenv("LRS_BRIDGE_PULL_SECRET", other.secret)
    monkeypatch.setattr(remote, "PAGE", 2)
    monkeypatch.setattr(remote, "FIRST_WAIT_SECONDS", 0.0)
    return lambda *more: call("pull", "--endpoint", other.endpoint, "--key", other.key, "--json", *more)


def test_all_statements_of_another_lrs_are_pulled_page_by_page(pull: Call, other: Other) -> None:
    exact = statement(id=ID, timestamp="2026-01-01T00:00:00.123456789Z", result={"duration": "PT1.230S"})
    other.take(*people(1, 2, 3), {**exact, "actor": people(4)[0]["actor"]})

    result = pull()

    assert (result.exit_code, counts(result)) == (0, (4, 0, 0))
    assert named() == ["1", "2", "3", "4"]
    last = stored()[-1]
    assert (last["timestamp"], last["result"]) == ("2026-01-01T00:00:00.123456789Z", {"duration": "PT1.230S"})
    assert last["authority"]["name"] == "import"
    assert summary(result)["rejects"] is None


def test_the_next_pull_brings_what_is_new(pull: Call, other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    other.take(*people(1, 2, 3))
    pull()
    other.take(*people(4))

    overlapping = pull()
    other.take(*people(5))
    monkeypatch.setattr(remote, "OVERLAP", remote.OVERLAP * 0)
    exact = pull()

    assert counts(overlapping) == (1, 3, 0), overlapping.stderr
    assert counts(exact) == (1, 0, 0)
    assert named() == ["1", "2", "3", "4", "5"]


def test_an_interrupted_pull_goes_on(pull: Call, other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    other.take(*people(*range(8)))
    interrupt_after(5, monkeypatch)

    torn, whole = pull(), pull()

    assert torn.exit_code == 1
    assert (whole.exit_code, summary(whole)["rejected"]) == (0, 0)
    assert sorted(named()) == list("01234567")


def test_an_id_that_means_another_statement_here_is_refused_and_told(
    pull: Call, call: Call, other: Other, tmp_path: Path
) -> None:
    call("import", "-", stdin=lines([statement(id=ID, actor=BAO)]))
    other.take(statement(id=ID), *people(2))

    result = pull()

    assert (result.exit_code, counts(result)) == (1, (1, 0, 1))
    [row] = [json.loads(line) for line in (tmp_path / "pull.rejected.jsonl").read_text().splitlines()]
    assert (row["statement"]["id"], row["reasons"][0]["pointer"]) == (ID, "/id")


def test_attachments_come_along(pull: Call, other: Other, app: Flask) -> None:
    attachment = {
        "usageType": "http://example.com/usage",
        "display": {"en": "a note"},
        "contentType": "text/plain",
        "length": 5,
        "sha2": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    }
    sent = json.dumps(statement(id=ID, attachments=[attachment])).encode()
    other.take_body(
        b"--b\r\nContent-Type: application/json\r\n\r\n" + sent + b"\r\n--b\r\nContent-Type: text/plain\r\n"
        b"Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: " + attachment["sha2"].encode() + b"\r\n\r\nhello"
        b"\r\n--b--\r\n",
        "multipart/mixed; boundary=b",
    )

    assert counts(pull()) == (1, 0, 0)
    assert bytes(db.session.scalar(text("select data from attachment")) or b"") == b"hello"


def test_an_lrs_that_is_away_is_tried_again_and_said_so(pull: Call, other: Other, call: Call) -> None:
    result = call("pull", "--endpoint", "http://127.0.0.1:9/xapi", "--key", "k", "--json")

    assert result.exit_code == 1
    assert [f"Try {number} of {remote.ATTEMPTS}" in result.stderr for number in range(1, 6)] == [True] * 4 + [False]


def test_a_wrong_secret_is_said_once_and_nothing_stored(
    pull: Call, other: Other, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other.take(*people(1))
    (tmp_path / "secret").write_text("wrong\n")

    result = pull("--secret-file", str(tmp_path / "secret"))

    assert result.exit_code == 1
    assert "Check the key and secret" in result.stderr
    assert stored() == []


def test_the_secret_of_another_lrs_is_no_argument(call: Call) -> None:
    assert call("pull", "--endpoint", "http://127.0.0.1:9/", "--key", "k", "--secret", "s").exit_code == 2
    assert "LRS_BRIDGE_PULL_SECRET" in call("pull", "--endpoint", "http://127.0.0.1:9/", "--key", "k").stderr


def test_nothing_is_pulled_in_the_clear(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRS_BRIDGE_PULL_SECRET", "s")

    result = call("pull", "--endpoint", "http://lrs.example.com/", "--key", "k")

    assert "in the clear" in result.stderr
    assert result.exit_code == 2


def test_an_endpoint_that_is_no_address_is_a_wrong_call(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRS_BRIDGE_PULL_SECRET", "s")

    result = call("pull", "--endpoint", "notaurl", "--key", "k")

    assert result.exit_code == 2
    assert "'notaurl' is not a web address." in result.stderr


# --- files that cannot be written -------------------------------------------------------------------------------------


def test_an_export_that_cannot_be_written_is_a_wrong_call(call: Call, tmp_path: Path) -> None:
    result = call("export", "--out", tmp_path / "missing" / "file")

    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"lrs-bridge: {tmp_path}/missing/file cannot be written: No such file or directory. Name another by --out."
    ]


@pytest.mark.parametrize("command", [["import", "file"], ["pull", "--endpoint", "http://127.0.0.1:9/", "--key", "k"]])
def test_rejects_that_cannot_be_written_are_told_before_the_work(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("LRS_BRIDGE_PULL_SECRET", "s")
    (tmp_path / "file").write_bytes(lines(people(1)))

    result = call(*command, "--rejects", tmp_path / "missing" / "rejects")

    assert result.exit_code == 2
    assert f"there is no folder {tmp_path}/missing. Name another by --rejects." in result.stderr
    assert stored() == []
