"""Templates: an environment of our own, so that a name that is not there is an error and nothing is left unescaped."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from acme_manager import __version__
from acme_manager.web import words
from acme_manager.web.assets import asset_url
from acme_manager.web.said import SAID

# Controls, and what turns the direction of text (Unicode TR 36, 3.2): they make a name look like another one.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def _visible(value: object) -> object:
    """What a template shows, with a mark in the place of what is there to mislead."""
    return _UNSEEN.sub("\ufffd", value) if type(value) is str and not value.isprintable() else value


_environment = Environment(
    loader=PackageLoader("acme_manager.web"),
    autoescape=True,
    finalize=_visible,
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
