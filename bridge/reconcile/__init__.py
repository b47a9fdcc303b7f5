"""Reconciliation: does what we hold agree with what sources, LMSs and destinations hold, and who is still nobody?

`running` compares on schedule and by command, `kept` keeps what was found; one module for each area.
"""
