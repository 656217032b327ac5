"""All good bundles: the stories of goods, and those of a log whose world around it changes."""

from __future__ import annotations

from tests.support import bundle_stories, stories_log
from tests.support.bundle_stories import STORIES

__all__ = ["STORIES", "bundle_stories", "stories_log"]
