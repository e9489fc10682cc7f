"""Forms: only our own pages may send them, they change something on the leader, and an error keeps what was typed."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import cast
from urllib.parse import parse_qsl

import attrs
import trio
from quart import Response, current_app, g

from acme_manager.api.forward import EXTENSION, Forwarder
from acme_manager.api.request import current_request, services
from acme_manager.errors import (
    AcmeManagerError,
    AdministratorsOnly,
    FormOutdated,
    FormRefused,
    MissingScope,
    NotAuthenticated,
    NotFound,
    Unavailable,
)
from acme_manager.web.viewer import Viewer, find_viewer
from acme_manager.web.words import address

TOKEN_FIELD = "form_token"  # noqa: S105 a name
_MOST_FIELDS = 2000
_LONGEST_ADDRESS = 8000
_NOT_FOR_THEM = (NotAuthenticated, AdministratorsOnly, MissingScope, NotFound)


@attrs.frozen
class Form(Mapping[str, str]):
    """What was typed. A field that is not there is empty; a box that is ticked says `on`."""

    fields: Mapping[str, tuple[str, ...]]

    @classmethod
    def read(cls, body: bytes) -> Form:
        """Read `application/x-www-form-urlencoded`. Raises FormRefused."""
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
        except ValueError as error:
            raise FormRefused("the form can't be read: it is not UTF-8, or has too many fields") from error
        found: dict[str, tuple[str, ...]] = {}
        for name, value in pairs:
            found[name] = (*found.get(name, ()), value.replace("\r\n", "\n"))
        return cls(found)

    def __getitem__(self, name: str) -> str:
        return self.fields.get(name, ("",))[-1].strip()

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a field that may be there several times."""
        return tuple(value.strip() for value in self.fields.get(name, ()) if value.strip())

    def ticked(self, name: str) -> bool:
        """Whether a box was ticked."""
        return bool(self[name])


Handler = Callable[[Viewer, Form], Awaitable[Response]]
Again = Callable[[Viewer, Form, BaseException], Awaitable[Response]]


def submitted(
    again: Again | None = None, *, here: bool = False, filled: str = ""
) -> Callable[[Handler], Callable[[], Awaitable[Response]]]:
    """Have a handler take a form: on the leader, unless it changes nothing but what is on this node (`here`).

    `again` shows the form with what was typed and an error that was foreseen; without it that is a page of its own, and
    so it is for whoever may not have that form. `filled` names the page that takes fields from its address: there one
    can go on when the session has ended while one typed.
    """

    def decorate(handler: Handler) -> Callable[[], Awaitable[Response]]:
        @functools.wraps(handler)
        async def take() -> Response:
            try:
                viewer, form = await read_form()
            except (NotAuthenticated, FormOutdated):
                if filled:
                    g.go_on_at = _filled_in(filled, await read_fields())  # noqa: ASYNC120 who cancels wants no answer
                raise
            work = partial(handler, viewer, form)
            try:
                if here:
                    return await work()
                forwarder = cast("Forwarder", current_app.extensions[EXTENSION])
                return await forwarder.serve(current_request(), work)
            except (AcmeManagerError, trio.TooSlowError) as error:
                current_request().failure = str(error)
                if again is None or isinstance(error, _NOT_FOR_THEM):
                    raise
                return await again(viewer, form, error)

        # What `wraps` passes on is the handler's signature; Quart calls this one, with nothing.
        del take.__wrapped__
        return take

    return decorate


def _filled_in(page: str, form: Form) -> str:
    """The address of a form with what was typed; empty if there is none, or if it is too long for an address."""
    found = address(page, **{name: values for name, values in form.fields.items() if name != TOKEN_FIELD})
    return found if len(found) < _LONGEST_ADDRESS else ""


async def on_leader_if_any(work: Callable[[], Awaitable[Response]]) -> Response:
    """What any node can do, done by the leader where there is one: it has the audit log, and counts what fails."""
    cluster = services().cluster
    if cluster.leads() or cluster.leader_url() is None:
        return await work()
    forwarder = cast("Forwarder", current_app.extensions[EXTENSION])
    try:
        return await forwarder.serve(current_request(), work)
    except Unavailable:
        return await work()


async def read_form() -> tuple[Viewer, Form]:
    """Who sent the form, and what it says. Raises NotAuthenticated, and FormRefused for one that is not ours."""
    viewer = await find_viewer()
    if viewer.session is None:
        raise NotAuthenticated("forms are for people: log in first, or use the API (/swagger)")
    form = await read_fields()
    check_form_token(form, viewer.form_token)
    return viewer, form


async def read_fields() -> Form:
    """The fields of the request at hand. Raises FormRefused."""
    request = current_request()
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        raise FormRefused("another site sent this form")
    body = await request.get_data(as_text=False)
    return Form.read(cast("bytes", body))


def check_form_token(form: Form, expected: str) -> None:
    """Raise FormOutdated unless the form came from a page of ours, in the same session."""
    if not expected or not hmac.compare_digest(form[TOKEN_FIELD].encode(), expected.encode()):
        raise FormOutdated
