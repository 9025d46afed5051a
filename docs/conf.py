# ruff: noqa: INP001 - a script beside the pages it is for, not part of a package
"""How Sphinx makes a site of these pages. `make docs` runs it; nothing is fetched from anywhere."""

from __future__ import annotations

import posixpath
import re
from importlib.metadata import version as installed

from sphinx.application import Sphinx

project = "logontracks"
version = release = installed("logontracks")
extensions = ["myst_parser"]
myst_heading_anchors = 4  # the anchors that forges give headings, so that one link works on both
exclude_patterns = ["_build"]
nitpicky = True
html_theme = "furo"
html_title = f"logontracks {version}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_copy_source = False
html_show_sphinx = False
show_warning_types = True


def contents(text: str) -> str:
    """The pages that an index links to, by its headings, as what Sphinx wants to know of them.

    It is made here so that index.md itself stays Markdown that any reader can show.
    """
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    trees = []
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        pages = re.findall(r"^- \[[^\]]+\]\(([\w/-]+)\.md\)", body, re.MULTILINE)
        trees.append("\n".join(("```{toctree}", ":hidden:", f":caption: {heading}", "", *pages, "```")))
    return "\n\n".join(trees)


def within(text: str, name: str) -> str:
    """A page without its links to files of the checkout that are no pages, such as the README: their text stays."""

    def told(link: re.Match[str]) -> str:
        leads_out = posixpath.normpath(posixpath.join(posixpath.dirname(name), link[2])).startswith("..")
        return link[1] if leads_out else link[0]

    return re.sub(r"\[([^\]\n]*(?:\n[^\]\n]+)?)\]\((\.\./[^)\s]+)\)", told, text)


def _read(_app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = within(source[0], name)
    if name == "index":
        source[0] += f"\n\n{contents(source[0])}\n"


def setup(app: Sphinx) -> None:
    app.connect("source-read", _read)
