"""What xAPI statements are made of, so that a misspelt field is found when a mapping is loaded.

From the statement's data model, versions 1.0.3 and 2.0:
https://github.com/adlnet/xAPI-Spec/blob/master/xAPI-Data.md and https://opensource.ieee.org/xapi. What is inside
extensions and language maps is anybody's own.
"""

from collections.abc import Mapping

SHAPES: Mapping[str, Mapping[str, str]] = {
    shape: {field: inner for field, _, inner in (part.partition(":") for part in fields.split())}
    for shape, fields in {
        "statement": "id actor:agent verb:verb object:object result:result context:context timestamp stored "
        "authority:agent version attachments:attachment",
        "agent": "objectType name mbox mbox_sha1sum openid account:account member:agent",
        "account": "homePage name",
        "verb": "id display",
        # an Activity, Agent, Group, StatementRef or SubStatement
        "object": "objectType id definition:definition name mbox mbox_sha1sum openid account:account member:agent "
        "actor:agent verb:verb object:object result:result context:context timestamp attachments:attachment",
        "activity": "objectType id definition:definition",
        "definition": "name description type moreInfo extensions interactionType correctResponsesPattern "
        "choices:component scale:component source:component target:component steps:component",
        "component": "id description",
        "result": "score:score success completion response duration extensions",
        "score": "scaled raw min max",
        "context": "registration instructor:agent team:agent contextActivities:activities contextAgents:with-agent "
        "contextGroups:with-group revision platform language statement:reference extensions",
        "activities": "parent:activity grouping:activity category:activity other:activity",
        "with-agent": "objectType agent:agent relevantTypes",
        "with-group": "objectType group:agent relevantTypes",
        "reference": "objectType id",
        "attachment": "usageType display description contentType length sha2 fileUrl",
    }.items()
}
"""The fields of each shape with the shape of what stands there (in a list, of its items), or `` where anything goes."""

VARIABLES: Mapping[str, str] = {
    "statement": "statement",
    "actor": "agent",
    "object": "object",
    "result": "result",
    "context": "context",
}
"""The shapes of the variables of a statement that are maps."""
