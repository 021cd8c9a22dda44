"""Settings of Sphinx: `make docs`."""

from __future__ import annotations

import re
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PROJECT = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")  # pages that stand beside the README

project = "minidl and recsys"
author = "The minidl authors"
copyright = author
version = release = installed("minidl")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_parser", "sphinx_gallery.gen_gallery"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "_templates", "examples", "**sg_execution_times.rst"]  # the last would fetch scripts
templates_path = ["_templates"]
default_role = "literal"
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]

autosummary_ignore_module_all = False
autosummary_imported_members = True
autosummary_context = {"elsewhere": {  # what a module re-exports, and another page has
    "recsys.models": ("Can", "Recommender", "find", "model_class", "models_that"),
    "recsys.models.pairs.estimators": ("ConvNCF", "MLP", "NeuMF"), "recsys.estimator": ("Scorer",)}}
autodoc_typehints = "none"  # numpydoc's sections have the types
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "pydata_sphinx_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options: dict[str, Any] = {
    "navbar_end": ["theme-switcher"], "secondary_sidebar_items": ["page-toc"], "footer_start": ["copyright"],
    "footer_end": [], "show_prev_next": False, "navigation_with_keys": False, "header_links_before_dropdown": 6}

sphinx_gallery_conf = {
    "examples_dirs": "examples", "gallery_dirs": "gallery", "filename_pattern": r"\.py$", "plot_gallery": True,
    "abort_on_example_error": True, "show_signature": False, "show_memory": False, "download_all_examples": False,
    "min_reported_time": 1e9, "image_scrapers": ("matplotlib",), "matplotlib_animations": False,
    "within_subsection_order": "FileNameSortKey"}


def _beside_the_readme() -> None:
    """Copy the pages that stand beside the README to where Sphinx looks, with links that lead on."""
    folder = DOCS / "project"
    folder.mkdir(exist_ok=True)
    for name in PROJECT:
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](../")
        for other in PROJECT:
            text = text.replace(f"]({other})", f"]({other.lower()})")
        (folder / name.lower()).write_text(text, encoding="utf-8")


def _links_to_the_readme(app: Any, page: str, source: list[str]) -> None:
    """Let links of pages in docs/ to those beside the README lead to the copies."""
    for name in PROJECT:
        source[0] = source[0].replace(f"](../{name})", f"](project/{name.lower()})")


def _formulas(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Keep what docstrings say as it stands where reStructuredText reads more into it: |x|, x_, *args."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...", "..", ":")):
            lines[i] = "".join(map(_plain, re.split(r"(`+[^`]*`+)", line)))


def _plain(part: str) -> str:
    if part.startswith("`"):
        return part.replace(". ", ".\N{WORD JOINER} ")  # a product, not the end of the first sentence
    return re.sub(r"(?<!\\)([|*]|_\b)", r"\\\1", part)


def setup(app: Any) -> None:
    """What Sphinx calls first."""
    _beside_the_readme()
    app.connect("source-read", _links_to_the_readme)
    app.connect("autodoc-process-docstring", _formulas, priority=400)  # before numpydoc
