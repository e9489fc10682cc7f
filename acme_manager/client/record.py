"""What this agent has made, as it remembers it: nothing else is ever deleted.

A record that is lost or can't be read is an empty one, and an empty one lets nothing be deleted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs
from cattrs import Converter

VERSION = 1


@attrs.frozen(kw_only=True)
class Imported:
    """A certificate that the server has never had. Times are Unix seconds."""

    source: str  # the file that it was found in
    names: tuple[str, ...]  # all that it is good for, sorted
    not_after: float
    order_from: float  # when the server is to get a new one


@attrs.frozen(kw_only=True)
class Entry:
    """One certificate. Times are Unix seconds, 0 for never."""

    issuer: str
    domain: str
    name: str = ""
    ours: bool = False  # this agent asked for it, or holds the key that it was made for
    fingerprint: str = ""  # of what was installed last
    files: tuple[str, ...] = ()  # that were written for it, relative to the folder of certificates
    installed_at: float = 0.0
    unsaved: bool = False  # it could not be written to the backup
    given_up: str = ""  # fingerprint of the version that was rolled back since a command failed with it
    delete_from: float = 0.0  # no longer wanted: when it may be deleted
    imported: Imported | None = None  # until the server has it


Record = Mapping[str, Entry]
"""By identity."""

_converter = Converter()


def read_record(text: str) -> dict[str, Entry]:
    """Read a record. Raises ValueError for one that can't be trusted to be whole."""
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            raise ValueError(f"version {document['version']} is none that this agent knows")
        return {identity: _converter.structure(one, Entry) for identity, one in document["certificates"].items()}
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"it is no record of ours: {error}") from error


def write_record(record: Record) -> str:
    """The text that `read_record` reads."""
    document: dict[str, Any] = {
        "version": VERSION,
        "certificates": {identity: _converter.unstructure(record[identity]) for identity in sorted(record)},
    }
    return json.dumps(document, indent=2) + "\n"
