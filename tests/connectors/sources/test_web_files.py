"""A CSV file on the web: only when it has changed, only whole, only from where the document says."""

import errno
import gzip
import os
import tempfile
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
import responses

from connectors import SourceBroken, SourceRefused, SourceUnavailable

URL = "https://files.example.com/export/tickets.csv?token=s3cret"
GOOD = b"id,owner\n1,ann\n2,bob\n"


@pytest.fixture
def web():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def test_file_is_fetched_and_read(web, source, pull):
    web.get(URL, body=GOOD)

    pulled = pull(source(path=URL))

    assert [row.key for row in pulled.rows] == ["1", "2"]
    assert web.calls[0].request.headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in web.calls[0].request.headers


def test_password_in_netrc_is_not_sent(web, source, pull, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("default login me password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    web.get(URL, body=GOOD)

    pull(source(path=URL))

    assert "Authorization" not in web.calls[0].request.headers


@pytest.mark.parametrize(
    ("url", "proxies"),
    [
        (
            "http://127.0.0.1:8000/a.csv",
            {"http": "", "https": ""},
        ),  # a proxy for the outside world does not know our loopback
        (URL, {"http": "http://proxy.example.com:3128", "https": "http://proxy.example.com:3128"}),
    ],
)
def test_proxy_of_the_environment_is_for_others_only(web, source, pull, monkeypatch, url, proxies):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://proxy.example.com:3128")
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    web.get(url, body=GOOD)

    pull(source(path=url))

    assert dict(web.calls[0].request.req_kwargs["proxies"]) == proxies


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a.csv", "http://localhost:9/a.csv"])
def test_private_address_is_called_only_by_name(source, pull, url):
    with pytest.raises(SourceRefused, match="allow_private"):
        pull(source(path=url))
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        pull(source(path=url, allow_private=["127.0.0.1", "LOCALHOST"]))


def test_server_is_asked_for_changes_only(web, source, pull):
    web.get(URL, body=GOOD, headers={"ETag": '"v1"', "Last-Modified": "Fri, 20 Nov 2026 10:00:00 GMT"})
    state = pull(source(path=URL)).state
    web.replace(responses.GET, URL, status=304)

    assert pull(source(path=URL), state).pages == 0
    assert web.calls[1].request.headers["If-None-Match"] == '"v1"'
    assert web.calls[1].request.headers["If-Modified-Since"] == "Fri, 20 Nov 2026 10:00:00 GMT"


def test_changed_document_asks_for_everything(web, source, pull):
    web.get(URL, body=GOOD, headers={"ETag": '"v1"'})
    state = pull(source(path=URL)).state

    assert len(pull(source(path=URL, nulls=["", "?"]), state).rows) == 2
    assert "If-None-Match" not in web.calls[1].request.headers


def test_same_bytes_give_nothing_even_when_the_server_does_not_say_so(web, source, pull):
    web.get(URL, body=GOOD, headers={"ETag": '"v1"'})
    state = pull(source(path=URL)).state
    web.replace(responses.GET, URL, body=GOOD, headers={"ETag": '"v2"'})

    assert pull(source(path=URL), state).pages == 0


@pytest.mark.parametrize(
    ("keys", "headers"),
    [
        ({"compression": "gzip"}, {}),  # the file is packed
        ({"compression": "none"}, {"Content-Encoding": "gzip"}),  # the server packs it
        ({"compression": "gzip"}, {"Content-Encoding": "gzip"}),  # the server says of a packed file that it packed it
    ],
)
def test_packed_file_is_unpacked_once_whoever_packed_it(web, source, pull, keys, headers):
    web.get(URL, body=gzip.compress(GOOD), headers=headers)

    assert len(pull(source(path=URL, **keys)).rows) == 2


def test_other_packing_is_refused(web, source, pull):
    web.get(URL, body=GOOD, headers={"Content-Encoding": "br"})

    with pytest.raises(SourceRefused, match="sends 'br'"):
        pull(source(path=URL))


def test_truncated_gzip_is_left_for_later(web, source, pull):
    web.get(URL, body=gzip.compress(GOOD)[:-4])

    with pytest.raises(SourceUnavailable, match="its gzip data stop half-way"):
        pull(source(path=URL, compression="gzip"))


def test_answer_shorter_than_announced_is_left_for_later(web, source, pull):
    web.get(URL, body=GOOD, headers={"Content-Length": "100"}, auto_calculate_content_length=False)

    with pytest.raises(SourceUnavailable, match="stopped half-way"):
        pull(source(path=URL))


def test_last_row_needs_no_line_end_since_the_server_says_how_long_it_is(web, source, pull):
    web.get(URL, body=GOOD.rstrip())

    assert len(pull(source(path=URL)).rows) == 2


@pytest.mark.parametrize(
    "to",
    [
        "https://files.example.com/v2/tickets.csv",
        "/v2/tickets.csv",  # relative
        "https://files.example.com:443/v2/tickets.csv",  # the same, said aloud
    ],
)
def test_redirect_within_the_host_is_followed(web, source, pull, to):
    web.get(URL, status=302, headers={"Location": to})
    web.get("https://files.example.com/v2/tickets.csv", body=GOOD)
    web.get("https://files.example.com:443/v2/tickets.csv", body=GOOD)

    assert len(pull(source(path=URL)).rows) == 2


@pytest.mark.parametrize(
    "to",
    [
        "https://files.example.org/tickets.csv",  # another host
        "http://files.example.com/tickets.csv",  # in the clear
        "https://files.example.com:8443/tickets.csv",  # another server on the host
        "http://127.0.0.1/tickets.csv",  # our own services
        "file:///etc/passwd",
        "https://files.example.com:x/",  # no address at all
    ],
)
def test_redirect_away_is_refused(web, source, pull, to):
    web.get(URL, status=302, headers={"Location": to})

    with pytest.raises(SourceRefused, match="which we do not follow"):
        pull(source(path=URL))

    assert len(web.calls) == 1


def test_redirect_in_circles_is_refused(web, source, pull):
    web.get(URL, status=302, headers={"Location": URL})

    with pytest.raises(SourceRefused, match="in circles"):
        pull(source(path=URL))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_busy_server_is_tried_later(web, source, pull, status):
    web.get(URL, status=status, headers={"Retry-After": "7200"})

    with pytest.raises(SourceUnavailable, match=f"answered {status}") as caught:
        pull(source(path=URL))

    assert caught.value.retry_after == 7200  # never capped


def test_retry_after_may_be_a_date(web, source, pull):
    at = datetime.now(UTC) + timedelta(hours=1)
    web.get(URL, status=503, headers={"Retry-After": format_datetime(at, usegmt=True)})

    with pytest.raises(SourceUnavailable) as caught:
        pull(source(path=URL))

    assert 3590 < caught.value.retry_after <= 3600


@pytest.mark.parametrize("said", ["", "soon", "-5", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_retry_after_that_says_nothing_is_not_believed(web, source, pull, said):
    web.get(URL, status=503, headers={"Retry-After": said})

    with pytest.raises(SourceUnavailable) as caught:
        pull(source(path=URL))

    assert not caught.value.retry_after


@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "key and secret"), (403, "permission"), (404, "Check the address"), (418, "address")]
)
def test_no_is_told_with_what_the_server_said_and_without_the_token(web, source, pull, status, remedy):
    web.get(URL, status=status, body="Go away,\nplease. " + "x" * 1000)

    with pytest.raises(SourceRefused, match=remedy) as caught:
        pull(source(path=URL))

    assert caught.value.status == status
    assert "Go away, please." in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "failure", [requests.ConnectionError("s3cret"), requests.Timeout(), requests.exceptions.ChunkedEncodingError()]
)
def test_server_that_is_away_is_tried_later(web, source, pull, failure):
    web.get(URL, body=failure)

    with pytest.raises(SourceUnavailable, match="cannot be reached, or stopped half-way") as caught:
        pull(source(path=URL))

    assert "s3cret" not in str(caught.value)


def test_page_of_a_log_in_form_is_no_table(web, source, pull):
    web.get(URL, body=b"<!doctype html>\n<title>Log in</title>\n", content_type="text/html")

    with pytest.raises(SourceBroken, match="no column 'id'") as caught:
        pull(source(path=URL))

    assert "s3cret" not in str(caught.value)


def test_want_of_room_for_the_download_is_told(web, source, pull, monkeypatch):
    web.get(URL, body=GOOD)

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)

    with pytest.raises(SourceUnavailable, match=r"There is no room .* set TMPDIR"):
        pull(source(path=URL))
