"""What a WSGI server runs in production: `gunicorn wsgi:app`."""

from bridge.app import create_app
from bridge.settings import Settings

app = create_app(Settings.from_env())
