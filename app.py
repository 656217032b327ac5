"""The WSGI application, built from the environment: `gunicorn app:app`."""

import os

from provenance.config import Settings
from provenance.platform import Platform
from provenance.telemetry import begin
from provenance.web import create_app

_settings = Settings.load(os.environ)
app = create_app(Platform.open(_settings, begin(_settings, "web")))
