"""Templates: an environment of our own, so that a name that is not there is an error and nothing is left unescaped."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from acme_manager import __version__
from acme_manager.web import words
from acme_manager.web.assets import asset_url
from acme_manager.web.said import SAID

_environment = Environment(
    loader=PackageLoader("acme_manager.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_environment.globals.update(asset=asset_url, version=__version__, said=SAID, **words.GLOBALS)
_environment.filters.update(words.FILTERS)


def render(template: str, context: dict[str, Any]) -> str:
    """Fill a template."""
    return _environment.get_template(template).render(context)
