"""How the last attempts at a certificate went."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class StepAnswer:
    """A step that was taken, and when, in RFC 3339."""

    step: str
    at: str


@attrs.frozen(kw_only=True)
class SightAnswer:
    """What a name server showed when it was last asked, and since when. `words` go on after the server's name."""

    server: str
    complete: bool
    words: str
    since: str


@attrs.frozen(kw_only=True)
class WrittenRecord:
    """A TXT record that was written, by which provider, with which credentials, and who has shown it."""

    name: str
    value: str
    provider: str
    credentials: str = ""
    servers: list[SightAnswer]


@attrs.frozen(kw_only=True)
class AttemptAnswer:
    """An attempt to get a certificate, or to revoke and delete it. What says nothing is left out. Times: RFC 3339.

    `outcome`: `running`, `issued`, `deleted`, `failed`, or `interrupted` when its node stopped leading. `reason`: why
    it was made. `error`: why it failed; `cause`: that in one word, `dns`, `credentials`, `rate_limit`, …; `problem`:
    what the CA said. At most 20 records and 8 servers of each are noted.
    """

    began: str
    ended: str = ""
    outcome: str
    reason: str
    issuer: str = ""
    steps: list[StepAnswer]
    records: list[WrittenRecord]
    error: str = ""
    cause: str = ""
    problem: str = ""


AttemptsAnswer = list[AttemptAnswer]


@attrs.frozen(kw_only=True)
class AttemptsQuery:
    """Which certificate: by issuer and domain, or by name."""

    issuer: str = ""
    domain: str = ""
    name: str = ""
