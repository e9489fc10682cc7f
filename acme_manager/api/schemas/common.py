"""Answers without a JSON body."""

from __future__ import annotations


class Nothing:
    """Done; there is no body."""


class Text:
    """Plain text."""
