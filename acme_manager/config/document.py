"""YAML files as plain values, with the line that each value stands on.

Stricter than YAML: a key given twice is an error, since the first value would be lost without a word.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import yaml

from acme_manager.errors import Complaint, ConfigInvalid

_QUOTED = r"'[^']{2,}'|\"[^\"]{2,}\""

Steps = tuple[str | int, ...]
"""Where a value is: keys and positions from the top."""


@attrs.frozen
class Document:
    """A file's content, the lines of what is in it, complaints about keys that are in it twice, and its SHA-256."""

    content: Any = attrs.field(repr=False)
    lines: dict[Steps, int]
    doubled: list[Complaint]
    digest: str

    def complaint(self, steps: Steps, message: str) -> Complaint:
        """A complaint about a value; one that is not there is looked for on the line of what should hold it."""
        line = next((self.lines[steps[:end]] for end in range(len(steps), 0, -1) if steps[:end] in self.lines), None)
        return Complaint(dotted(steps), message if line is None else f"{message} (line {line})")


def dotted(steps: Steps) -> str:
    """A path as people write it: `common.plugins[0].path`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def read_document(path: Path) -> Document:
    """Read a YAML file. Raises ConfigInvalid."""
    try:
        raw = path.read_bytes()
        loader = yaml.SafeLoader(raw.decode("utf-8-sig"))
        node = loader.get_single_node()
        walk = _Walk()
        walk.visit(node, ())
        content = None if node is None else loader.construct_document(node)
        return Document(content, walk.lines, walk.doubled, hashlib.sha256(raw).hexdigest())
    except OSError as error:
        reason = f"can't be read: {error.strerror}; -config-path names the file"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        reason = f"is not UTF-8 (line {line}): save the file in that encoding"
    except yaml.MarkedYAMLError as error:
        reason = _without_values(error)
    except yaml.YAMLError:
        reason = "is not YAML: it holds characters that can't be printed"
    except RecursionError:
        reason = "is nested too deeply"
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError):  # as its constructors happen to fail
        reason = "is not YAML: a value looks like a date or a number and is none; put it in quotes"
    raise ConfigInvalid(str(path), [Complaint("", reason)])


@attrs.define
class _Walk:
    """Notes the line of every value, and keys that a mapping has twice."""

    lines: dict[Steps, int] = attrs.field(factory=dict)
    doubled: list[Complaint] = attrs.field(factory=list)
    _seen: set[int] = attrs.field(factory=set)  # aliases may make a document endless

    def visit(self, node: yaml.Node | None, steps: Steps) -> None:
        if node is None or id(node) in self._seen:
            return
        self._seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for index, inner in enumerate(node.value):
                self._note(steps, index, inner.start_mark.line, inner)
        elif isinstance(node, yaml.MappingNode):
            first: dict[str, int] = {}
            for key, value in self._named(node):
                line = key.start_mark.line
                if key.value in first:
                    where = f"first on line {first[key.value] + 1}, again on line {line + 1}"
                    self.doubled.append(Complaint(dotted((*steps, key.value)), f"is given twice: {where}"))
                first.setdefault(key.value, line)
                self._note(steps, key.value, line, value)

    @staticmethod
    def _named(node: yaml.MappingNode) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                yield key, value

    def _note(self, steps: Steps, step: str | int, line: int, node: yaml.Node) -> None:
        self.lines[(*steps, step)] = line + 1
        self.visit(node, (*steps, step))


def _without_values(error: yaml.MarkedYAMLError) -> str:
    """What YAML complains about; the piece of the file it quotes may be a secret."""
    said = ", ".join(filter(None, (error.context, error.problem)))
    mark = error.problem_mark or error.context_mark
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    hint = "; a value that begins with * or & must be in quotes" if re.search("alias|anchor", said) else ""
    return f"is not YAML: {re.sub(_QUOTED, '…', said)}{where}{hint}"
