"""Who of a Canvas course a published row is about."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.caliper.deeds import LOCAL_DIGITS


@dataclass(slots=True)
class Students:
    """The students of a course as Canvas lists them, by what they may be known by."""

    ids: set[str] = field(default_factory=set)
    _by_sis_id: dict[str, set[str]] = field(default_factory=dict)
    _by_login: dict[str, set[str]] = field(default_factory=dict)
    _by_email: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, listed: Iterable[Mapping[str, Any]]) -> "Students":
        """Take users as `GET /courses/:id/users` gives them; what the token may not see of them is not there."""
        made = cls()
        for user in listed:
            number = str(user["id"])
            made.ids.add(number)
            for known, name in (
                (made._by_sis_id, user.get("sis_user_id")),
                (made._by_login, _lower(user.get("login_id"))),
                (made._by_email, _lower(user.get("email"))),
            ):
                if isinstance(name, str) and name:
                    known.setdefault(name, set()).add(number)
        return made

    def find(self, user: Mapping[str, Any] | None, site: str, is_of_here: Callable[[str], bool]) -> str | None:
        """Give the id of the student that a row's `user` is: by account, SIS id, login or e-mail, the first that fits.

        `is_of_here` tells of the shard in a global id whether it is this site's. What fits several fits nobody.
        """
        if user is None:
            return None
        for account in user.get("accounts") or ():
            if str(account.get("home_page", "")).rstrip("/") != site:
                continue
            found = self._of_account(str(account.get("name", "")), is_of_here)
            if found is not None:
                return found
        emails = [_lower(one) for one in user.get("emails") or ()]
        for known, names in (
            (self._by_sis_id, [user.get("idnumber")]),
            (self._by_login, [_lower(user.get("username"))]),
            (self._by_email, emails),
        ):
            found_here = {number for name in names if name for number in known.get(name, ())}
            if len(found_here) == 1:
                return found_here.pop()
        return None

    def _of_account(self, name: str, is_of_here: Callable[[str], bool]) -> str | None:
        if name in self.ids:
            return name
        if not name.isdecimal() or len(name) <= LOCAL_DIGITS:
            return None
        local = name[-LOCAL_DIGITS:].lstrip("0")
        return local if local in self.ids and is_of_here(name[:-LOCAL_DIGITS]) else None


def _lower(text: object) -> str | None:
    return text.lower() if isinstance(text, str) else None
