"""Did performance change because of the programme, by how much, how sure, does it last; and if we cannot know, why not.

Pure: a panel and a contract in, an assessment out. numpy and scipy are imported here and nowhere else in the product.
"""

from bridge.impact.columns import NEVER
from bridge.impact.contract import Contract, Control, Direction, Family, Metric
from bridge.impact.engine import Assessment, assess, estimate
from bridge.impact.errors import ContractError, ImpactError, PanelError
from bridge.impact.panels import Panel, panel
from bridge.impact.result import ENGINE_VERSION, Code, Grade, Reason, Result, Verdict
from bridge.impact.verdict import Circumstances

__all__ = [
    "ENGINE_VERSION",
    "NEVER",
    "Assessment",
    "Circumstances",
    "Code",
    "Contract",
    "ContractError",
    "Control",
    "Direction",
    "Family",
    "Grade",
    "ImpactError",
    "Metric",
    "Panel",
    "PanelError",
    "Reason",
    "Result",
    "Verdict",
    "assess",
    "estimate",
    "panel",
]
