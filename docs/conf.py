"""Settings of the documentation site: ``make docs`` builds it."""

from benchmark import __version__

project = "Entity tracking benchmark"
author = "The entity tracking benchmark's maintainers"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinxcontrib.mermaid",
]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"{project} {version}"

# Links to a heading, as GitHub makes them; a mermaid block is a diagram on GitHub too.
myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "description"
