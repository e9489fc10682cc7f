"""The columns of the table of certificates: what each says as plain text, and by what it is sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import attrs

from acme_manager.domain.certificate import Certificate
from acme_manager.domain.gotime import rfc3339
from acme_manager.services.catalogue_views import Entry
from acme_manager.services.reports import Reports
from acme_manager.web.words import moment

Cell = Callable[[Entry, Reports], Any]


@attrs.frozen(kw_only=True)
class Column:
    """`sort` is a name in catalogue_row.COLUMNS; empty: one can't sort by it. `text` is for a program."""

    key: str
    label: str
    text: Cell
    sort: str = ""
    chosen: bool = False  # unless somebody has chosen otherwise
    everybody: bool = True  # shown to owners, who have one owner only


def _of(field: str) -> Cell:
    read: Callable[[Certificate], Any] = attrgetter(field)
    return lambda entry, _reports: read(entry.certificate)


def _instant(field: str) -> Cell:
    def text(entry: Entry, _reports: Reports) -> str:
        value = getattr(entry.certificate, field)
        at = moment(value)
        return rfc3339(at) if at is not None else str(value or "")

    return text


def _due(entry: Entry, _reports: Reports) -> str:
    return rfc3339(entry.plan.due) if entry.plan is not None else ""


def _reason(entry: Entry, _reports: Reports) -> str:
    return entry.plan.reason if entry.plan is not None else ""


def _plain(key: str, label: str, *, chosen: bool = False, everybody: bool = True) -> Column:
    return Column(key=key, label=label, text=_of(key), sort=key, chosen=chosen, everybody=everybody)


COLUMNS: Mapping[str, Column] = {
    one.key: one
    for one in (
        Column(
            key="condition", label="Condition", text=lambda one, _: one.condition.code, sort="condition", chosen=True
        ),
        _plain("domain", "Domain", chosen=True),
        _plain("name", "Name"),
        _plain("san", "Other names"),
        _plain("issuer", "Issuer", chosen=True),
        _plain("owner", "Owner", chosen=True, everybody=False),
        Column(key="expires", label="Expires", text=_instant("expires"), sort="expires", chosen=True),
        Column(key="due", label="Next renewal", text=_due, sort="due", chosen=True),
        _plain("labels", "Labels", chosen=True),
        Column(key="challenge", label="Challenge", text=lambda one, _: one.challenge, sort="challenge"),
        Column(key="key_type", label="Key type", text=lambda one, _: one.key_type, sort="key_type"),
        _plain("encryption", "Encryption"),
        _plain("profile", "Profile"),
        _plain("serial", "Serial"),
        _plain("bundle", "Bundle"),
        _plain("days", "Duration"),
        _plain("renewal_days", "Renew days"),
        Column(key="renewal_date", label="Renewal date", text=_instant("renewal_date"), sort="renewal_date"),
        _plain("renewal_count", "Renewals"),
        Column(key="issued", label="Issued", text=_instant("issued_at"), sort="issued"),
        Column(key="updated_at", label="Changed", text=_instant("updated_at"), sort="updated_at"),
        Column(key="hosts", label="Hosts", text=lambda one, reports: len(reports.of(one.id))),
    )
}

_MORE = (
    Column(key="reason", label="Reason of the next renewal", text=_reason),
    Column(key="sentence", label="Condition in words", text=lambda one, _: one.condition.sentence),
    _plain("fingerprint", "Fingerprint"),
)
_EXPORTED = (*COLUMNS.values(), *_MORE)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def offered(everybody: bool) -> Sequence[Column]:
    """The columns to choose from: of one owner, or (`everybody`) of all."""
    return [one for one in COLUMNS.values() if everybody or one.everybody]


def chosen(text: str, everybody: bool) -> Sequence[str]:
    """The columns that a list of names means, in our order; what is not known is left out. Empty: the usual ones."""
    wanted, there = set(text.split(",")), offered(everybody)
    return [one.key for one in there if one.key in wanted] or [one.key for one in there if one.chosen]


def csv_head() -> list[str]:
    """The first line of an export."""
    return [one.key for one in _EXPORTED]


def csv_rows(entries: Sequence[Entry], reports: Reports) -> Iterator[list[str]]:
    """The others."""
    for entry in entries:
        yield [csv_cell(str(one.text(entry, reports))) for one in _EXPORTED]


def csv_cell(text: str) -> str:
    """The text so that no spreadsheet takes what an owner has written for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
