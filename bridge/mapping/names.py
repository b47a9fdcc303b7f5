"""Names, for suggestions to people and for nothing else: nobody is matched by name."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")


def name_key(name: str | None) -> str | None:
    """Give a name without accents, case, punctuation and order of words; None where nothing is left."""
    apart = unicodedata.normalize("NFKD", name or "").casefold()
    words = _WORD.findall("".join(one for one in apart if not unicodedata.combining(one)))
    return " ".join(sorted(words)) or None
