"""Whether a node can do its work, how its plugins do, and how much of the rate limits has been used up."""

from __future__ import annotations

import attrs
import msgspec


@attrs.frozen(kw_only=True)
class RateLimit:
    """What an owner has used up for one certificate. Times are like `2025-02-09 11:09:01 +0000 UTC`.

    `Remaining` is how long the window lasts: `1h5m`, `5m10s`, `10s`, or `expired`.
    """

    Owner: str
    Issuer: str
    Domain: str
    Name: str
    RequestCount: int
    MaxRequests: int
    WindowStart: str
    WindowEnd: str
    Remaining: str


RateLimitsAnswer = list[RateLimit]


@attrs.frozen(kw_only=True)
class PluginRunAnswer:
    """One run of a plugin. `action`: `present`, `cleanup`, `describe`, `hook`; `at`: when it began, in RFC 3339.

    `outcome`: its exit code, or `timeout`, `refused`, `output` (too much of it), `cancelled`.
    """

    action: str
    at: str
    seconds: float
    outcome: str


@attrs.frozen(kw_only=True)
class PluginAnswer:
    """A plugin of the configuration. `verified`: whether its checksum is known, and checked at each run.

    `variables` are the names of those in its `env`; `summary` is what it says about itself; `timeout` is in seconds.
    """

    name: str
    type: str
    path: str
    verified: bool
    timeout: float
    user: str
    variables: list[str]
    summary: str
    last_run: PluginRunAnswer | msgspec.UnsetType = msgspec.UNSET


@attrs.frozen(kw_only=True)
class ReadyAnswer:
    """Whether this node can do its work. A part's text is `ok` or what is wrong with it."""

    ready: bool
    parts: dict[str, str]
