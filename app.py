"""The WSGI application, built from the environment: `gunicorn app:app`."""

import os

from provenance.config import Settings
from provenance.platform import Platform
from provenance.web import create_app

app = create_app(Platform.open(Settings.load(os.environ)))
