"""A folder on an SFTP server as a destination: replaced at once, and by nobody who may not."""

import pytest
from report_stores import ROWS, Sftp, load, report

from connectors import ConfigError, DestinationRefused, DestinationUnavailable


@pytest.fixture
def sftp(tmp_path):
    made = Sftp(tmp_path)
    yield made
    made.close()


def test_leftovers_of_other_reports_are_left_alone(sftp):
    load(sftp).push(report())
    (sftp.folder / ".team-b.csv.0011223344556677.tmp").touch()
    (sftp.folder / ".team.csv.0011223344556677.tmp").touch()

    load(sftp).push(report())

    assert [name for name in sftp.files() if name.startswith(".")] == [".team-b.csv.0011223344556677.tmp"]


def test_reader_of_an_sftp_server_never_sees_half_a_file(sftp):
    load(sftp).push(report())
    before = sftp.files()
    seen = []
    sftp.server.while_written = lambda _: seen.append({n: d for n, d in sftp.files().items() if n[0] != "."})

    load(sftp).push(report(ROWS[:1]))

    assert seen
    assert all(one == before for one in seen)


def test_files_on_an_sftp_server_are_for_owner_and_group(sftp):
    load(sftp).push(report())

    assert {path.stat().st_mode & 0o777 for path in sftp.folder.iterdir()} == {0o640}


def test_sftp_server_that_cannot_replace_a_file_at_once_is_refused(sftp):
    sftp.server.replaces = False
    load(sftp).push(report())  # there is nothing to replace yet
    before = sftp.files()

    with pytest.raises(DestinationRefused, match=r"posix-rename@openssh\.com"):
        load(sftp).push(report(ROWS[:1]))

    assert {name: data for name, data in sftp.files().items() if name[0] != "."} == before


def test_sftp_server_that_lets_nobody_write_is_a_matter_for_its_admin(sftp):
    sftp.server.writable = False
    (sftp.tmp_path / "server/reports/new").mkdir(parents=True)

    with pytest.raises(DestinationRefused, match="may not be written by 'exports'"):
        load(sftp).push(report())


def test_full_sftp_server_is_tried_again(sftp):
    sftp.server.full = True

    with pytest.raises(DestinationUnavailable, match=r"sftp://127\.0\.0\.1"):
        load(sftp).push(report())


@pytest.mark.parametrize(
    ("make", "keys", "path", "told"),
    [
        (Sftp, {"path": "out"}, ("path",), "Write it like sftp://user@host/folder"),
        (Sftp, {"access": {"host_key": "x"}}, ("access", "host_key"), "not the key of a server"),
        (Sftp, {"formats": ["xml"]}, ("formats", 0), "There is no format 'xml'"),
    ],
)
def test_fault_in_the_document_is_told_at_its_key(tmp_path, make, keys, path, told):
    store = make(tmp_path)
    try:
        with pytest.raises(ConfigError) as caught:
            load(store, **keys)
    finally:
        store.close()

    assert [fault.path for fault in caught.value.faults][:1] == [path]
    assert told in f"{caught.value.text} {caught.value.remedy}"
