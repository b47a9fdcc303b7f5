"""The other end of `moodle.py`: a plugin for Moodle in PHP (`lrsbridge/`), under the GPL, and what packs it."""
