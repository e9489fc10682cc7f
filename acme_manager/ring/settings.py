"""What a node of the ring is told at its start, besides the knobs of config.py."""

from __future__ import annotations

import socket

import attrs

from acme_manager.config.flags import Flags
from acme_manager.ring.addresses import Place, find_place
from acme_manager.ring.config import RingConfig
from acme_manager.ring.envelope import Envelope
from acme_manager.ring.join import Seed, guesses, seeds_of
from acme_manager.ring.keyring import Keyring
from acme_manager.ring.leases import LeaseConfig


@attrs.frozen(kw_only=True)
class RingSettings:
    """Times are seconds. `name` must survive a restart: it is what the list of voters holds."""

    name: str = attrs.field(validator=attrs.validators.min_len(1))
    place: Place
    api_url: str = ""  # where this node's API listens, as others reach it
    seeds: tuple[Seed, ...] = ()
    guess_seeds: bool = True  # a voter's name may be that of a host
    envelope: Envelope = attrs.field(factory=Envelope)
    config: RingConfig = attrs.field(factory=RingConfig)
    heartbeat_period: float = 5.0
    heartbeat_timeout: float = 60.0
    keep_on_shutdown: bool = True  # others show who has stopped as LEAVING for a while
    compare_period: tuple[float, float] = (5.0, 10.0)  # between two looks whether a random member's copy is equal
    start_patience: float = 10.0  # how long a start waits for somebody's state, at most
    force_new_cluster: bool = False

    @classmethod
    def from_flags(cls, flags: Flags, *, api_url: str, keyring: Keyring | None = None) -> RingSettings:
        """What the command line asks for. Raises ConfigInvalid naming the flag.

        `randomize-node-name` has no effect: a voter has one name for all its lives.
        """
        config = RingConfig.from_flags(flags, sealed=keyring is not None)
        return cls(
            name=str(flags.ring_memberlist["nodename"]) or flags.ring_instance_id or socket.gethostname(),
            place=find_place(flags),
            api_url=api_url,
            seeds=seeds_of(flags),
            envelope=Envelope(label=config.label.encode(), keyring=keyring, any_label=not config.verify_label),
            config=config,
            heartbeat_period=flags.ring_heartbeat_period,
            heartbeat_timeout=flags.ring_heartbeat_timeout,
            keep_on_shutdown=flags.ring_keep_instance_in_ring_on_shutdown,
            force_new_cluster=flags.ring_force_new_cluster,
        )

    @property
    def lease(self) -> LeaseConfig:
        """A voter is given up after three heartbeat timeouts."""
        return LeaseConfig(lease=self.config.lease, forget_after=3 * self.heartbeat_timeout)

    def all_seeds(self, voters: tuple[str, ...]) -> tuple[Seed, ...]:
        """Whom to join: who was named, and the voters of the fence record by their names."""
        others = [name for name in voters if name != self.name] if self.guess_seeds else []
        return (*self.seeds, *guesses(others, self.place.bind[1]))
