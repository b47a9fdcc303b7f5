"""What can be wrong with what the engine is given; all else is an answer, and be it a refusal.

ImpactError
├── PanelError      the data cannot be used: column and row are named
└── ContractError   the question cannot be asked: a parameter contradicts another or itself
"""


class ImpactError(Exception):
    """Root of the engine's errors; the message is meant for a person."""


class PanelError(ImpactError):
    """Data that no estimate can be made of; `row` counts from 1, without the header."""

    def __init__(self, text: str, *, column: str, row: int | None = None) -> None:
        place = f"column {column!r}" + (f", row {row:,}" if row is not None else "")
        super().__init__(f"{place}: {text}")
        self.text = text
        self.column = column
        self.row = row


class ContractError(ImpactError):
    """A contract that cannot be judged by."""
