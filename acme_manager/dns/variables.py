"""The variables that DNS providers are set up with: `PREFIX_KEY`, or a file named by `PREFIX_KEY_FILE`."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path

from acme_manager.errors import Complaint, ConfigInvalid

_LONGEST_FILE = 65536


class Variables:
    """Reads one provider's variables and collects what is wrong with them. Messages never show a value that is secret.

    Of several prefixes the first with a value wins; a variable wins over its `_FILE` form.
    """

    def __init__(self, environ: Mapping[str, str], *prefixes: str) -> None:
        self._environ, self._prefixes = environ, prefixes
        self.complaints: list[Complaint] = []

    def variable(self, key: str) -> str:
        """The variable that a value comes from; the one to set when there is none."""
        for prefix in self._prefixes:
            for name in (prefix + key, prefix + key + "_FILE"):
                if self._environ.get(name):
                    return name
        return self._prefixes[0] + key

    def text(self, key: str, default: str = "") -> str:
        """A text without surrounding white space."""
        name = self.variable(key)
        value = self._environ.get(name, "").strip()
        if value and name.endswith(f"{key}_FILE"):
            value = self.file(name, value).strip()
        return value or default

    def needed(self, key: str, what: str) -> str:
        """A text that must be there; `what` says what it should be."""
        value = self.text(key)
        if not value and self.variable(key) not in {complaint.where for complaint in self.complaints}:
            self.complain(key, f"is not set; it must be {what}")
        return value

    def seconds(self, key: str, default: float) -> float:
        """A number of seconds above zero."""
        text = self.text(key)
        try:
            value = float(text) if text else default
        except ValueError:
            value = -1.0
        if not (isfinite(value) and value > 0):
            self.complain(key, f"'{text}' is no number of seconds above 0, such as {default:g}")
            return default
        return value

    def whole(self, key: str, default: int, most: int) -> int:
        """A whole number from 0 to `most`."""
        text = self.text(key)
        if not text:
            return default
        if not (text.isascii() and text.isdecimal() and int(text) <= most):
            self.complain(key, f"'{text}' is no whole number from 0 to {most}, such as {default}")
            return default
        return int(text)

    def file(self, name: str, path: str) -> str:
        """The content of a file that a variable names; empty, and a complaint, when it can't be read."""
        try:
            with Path(path).open(encoding="utf-8") as file:
                return file.read(_LONGEST_FILE)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            self.complaints.append(Complaint(name, f"'{path}' can't be read: {reason}"))
            return ""

    def complain(self, key: str, message: str) -> None:
        """Note what is wrong with a variable."""
        self.complaints.append(Complaint(self.variable(key), message))

    def check(self, source: str) -> None:
        """Raise ConfigInvalid with every complaint if there are any."""
        if self.complaints:
            raise ConfigInvalid(source, self.complaints)
