"""Statements out of files that hold something else."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from connectors import caliper
from lrs import bulk


@dataclass(frozen=True)
class Converting:
    """Makes statements of Canvas Live Events (`connectors.caliper`)."""

    home_page: str | None = None

    def __str__(self) -> str:
        return f" as caliper of {self.home_page or 'its hosts'}"

    def convert(self, messages: Sequence[bulk.Sent]) -> tuple[list[bulk.Sent], list[tuple[bytes, str]]]:
        """Give the statements, and the texts of the events that are none, each with the reason.

        What is no JSON object is given on as it is, to be refused like any other.
        """
        sent: list[bulk.Sent] = []
        others: list[tuple[bytes, str]] = []
        for message in messages:
            try:
                content = msgspec.json.decode(message.text)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                content = None
            if not isinstance(content, dict):
                sent.append(message)
                continue
            for made in caliper.convert(content, home_page=self.home_page):
                if isinstance(made, caliper.NotConverted):
                    others.append((json.dumps(made.event).encode(), made.reason))
                else:
                    sent.append(bulk.Sent(json.dumps(made).encode(), made["id"]))
        return sent, others
