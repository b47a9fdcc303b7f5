"""Asking a server of ours whether it serves yet."""

import requests

TIMEOUT_SECONDS = 2.0
"""A loopback server that takes longer is not ready."""


def answers(url: str) -> bool:
    """Tell whether a GET of this address gives 200 within TIMEOUT_SECONDS."""
    try:
        with requests.Session() as session:
            session.trust_env = False  # a proxy for the outside world does not know our loopback
            return bool(session.get(url, timeout=TIMEOUT_SECONDS).ok)
    except requests.RequestException:
        return False
