"""Sphinx's settings; `make docs` copies them, with the pages, beside the pages it generates (tools/zoo_site)."""

from gluon_attn import __version__
from tools.zoo_site.docstrings import to_rst

project = "gluon_attn"
author = "the gluon_attn authors"
copyright = "Apache-2.0"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["photographs/README.md"]  # where the pictures come from: for who opens the folder
myst_heading_anchors = 3
html_theme = "furo"
html_title = "gluon_attn"
html_static_path = ["_static"]
html_css_files = ["zoo.css"]
html_js_files = ["zoo.js"]
html_copy_source = False
html_show_sourcelink = False
pygments_style = "friendly"
pygments_dark_style = "native"
autodoc_mock_imports = ["torch"]  # an extra that nobody needs to read about it
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures have them; the descriptions would say them twice
suppress_warnings = ["misc.highlighting_failure"]  # shell prompts and shortened examples are no whole programs


def setup(app):
    app.connect("autodoc-process-docstring", lambda _app, _what, _name, _object, _options, lines: _rewrite(lines))


def _rewrite(lines):
    lines[:] = to_rst(lines)
