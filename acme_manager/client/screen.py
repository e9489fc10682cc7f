"""What people see: tables with colours at a terminal, plain columns elsewhere, JSON when asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

import attrs
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from acme_manager.client.plan import Action, OnDisk, Part, Situation, Step, Unknown
from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import parse_time

_WIDE = 1000  # columns where there is no terminal: nothing is cut off or wrapped
_SOON, _VERY_SOON = 14, 3  # days left
_DAY = 86400.0
_COLOURS = {
    Action.KEEP: "dim",
    Action.CREATE: "green",
    Action.DELETE: "red",
    Action.REMOVE: "red",
    Action.SCHEDULE: "yellow",
}


@attrs.frozen(kw_only=True)
class Row:
    """One certificate, as `status` and `list` show it; None is for what is not known or does not apply."""

    certificate: str
    names: Sequence[str] = ()
    days_left: int | None = None
    next_renewal: str | None = None
    installed: str | None = None
    served: str | None = None
    to_do: str | None = None


def row_of(identity: str, present: Certificate | None, now: datetime) -> Row:
    """What the server says of a certificate."""
    if present is None:
        return Row(certificate=identity)
    names = [present.domain, *(one.strip() for one in present.san.split(",") if one.strip())]
    try:
        left: int | None = int((parse_time(present.expires) - now).total_seconds() // _DAY)
    except ValueError:
        left = None
    renewal = present.renewal_date.split(" ")[0] or None
    return Row(certificate=identity, names=names, days_left=left, next_renewal=renewal)


def installed_state(disk: OnDisk | None, present: Certificate | None) -> str:
    """The state of a certificate's files in a word or two."""
    if disk is None or disk.certificate is Part.MISSING:
        return "no"
    if Part.UNREADABLE in {disk.certificate, disk.key}:
        return "unreadable"
    if disk.key is Part.MISSING:
        return "without key"
    if not disk.key_fits:
        return "wrong key"
    if present is not None and disk.fingerprint != present.fingerprint:
        return "outdated"
    return "yes"


def show_rows(rows: Sequence[Row], *, as_json: bool, file: TextIO | None = None) -> None:
    """A table of certificates; columns that nothing is known for are left out."""
    if as_json:
        _print_json([attrs.asdict(row) for row in rows], file)
        return
    columns = [field.name for field in attrs.fields(Row) if any(getattr(row, field.name) is not None for row in rows)]
    _print_table(columns, ([_cell(name, getattr(row, name)) for name in columns] for row in rows), file)


def show_steps(situation: Situation, steps: Sequence[Step], *, as_json: bool, file: TextIO | None = None) -> None:
    """A plan with its reasons."""
    if as_json:
        shown = [{"action": str(one.action), "certificate": one.identity, "reason": one.reason} for one in steps]
        _print_json(shown, file)
        return
    if isinstance(situation.server, Unknown):
        _console(file).print(Text(f"no server answers, so nothing would be done: {situation.server.why}", style="red"))
    cells = (
        [Text(one.action, _COLOURS.get(one.action, "cyan")), Text(one.identity), Text(one.reason)] for one in steps
    )
    _print_table(["action", "certificate", "reason"], cells, file)


def _cell(name: str, value: Any) -> Text:
    if value is None:
        return Text("-", "dim")
    if name == "names":
        return Text("\n".join(value) if value else "-")
    if name == "days_left":
        return Text(str(value), "bold red" if value < _VERY_SOON else "yellow" if value < _SOON else "green")
    if name in {"installed", "served"}:
        return Text(value, "green" if value == "yes" else "yellow")
    return Text(str(value))


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[Text]], file: TextIO | None) -> None:
    console = _console(file)
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name.replace("_", " ").upper(), justify="right" if name == "days_left" else "left")
    for row in rows:
        plain = [Text(cell.plain.replace("\n", ",")) for cell in row]
        table.add_row(*(row if console.is_terminal else plain))
    console.print(table)


def _console(file: TextIO | None) -> Console:
    console = Console(file=file, highlight=False)
    return console if console.is_terminal else Console(file=file, highlight=False, width=_WIDE)


def _print_json(document: Sequence[Mapping[str, Any]], file: TextIO | None) -> None:
    print(json.dumps(document, indent=2), file=file)
