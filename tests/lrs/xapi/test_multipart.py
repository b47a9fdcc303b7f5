"""Multipart bodies of statements: xAPI 1.0.3, Communication 1.5.2; RFC 2046, section 5.1."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xapi_samples import attachment, nested, part, sha256, statement

from lrs.errors import Invalid
from lrs.xapi import multipart, validation
from lrs.xapi.multipart import Attached, Received
from lrs.xapi.structs import Statement
from lrs.xapi.versions import Version

TYPE = "multipart/mixed; boundary=b"
JSON = part(b"{}", "Content-Type: application/json")
DATA = b"here is a simple attachment"


def body(*parts: bytes) -> bytes:
    return b"".join(b"--b\r\n" + one + b"\r\n" for one in parts) + b"--b--\r\n"


def attached(data: bytes, *more: str) -> bytes:
    return part(data, "Content-Transfer-Encoding: binary", f"X-Experience-API-Hash: {sha256(data)}", *more)


def receive(sent: bytes, content_type: str | None = TYPE) -> Received:
    return multipart.receive(sent, content_type)


def read(data: dict[str, Any], *hashes: str) -> Statement:
    return validation.validate(json.dumps(data).encode(), Version.ONE, attached=hashes)


def refusal(sent: bytes, content_type: str | None = TYPE) -> Invalid:
    with pytest.raises(Invalid) as refused:
        receive(sent, content_type)
    assert refused.value.rule
    return refused.value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"\r",
        b"\n--b\n",  # bare line ends are data
        b"x\r--b\rx",
        b"\r\n\r\n-b",
        bytes(range(256)) * 4,
    ],
)
def test_bytes_come_out_as_they_were_sent(data: bytes) -> None:
    received = receive(body(JSON, attached(data)))

    assert bytes(received.parts[sha256(data)].data) == data


@given(st.lists(st.binary(max_size=200).filter(lambda data: b"\r\n--b" not in b"\r\n" + data), max_size=4))
def test_any_bytes_come_out_as_they_were_sent(sent: list[bytes]) -> None:
    received = receive(body(JSON, *map(attached, sent)))

    assert {bytes(one.data) for one in received.parts.values()} == set(sent)


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 60))
def test_garbled_body_is_refused_and_nothing_worse(noise: bytes, at: int, length: int) -> None:
    whole = body(JSON, attached(DATA))

    try:
        receive(whole[:at] + noise + whole[at + length :])
    except Invalid as err:
        assert err.rule  # noqa: PT017  either outcome is right; a crash is not


def test_body_cut_off_anywhere_is_refused() -> None:
    whole = body(JSON, attached(DATA)).removesuffix(b"--\r\n")

    for length in range(len(whole)):
        refusal(whole[:length])


def test_preamble_epilogue_and_padding_mean_nothing() -> None:
    padded = body(JSON).replace(b"--b\r\n", b"--b \t\r\n")

    assert receive(b"hello\r\n" + padded + b"bye").texts
    assert receive(body(JSON).removesuffix(b"\r\n")).texts


def test_boundary_of_the_specifications_example_is_read() -> None:
    boundary = "abcABC0123'()+_,-./:=?"

    sent = body(JSON, attached(DATA)).replace(b"--b", b"--" + boundary.encode())

    assert receive(sent, f'multipart/mixed; boundary="{boundary}"').parts


def test_header_names_are_read_in_any_case_and_over_lines() -> None:
    first = part(b"{}", "CONTENT-TYPE:\r\n application/json;\r\n\tcharset=utf-8")

    assert receive(body(first)).texts


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "multipart/form-data; boundary=b",
        "multipart/mixed",
        "multipart/mixed; boundary=",
        f"multipart/mixed; boundary={'b' * 71}",
        'multipart/mixed; boundary="b "',
        "multipart/mixed; boundary=c",
    ],
)
def test_content_type_that_does_not_fit_is_refused(content_type: str | None) -> None:
    refusal(body(JSON), content_type)


@pytest.mark.parametrize(
    "first",
    [
        part(b"{}", "Content-Type: text/plain"),
        part(b"{}"),
        part(b"e30=", "Content-Type: application/json", "Content-Transfer-Encoding: base64"),
        part(b"{", "Content-Type: application/json"),
        b"",
    ],
)
def test_first_part_is_the_statements_as_json(first: bytes) -> None:
    refusal(body(first))
    refusal(b"--b--\r\n")


@pytest.mark.parametrize(
    "headers",
    [
        [f"X-Experience-API-Hash: {sha256(DATA)}"],
        [f"X-Experience-API-Hash: {sha256(DATA)}", "Content-Transfer-Encoding: base64"],
        ["Content-Transfer-Encoding: binary"],
        [f"X-Experience-API-Hash: {sha256(b'other')}", "Content-Transfer-Encoding: binary"],
        [f"X-Experience-API-Hash: {hashlib.sha1(DATA).hexdigest()}", "Content-Transfer-Encoding: binary"],  # noqa: S324
        [f"X-Experience-API-Hash: {'x' * 64}", "Content-Transfer-Encoding: binary"],
        [f"X-Experience-API-Hash: {sha256(DATA)}", "Content-Transfer-Encoding: binary", "no header"],
        [f"X-Experience-API-Hash: {sha256(DATA)}"] * 2 + ["Content-Transfer-Encoding: binary"],
        [f"X-Experience-API-Hash: {sha256(DATA)}", "Content-Transfer-Encoding: binary", f"X: {'x' * 9000}"],
    ],
)
def test_other_parts_say_binary_and_their_hash(headers: list[str]) -> None:
    refusal(body(JSON, part(DATA, *headers)))


@pytest.mark.parametrize("algorithm", ["sha224", "sha256", "sha384", "sha512"])
def test_any_sha2_is_known_by_its_length_and_read_in_any_case(algorithm: str) -> None:
    sha2 = hashlib.new(algorithm, DATA).hexdigest()
    sent = part(DATA, "Content-Transfer-Encoding: Binary", f"X-Experience-API-Hash: {sha2.upper()}")

    assert list(receive(body(JSON, sent)).parts) == [sha2]


def test_same_attachment_twice_is_one() -> None:
    assert len(receive(body(JSON, attached(DATA), attached(DATA))).parts) == 1


def test_lists_and_no_attachments_are_read() -> None:
    received = receive(body(part(b"[{},{}]", "Content-Type: application/json")))

    assert (len(received.texts), received.is_list, received.parts) == (2, True, {})


def test_large_attachment_is_not_copied() -> None:
    sent = body(JSON, attached(bytes(100_000)))

    assert receive(sent).parts[sha256(bytes(100_000))].data.obj is sent


def test_part_that_no_statement_names_is_refused() -> None:
    named = read(statement(attachments=[attachment(DATA)]), sha256(DATA))
    below = read(statement(object=nested(attachments=[attachment(b"2")])), sha256(b"2"))

    multipart.check_named([sha256(DATA), sha256(b"2")], [named, below])
    with pytest.raises(Invalid):
        multipart.check_named([sha256(DATA), sha256(b"3")], [named, below])


@pytest.mark.parametrize(
    ("header", "pointer"),
    [
        ("Content-Type: text/html", "/attachments/0/contentType"),
        ("Content-Type: text/plain; charset=utf-8", "/attachments/0/contentType"),
        ("Content-Length: 1", "/attachments/0/length"),
    ],
)
def test_header_and_property_say_the_same(header: str, pointer: str) -> None:
    received = receive(body(JSON, attached(DATA, header)))

    with pytest.raises(Invalid) as refused:
        multipart.check(read(statement(attachments=[attachment(DATA)]), sha256(DATA)), received.parts)

    assert refused.value.pointer == pointer


def test_notation_of_a_content_type_is_no_difference() -> None:
    received = receive(body(JSON, attached(DATA, "Content-Type: Text/Plain;charset=ascii", "Content-Length: 27")))
    named = attachment(DATA, contentType='text/plain; charset="ascii"')

    multipart.check(read(statement(attachments=[named]), sha256(DATA)), received.parts)


# --- writing ---------------------------------------------------------------------------------------------------------


def written(text: str, *attached: Attached) -> bytes:
    length, pieces = multipart.write(text, attached, boundary="b")
    whole = b"".join(pieces)
    assert len(whole) == length
    return whole


def test_what_is_written_can_be_read() -> None:
    out = Attached(sha256(DATA), "text/plain", len(DATA), iter([DATA[:5], DATA[5:]]))

    received = receive(written('{"é":1}', out))

    assert bytes(received.texts[0]).decode() == '{"é":1}'
    assert bytes(received.parts[sha256(DATA)].data) == DATA
    assert received.parts[sha256(DATA)].content_type == "text/plain"


def test_without_attachments_it_is_multipart_too() -> None:
    assert receive(written("[]")).is_list


def test_content_type_of_a_client_adds_no_header_and_no_part() -> None:
    evil = "text/plain\r\n\r\n--b\r\nX-Experience-API-Hash: 00"

    received = receive(written("{}", Attached(sha256(DATA), evil, len(DATA), [DATA])))

    assert bytes(received.parts[sha256(DATA)].data) == DATA
