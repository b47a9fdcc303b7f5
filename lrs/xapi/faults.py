"""The faults that are repaired for lenient credentials, with what is done and where such statements come from."""

from collections.abc import Mapping
from typing import NamedTuple


class Fault(NamedTuple):
    """Something that strict validation refuses and a lenient credential may send."""

    repair: str
    """What is done about it."""
    source: str
    """Who sends it."""


FAULTS: Mapping[str, Fault] = {
    # --- what says nothing is left out
    "null": Fault("A null outside extensions is left out.", "Moodle logstore_xapi: result.response (12 of 3,796)"),
    "empty-text": Fault(
        "An empty text where an IRI, a language map, a UUID, a date, a number or an object belongs is left out.",
        "TinCan statement crafters (LearningLocker#113: score.raw, min, max); forms with a field left empty",
    ),
    "empty-activity": Fault(
        "A context activity without an id is left out.", "course builders that fill contextActivities in advance"
    ),
    "unidentified-agent": Fault(
        "An instructor, a team or a member of a group that nothing identifies is left out; never the actor.",
        "LMSs that know of a teacher nothing but the name",
    ),
    # --- lists and objects that PHP and xAPI 0.9 take for each other
    "list-for-object": Fault(
        "An empty list where an object belongs is left out.",
        "PHP: json_encode(array()); JavaScript: h5p-interactive-video#15 (extensions)",
    ),
    "object-for-list": Fault(
        "An object where a list belongs becomes the list of its values.",
        "PHP: a list with gaps; Moodle logstore_xapi: choices (16 of 959 with other settings)",
    ),
    "one-for-list": Fault(
        "A single thing where a list belongs becomes a list of it.", "correctResponsesPattern as text; attachments"
    ),
    "list-for-one": Fault(
        "Of a list in an agent, the first is taken (Communication, Appendix A).",
        "0.9 actors in launch links, Rustici style: Storyline, Captivate (LearningLocker#535, #847)",
    ),
    "text-for-object": Fault(
        "A verb or activity that is nothing but a text becomes an object with that id; verbs by their names in 0.9 get "
        "ADL's prefix (Communication, Appendix A).",
        "xAPI 0.9: TinCan content of the first generation",
    ),
    "text-for-language-map": Fault("A text where a language map belongs stands under und.", "hand-made senders"),
    # --- names
    "property-case": Fault("A property that differs in case only is written right.", ".NET and hand-made senders"),
    "old-property": Fault(
        "accountServiceHomePage and accountName become homePage and name.", "xAPI 0.9 actors in launch links"
    ),
    "unknown-property": Fault(
        "A property that the specification does not have there is left out, such as id, stored, version and authority "
        "of a SubStatement.",
        "xAPI 0.9 (inProgress, voided, givenName); content with properties of its own",
    ),
    "object-type": Fault(
        "objectType is written in the right case; Person, of 0.9, is an Agent.", "hand-made senders; 0.9 launch links"
    ),
    "missing-object-type": Fault(
        "objectType is added where what stands there can be nothing else: Group, StatementRef, SubStatement.",
        "senders that leave objectType out everywhere, as they may for agents and activities",
    ),
    # --- identifiers
    "identifiers": Fault(
        "Of several identifiers of an agent, one stays: the first valid of mbox, mbox_sha1sum, openid, account "
        "(Communication, Appendix A).",
        "launch links with both mbox and account",
    ),
    "mbox": Fault(
        "mailto: is added or written in lower case, spaces around the address are dropped, %40 is @.",
        "ADL_LRS#92; launch links that were encoded twice",
    ),
    "uuid": Fault("A UUID loses braces or urn:uuid:, and gets its hyphens.", ".NET and databases"),
    "activity-id": Fault(
        "An activity id without a scheme gets the prefix that Communication, Appendix A has for it.",
        "Storyline and Captivate, where the author types the id; H5P without an address (undefined?subContentId=)",
    ),
    "verb": Fault("A verb's id that is a name of 0.9 gets ADL's prefix (Communication, Appendix A).", "xAPI 0.9"),
    "activity-type": Fault(
        "An activity's type that is a name of 0.9 gets ADL's prefix (Communication, Appendix A).", "xAPI 0.9"
    ),
    "extension-key": Fault(
        "A key of extensions that is no IRI gets the prefix that Communication, Appendix A has for it.", "xAPI 0.9"
    ),
    "iri-characters": Fault(
        "Spaces around an IRI are dropped; those within, and other characters that no IRI has, are written in percent.",
        "Captivate and Storyline: titles in ids",
    ),
    "web-address": Fault(
        "homePage, moreInfo and fileUrl that begin with a host get http:// before it.", "settings typed by people"
    ),
    # --- texts, numbers, times
    "spaces": Fault("Spaces around a hash or a media type are dropped.", "hand-made senders"),
    "no-text": Fault(
        "A number, true or false where a text belongs is written as that text, and any response as its JSON.",
        "numeric user ids as account.name; H5P and Open edX: responses",
    ),
    "number-as-text": Fault(
        "A number in quotes is a number.", "SCORM wrappers and TinCan crafters (LearningLocker#113): score.raw"
    ),
    "no-number": Fault("What is no number where one belongs is left out.", 'SCORM wrappers: NaN, "85%"'),
    "boolean-as-text": Fault('"true", "false", 1 and 0 are true and false.', "SCORM wrappers, PHP"),
    "no-boolean": Fault("What is neither true nor false is left out.", 'SCORM: success "unknown"'),
    "timestamp": Fault(
        "A date and time is written as RFC 3339: T for a space, +01:00 for +0100, Z for -00:00, seconds added; without "
        "a zone it is taken as UTC (4.5). A date without a time stays refused.",
        "C#, PHP and SQL: 2015-01-01T00:00:00.0000000 (LearningLocker#723)",
    ),
    "duration": Fault(
        "A duration like 0001:02:03.5 is written as PT1H2M3.5S, P16559.14S as PT16559.14S; letters in upper case.",
        "SCORM 1.2 wrappers; LearningLocker#1427",
    ),
    "language-tag": Fault(
        "A language tag gets hyphens, and what no tag has after them is dropped: en_US, en_us_wp; in a map it becomes "
        "und when nothing is left. A text whose tag is there already is left out.",
        "Moodle and Moodle Workplace (mod_tincanlaunch#230), Java locales",
    ),
    "language-map-value": Fault("A value of a language map that is no text is left out.", "hand-made senders"),
    "interaction-type": Fault(
        "interactionType is written right: Choice, trueFalse, fill_in; what none of them is becomes other.",
        "quiz exports",
    ),
    "missing-interaction-type": Fault(
        "Where answers are described without an interactionType, it is other: none of those that say what they mean.",
        "hand-made senders",
    ),
    "unreadable": Fault(
        "A duration, registration, language, statement id, type or moreInfo that no rule of this list makes valid is "
        "left out; the LRS gives an id. Never a timestamp, an identifier of an agent or an activity's id.",
        "JavaScript: PTNaNS, PT-1S; registrations that are numbers",
    ),
    # --- rules that look beyond one property
    "component-ids": Fault(
        "Of equal interaction components one stays; others with an id that is taken get -2, -3 ... after it.",
        "Moodle logstore_xapi: matching and lesson questions (55 of 3,796)",
    ),
    "score-bounds": Fault(
        "The bound that raw breaks is left out, or both when min is not below max; raw stays.",
        "H5P without points: min 0, max 0; grades above the maximum",
    ),
    "scaled-range": Fault("A score's scaled beyond -1 to 1 is left out; raw stays.", "percentages sent as scaled"),
    "activity-only": Fault(
        "revision and platform are left out where the object is no Activity (2.4.6).", "senders with one fixed context"
    ),
    "attachment": Fault(
        "An attachment that is not valid is left out; a signature never.", "attachments without sha2, from xAPI 0.95"
    ),
    "assigned-property": Fault(
        "A stored, version or authority that is not valid is left out: the LRS sets them.", 'version "0.95", "1.0"'
    ),
}
