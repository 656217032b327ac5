"""The platform over HTTP: `create_app` and a blueprint each for one part of the interface.

`batches` uploads · `parties` · `subjects` passports · `log` checkpoint, tiles, policy · `resolver`
Digital Link paths and pages · `health` · `description` the OpenAPI document. `bodies` reads
uploads within limits, `problems` is the one error document, `headers` and `compression` finish
every answer, `story` turns a verified bundle into what a page shows.

Nothing here decides anything about records: services do, and this package translates. A worker
holds no state but caches, so workers and machines can be added at will.
"""

from provenance.web.application import create_app

__all__ = ["create_app"]
