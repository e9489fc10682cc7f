"""Which certificates a metadata request is about: filters, order and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import attrs
import trio
from werkzeug.datastructures import MultiDict

from acme_manager.domain.certificate import Certificate, CertificateId, certificate_to_json, parse_labels
from acme_manager.domain.gotime import parse_time
from acme_manager.errors import CertificateNotFound, InvalidRequest
from acme_manager.services.plans import Plans

SORTABLE = ("domain", "issuer", "name", "expires", "renewal_date", "serial", "updated_at", "renewal_count")
_SEARCHED = ("domain", "san", "name", "issuer", "labels", "serial")
_TIMES = ("expires", "renewal_date")
_BATCH = 200


@attrs.frozen(kw_only=True)
class Query:
    """A metadata request. `limit` None means all; `labels` are wanted names, with the wanted value or None for any."""

    issuer: str = ""
    domain: str = ""
    name: str = ""
    q: str = ""
    labels: tuple[tuple[str, str | None], ...] = ()
    sort: str = ""
    descending: bool = False
    limit: int | None = None
    offset: int = 0

    def select(self, owner: str, certificates: Sequence[Certificate]) -> tuple[Sequence[Certificate], int]:
        """The page, and how many certificates match. Raises CertificateNotFound for a look-up that finds none."""
        if self.issuer and self.domain:
            key = CertificateId(owner, self.issuer, self.domain, self.name).key
            found = [one for one in certificates if one.id.key == key]
            if not found:
                raise CertificateNotFound(key)
        else:
            found = [one for one in certificates if self._matches(one)]
        if self.sort:
            found.sort(key=self._sort_key, reverse=self.descending)
        end = None if self.limit is None else self.offset + self.limit
        return found[self.offset : end], len(found)

    def _matches(self, certificate: Certificate) -> bool:
        for field in ("issuer", "domain", "name"):
            wanted = getattr(self, field)
            if wanted and getattr(certificate, field) != wanted:
                return False
        if self.q and not any(self.q in getattr(certificate, field).casefold() for field in _SEARCHED):
            return False
        if not self.labels:
            return True
        labels = _labels(certificate)
        return all(name in labels and value in {None, labels[name]} for name, value in self.labels)

    def _sort_key(self, certificate: Certificate) -> Any:
        value = getattr(certificate, self.sort)
        return _instant(value) if self.sort in _TIMES else value


def parse_query(args: MultiDict[str, str]) -> Query:
    """Read the query string; unknown parameters are ignored. Raises InvalidRequest."""
    sort = args.get("sort", "")
    if sort and sort.removeprefix("-") not in SORTABLE:
        message = f"'sort' must be one of {', '.join(SORTABLE)}, with a '-' before it for the reverse order"
        raise InvalidRequest(message, "sort")
    labels = (text.partition("=") for text in args.getlist("label"))
    return Query(
        issuer=args.get("issuer", ""),
        domain=args.get("domain", ""),
        name=args.get("name", ""),
        q=args.get("q", "").casefold(),
        labels=tuple((name, value if equals else None) for name, equals, value in labels),
        sort=sort.removeprefix("-"),
        descending=sort.startswith("-"),
        limit=_whole_number(args, "limit", 1),
        offset=_whole_number(args, "offset", 0) or 0,
    )


def link_header(path: str, args: MultiDict[str, str], query: Query, total: int) -> str:
    """`Link` (RFC 8288) to the first, previous, next and last page; empty without a limit."""
    if query.limit is None:
        return ""
    offsets = {"first": 0}
    if query.offset:
        offsets["prev"] = max(0, query.offset - query.limit)
    if query.offset + query.limit < total:
        offsets["next"] = query.offset + query.limit
    offsets["last"] = max(0, (total - 1) // query.limit * query.limit)
    kept = [(name, value) for name, value in args.items(multi=True) if name != "offset"]
    return ", ".join(
        f'<{path}?{urlencode([*kept, ("offset", offset)])}>; rel="{rel}"' for rel, offset in offsets.items()
    )


async def read_metadata(certificates: Sequence[Certificate], plans: Plans) -> list[Mapping[str, Any]]:
    """The records of a list, made without holding other requests up however long it is."""
    records: list[Mapping[str, Any]] = []
    for start in range(0, len(certificates), _BATCH):
        batch = certificates[start : start + _BATCH]
        for certificate, renewal in zip(batch, plans.describe(batch), strict=True):
            records.append(certificate_to_json(certificate) | {"renewal": renewal})
        await trio.lowlevel.checkpoint()
    return records


def _whole_number(args: MultiDict[str, str], name: str, least: int) -> int | None:
    text = args.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) < least:
        raise InvalidRequest(f"'{name}' must be a whole number from {least} to 999999999", name)
    return int(text)


def _labels(certificate: Certificate) -> dict[str, str]:
    try:
        return parse_labels(certificate.labels)
    except InvalidRequest:  # a record that another program wrote
        return {}


def _instant(text: str) -> float:
    try:
        return parse_time(text).timestamp()
    except ValueError:
        return float("-inf")
