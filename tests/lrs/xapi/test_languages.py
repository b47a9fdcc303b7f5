"""Choosing a language: xAPI 1.0.3, Communication 2.1.3; RFC 2616, 14.4."""

import pytest

from lrs.xapi import languages

TAGS = ["en-US", "en-GB", "de", "fr-CA"]


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (None, "en-US"),  # the sender's first
        ("", "en-US"),
        ("de", "de"),
        ("DE", "de"),
        ("en", "en-US"),  # a range matches the tags that begin with it, the sender's first of them
        ("en-GB", "en-GB"),
        ("fr", "fr-CA"),
        ("en;q=0.5, de;q=0.9", "de"),
        ("en;q=0.9, de;q=0.9", "en-US"),  # of equal quality: the first that is named
        ("de;q=0.9, en;q=0.9", "de"),
        ("en;q=0.9, en-US;q=0.1", "en-GB"),  # the longest range that matches counts
        ("en-US;q=0, en", "en-GB"),
        ("*", "en-US"),
        ("de;q=0.1, *;q=0.5", "en-US"),
        ("en-US;q=0, *", "en-GB"),
        ("it", "en-US"),  # one is always returned
        ("it, de;q=0", "en-US"),
        ("en-US;q=0", "en-GB"),
        ("en-AU", "en-US"),  # RFC 4647, 3.4: the primary language is better than another
        ("it, fr-FR;q=0.3", "fr-CA"),
        ("*;q=0", "en-US"),
        ("e", "en-US"),  # no prefix of a tag but up to a hyphen
        ("de-", "en-US"),  # what is not understood is passed over
        ("de;q=2, fr", "fr-CA"),
        ("de;q=x", "en-US"),
        (";;,,=", "en-US"),
        ("de ; q=0.2 , fr ;q=0.3", "fr-CA"),
    ],
)
def test_language_that_is_wanted_most_is_chosen(header: str | None, chosen: str) -> None:
    assert languages.choose(TAGS, languages.parse(header)) == chosen


def test_nothing_is_chosen_of_nothing() -> None:
    assert languages.choose([], languages.parse("en")) is None
