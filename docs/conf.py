"""How these pages become a site: ``uv run --group docs sphinx-build -E -W --keep-going docs build/docs``."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "site"))

project = "Haulier"
author = "The Haulier authors"
project_copyright = "The Haulier authors, MIT licence"
version = release = version_of("haulier")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "docstrings",
    "repository_pages",
    "state_table",
]
exclude_patterns = ["README.md", "site"]  # index.md shows README.md

# A reference that leads nowhere fails the build. Other people's names are not looked up: a build needs no network.
nitpicky = True
OTHERS = "|".join(sorted({*sys.stdlib_module_names, "click", "pluggy", "pydantic", "pytest", "requests"}))
# Public signatures name some of these; hosts and plugins need none.
INTERNAL = (
    r"haulier\.(service|journal|transfer|discovery|config\.options|backends\.put)"
    r"|haulier_wats\.compat\.(relay|settings|validation)"
)
nitpick_ignore_regex = [(r"py:\w+", rf"({OTHERS})(\..+)?"), (r"py:\w+", rf"({INTERNAL})(\..+)?")]
nitpick_ignore = [("py:class", "Skipped")]  # pytest's, which hides where it comes from

myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

typed_modules = [
    "haulier.manager",
    "haulier.hooks.spec",
    "haulier.backends.api",
    "haulier.config.layers",
    "haulier.testing.backend_suite",
    "haulier.testing.rig",
    "haulier_wats.compat",
    "haulier_azure",
    "haulier_gcs",
    "haulier_s3",
]
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = "Haulier"
html_copy_source = False
html_show_sphinx = False
