"""The two versions of xAPI that are spoken here, chosen by the X-Experience-API-Version header."""

import re
from enum import StrEnum

from lrs.errors import Invalid, Rule

HEADER = "X-Experience-API-Version"

_ONE = re.compile(r"1\.0(\.\d+)?\Z")
_TWO = re.compile(r"2\.0(\.\d+)?\Z")
_RULE = Rule(
    f"every request says {HEADER}: 1.0.x or 2.0.x", "Communication 3.3", f"Send the header {HEADER}: 1.0.3 or 2.0.0."
)


class Version(StrEnum):
    """A version as the answer's header names it."""

    ONE = "1.0.3"
    TWO = "2.0.0"

    @property
    def default(self) -> str:
        """What a statement's `version` becomes when it has none (2.4.10)."""
        return "1.0.0" if self is Version.ONE else "2.0.0"

    def covers(self, version: str) -> bool:
        """Tell whether a statement that says `version` may come under this header; 2.0 takes 1.0 statements too."""
        return bool(_ONE.match(version)) or (self is Version.TWO and bool(_TWO.match(version)))


ABOUT = ("1.0.0", "1.0.1", "1.0.2", "1.0.3", "2.0.0")
"""What the about resource says."""


def from_header(value: str | None) -> Version:
    """Read the request header; 1.0 is 1.0.0. Raises Invalid when it is missing or names anything else."""
    if value is None:
        raise Invalid(f"The header {HEADER} is missing.", _RULE)
    if _ONE.match(value):
        return Version.ONE
    if _TWO.match(value):
        return Version.TWO
    raise Invalid(f"The header {HEADER} names a version that is not spoken here.", _RULE)
