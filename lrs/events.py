"""What others may listen to."""

from blinker import Signal

statements_stored = Signal("Sent after statements have been committed, with the Flask app as sender and `count`.")
