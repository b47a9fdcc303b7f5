"""Cutting streams into statements: any form, any chunks, nothing touched, and going on from any place."""

import json
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrs.errors import Invalid
from lrs.xapi.streams import HEAD_BYTES, START, Piece, Position, Stream

TEXTS = [
    rb'{"a":"x","n":1.000000000000000000010e+5}',
    rb'{"a":"brackets ]}[{ and \"quotes\" and \\","b":[{},[[]]]}',
    '{"a":"\\ud83d\\ude00 é \U0001f600"}'.encode(),
    rb'{"a":{"b":[1,2,{"c":null}]}}',
]
LIMIT = 10_000


def chunked(content: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def pieces(content: bytes, *, size: int = 7, after: Position = START, limit: int = LIMIT) -> list[Piece]:
    return list(Stream(chunked(content, size), max_statement_bytes=limit).after(after))


def texts(content: bytes, **options: int) -> list[bytes]:
    return [piece.text for piece in pieces(content, **options)]


FORMS = {
    "array": b"[" + b",".join(TEXTS) + b"]",
    "array over lines": b" \n[\n" + b"\n,\r\n ".join(TEXTS) + b"\n]\n",
    "lines": b"\n".join(TEXTS),
    "lines of Windows, some empty": b"\n" + b"\r\n\r\n".join(TEXTS) + b"\r\n",
    "with a byte order mark": b"\xef\xbb\xbf" + b"\n".join(TEXTS),
    "array with a byte order mark": b"\xef\xbb\xbf[" + b",".join(TEXTS) + b"]",
}


@pytest.mark.parametrize("size", [1, 2, 3, 64, 100_000])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_texts_as_they_are(form: str, size: int) -> None:
    assert texts(FORMS[form], size=size) == TEXTS


def test_one_statement_written_for_people_is_one() -> None:
    written = json.dumps(json.loads(TEXTS[3]), indent=2).encode()

    assert texts(written) == [written]
    assert texts(written + b"\n" + written) == [written, written]


@pytest.mark.parametrize("content", [b"", b" \n", b"[]", b" [ \n] "])
def test_nothing_is_no_statements(content: bytes) -> None:
    assert texts(content) == []


def test_bad_line_keeps_no_other_out() -> None:
    assert texts(b'{"a":1}\n{"a"\nnonsense "\n{"b":2}\n') == [b'{"a":1}', b'{"a"', b'nonsense "', b'{"b":2}']


def test_bad_element_keeps_no_other_out() -> None:
    content = b'[{\'a\': 1}, null, 12, "text, ]", [1, 2], {"b": NaN,}, {"c": 3}]'

    assert texts(content) == [b"{'a': 1}", b"null", b"12", b'"text, ]"', b"[1, 2]", b'{"b": NaN,}', b'{"c": 3}']


@pytest.mark.parametrize(
    ("content", "said", "before"),
    [
        (b'[{"a":1}', "No comma", 1),  # cut off between two
        (b'[{"a":1},{"b":', "in the middle of a statement", 1),
        (b'[{"a":1},', "No statement comes here", 1),
        (b'[{"a":1} {"b":2}]', "No comma", 1),
        (b'[{"a":1},]', "No statement comes here", 1),
        (b'[{"a":1}] {"b":2}', "follows the end", 1),
        (b'[{"a":1},nul', "in the middle of the array", 1),
        ('{"a":1}'.encode("utf-16"), "not UTF-8", 0),
        (b'[{"a":1},{"b":"' + b"x" * 20 * LIMIT + b'"}]', f"within {LIMIT} bytes", 1),
        (b"{}\n" + b"x" * 20 * LIMIT, f"within {LIMIT} bytes", 1),
    ],
)
def test_fault_is_told_after_all_that_came_before(content: bytes, said: str, before: int) -> None:
    found: list[Piece] = []

    with pytest.raises(Invalid, match=said):
        # A list takes what comes before it fails.
        found += Stream(chunked(content, 100), max_statement_bytes=LIMIT).after(START)

    assert len(found) == before


def test_no_more_is_held_than_a_statement_and_a_chunk() -> None:
    held = []

    def endless() -> Iterator[bytes]:
        yield b"["
        for number in range(3000):
            yield b'{"n":%d,"x":"%s"},' % (number, b"x" * 500)

    stream = Stream(endless(), max_statement_bytes=LIMIT)
    given_out = stream.after(START)
    for _ in range(2500):
        next(given_out)
        held.append(len(stream._rest))

    assert max(held) < HEAD_BYTES + 1000


@pytest.mark.parametrize("form", FORMS)
def test_it_goes_on_from_after_any_statement(form: str) -> None:
    whole = pieces(FORMS[form])

    for number, piece in enumerate(whole, 1):
        kept = Position(*json.loads(json.dumps(piece.after)))
        assert pieces(FORMS[form], size=11, after=kept) == whole[number:]


def test_it_goes_on_with_what_was_added_since() -> None:
    before = pieces(FORMS["lines"] + b"\n")

    after = pieces(FORMS["lines"] + b'\n{"new":1}\n', after=before[-1].after)

    assert [piece.text for piece in after] == [b'{"new":1}']


def test_it_does_not_go_on_with_something_else() -> None:
    position = pieces(FORMS["array"])[2].after

    with pytest.raises(Invalid, match="not what was being read"):
        pieces(FORMS["array"].replace(b"null", b"true").replace(b'"x"', b'"y"'), after=position)
    with pytest.raises(Invalid, match="not what was being read"):
        pieces(FORMS["array"][:20], after=position)


def test_alike_statements_are_told_apart_by_what_came_before_them() -> None:
    same = pieces(b'{"a":1}\n{"a":1}\n')

    assert same[0].after.digest != same[1].after.digest
    assert pieces(b'{"a":1}\n{"a":1}\n', size=3) == same


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.lists(st.dictionaries(st.text(), json_values)), st.sampled_from([None, 1]), st.booleans(), st.integers())
def test_whatever_a_json_library_writes_is_read(data: list[object], indent: int | None, plain: bool, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311  for chunks
    array = json.dumps(data, indent=indent, ensure_ascii=plain).encode("utf-8", "surrogatepass")
    lines = b"\n".join(json.dumps(one, ensure_ascii=plain).encode("utf-8", "surrogatepass") for one in data)

    for content in (array, lines):
        found = texts(content, size=dice.randint(1, 50), limit=10**6)
        assert [json.loads(text.decode("utf-8", "surrogatepass")) for text in found] == data
