"""What the outer layers get: every use case in one value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
from prometheus_client import CollectorRegistry

from acme_manager.oidc.provider import OpenIdProviders
from acme_manager.ports import Clock, Cluster
from acme_manager.services.attempts import Attempts
from acme_manager.services.audit import Audit
from acme_manager.services.budgets import Budgets
from acme_manager.services.catalogue import Catalogue
from acme_manager.services.certificates import Certificates
from acme_manager.services.challenges import HttpChallenges
from acme_manager.services.changes import Changes
from acme_manager.services.cleanup import Cleanup
from acme_manager.services.counters import Counters
from acme_manager.services.fetches import Fetches
from acme_manager.services.health import Health
from acme_manager.services.inventory import Inventory
from acme_manager.services.issuer_findings import IssuerFindings
from acme_manager.services.issuers import Issuers
from acme_manager.services.node_watch import NodeWatch
from acme_manager.services.operations import Operations
from acme_manager.services.passes import Passes
from acme_manager.services.plans import Plans
from acme_manager.services.plugins import Plugins
from acme_manager.services.preflight import Preflight
from acme_manager.services.progress import Progress
from acme_manager.services.rate_limits import RateLimits
from acme_manager.services.reports import Reports
from acme_manager.services.request_choices import RequestChoices
from acme_manager.services.resync import Resync
from acme_manager.services.sessions import Sessions
from acme_manager.services.settings import Settings
from acme_manager.services.signals import Signals
from acme_manager.services.tokens import Tokens


@attrs.frozen(kw_only=True)
class Services:
    """Everything that the outer layers may call."""

    cluster: Cluster
    certificates: Certificates
    plans: Plans
    tokens: Tokens
    sessions: Sessions
    oidc: OpenIdProviders
    cleanup: Cleanup
    operations: Operations
    challenges: HttpChallenges
    health: Health
    preflight: Preflight
    request_choices: RequestChoices
    plugins: Plugins
    issuers: Issuers
    budgets: Budgets
    issuer_findings: IssuerFindings
    progress: Progress
    attempts: Attempts
    audit: Audit
    changes: Changes
    signals: Signals
    reports: Reports
    passes: Passes
    node_watch: NodeWatch
    fetches: Fetches
    counters: Counters
    inventory: Inventory
    catalogue: Catalogue
    rate_limits: RateLimits
    resync: Callable[[], Awaitable[Resync]]  # only the leader can
    settings: Settings
    clock: Clock
    registry: CollectorRegistry
    instance_id: str
