"""Where the face logs: below ``wats_app.api``, the name that the user's manual tells people to turn up."""

from __future__ import annotations

import logging

__all__ = ["logger"]

ROOT = "wats_app.api"


def logger(name: str) -> logging.Logger:
    """The logger of one part of the face, a child of ``wats_app.api``."""
    return logging.getLogger(f"{ROOT}.{name}")
