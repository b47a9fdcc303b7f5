"""What others may listen to."""

from blinker import Signal

statements_stored = Signal("Sent after statements have been committed, inside the app context, with their `count`.")
