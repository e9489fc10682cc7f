"""The `ring.memberlist.*` flags: gossip settings that unit files of existing clusters may carry.

Names and types are those of the Go original; defaults are the ones it really works with where its help says otherwise.
"""

from __future__ import annotations

from acme_manager.config.flag import Flag, FlagValue, Kind

PREFIX = "ring.memberlist."


_SOON = 0.001  # the shortest period that is not a busy loop by mistake


def _flag(
    name: str, kind: Kind, default: FlagValue, help: str, *, low: float | None = None, high: float | None = None
) -> Flag:
    return Flag(name=PREFIX + name, kind=kind, default=default, help=f"Gossip: {help}", low=low, high=high)


MEMBERLIST_FLAGS = (
    _flag("nodename", Kind.STRING, "", "name of this node. Empty: the instance id."),
    _flag("randomize-node-name", Kind.BOOL, True, "add a random suffix to the node's name."),
    _flag("stream-timeout", Kind.DURATION, 2.0, "limit for a TCP exchange with another node.", low=_SOON),
    _flag(
        "retransmit-factor", Kind.INT, 4, "how often a message is passed on, times the logarithm of the nodes.", low=1
    ),
    _flag("join", Kind.STRINGS, (), "a node to join, as host:port; may be given several times."),
    _flag("min-join-backoff", Kind.DURATION, 1.0, "first pause between attempts to join.", low=_SOON),
    _flag("max-join-backoff", Kind.DURATION, 60.0, "longest pause between attempts to join.", low=_SOON),
    _flag("max-join-retries", Kind.INT, 10, "attempts to join other nodes."),
    _flag("abort-if-fast-join-fails", Kind.BOOL, False, "stop the process when the first attempt to join fails."),
    _flag("abort-if-join-fails", Kind.BOOL, False, "stop the process when every attempt to join has failed."),
    _flag("rejoin-interval", Kind.DURATION, 60.0, "how often to join again, to heal a split. 0 turns it off.", low=0),
    _flag("left-ingesters-timeout", Kind.DURATION, 300.0, "how long to remember nodes that have left.", low=0),
    _flag("obsolete-entries-timeout", Kind.DURATION, 30.0, "how long to remember deleted entries."),
    _flag("leave-timeout", Kind.DURATION, 20.0, "limit for saying goodbye to other nodes.", low=0),
    _flag("gossip-interval", Kind.DURATION, 0.2, "how often to send what is new.", low=_SOON),
    _flag("gossip-nodes", Kind.INT, 3, "nodes to send it to each time.", low=1),
    _flag("pullpush-interval", Kind.DURATION, 30.0, "how often to compare the whole state with another node.", low=0),
    _flag("gossip-to-dead-nodes-time", Kind.DURATION, 30.0, "how long to go on sending to dead nodes.", low=0),
    _flag(
        "dead-node-reclaim-time",
        Kind.DURATION,
        0.0,
        "when a dead node's name may be used from another address. 0: at once.",
        low=0,
    ),
    _flag("message-history-buffer-bytes", Kind.INT, 0, "memory for messages sent and received, to look at."),
    _flag("compression-enabled", Kind.BOOL, True, "compress messages."),
    _flag("notify-interval", Kind.DURATION, 0.0, "collect changes for that long before telling watchers."),
    _flag("advertise-addr", Kind.STRING, "", "address other nodes are told. Empty: the bound one."),
    _flag("advertise-port", Kind.INT, 7946, "port other nodes are told."),
    _flag("cluster-label", Kind.STRING, "", "a label that all nodes of one cluster share."),
    _flag("cluster-label-verification-disabled", Kind.BOOL, False, "accept messages with another label or none."),
    _flag(
        "broadcast-timeout-for-local-updates-on-shutdown",
        Kind.DURATION,
        10.0,
        "how long a stop may wait until local changes are sent.",
    ),
    _flag("watch-prefix-buffer-size", Kind.INT, 128, "changes kept for a slow watcher."),
    _flag("bind-addr", Kind.STRINGS, (), "address to listen on; may be given several times."),
    _flag("bind-port", Kind.INT, 7946, "port to listen on."),
    _flag("packet-dial-timeout", Kind.DURATION, 0.5, "limit for connecting to another node."),
    _flag("packet-write-timeout", Kind.DURATION, 0.5, "limit for sending to another node."),
    _flag("max-concurrent-writes", Kind.INT, 5, "messages sent at once."),
    _flag("acquire-writer-timeout", Kind.DURATION, 1.0, "how long a message waits for its turn."),
    _flag("transport-debug", Kind.BOOL, False, "log every message."),
    _flag(
        "delegate-version",
        Kind.INT,
        0,
        "version of our part of the protocol. 5: the one that serf accepts.",
        low=0,
        high=5,
    ),
    _flag("tls-enabled", Kind.BOOL, False, "speak TLS with other nodes."),
    _flag("tls-cert-path", Kind.STRING, "", "our certificate, PEM."),
    _flag("tls-key-path", Kind.STRING, "", "our key, PEM."),
    _flag("tls-ca-path", Kind.STRING, "", "CAs that other nodes' certificates come from, PEM."),
    _flag("tls-server-name", Kind.STRING, "", "name expected in other nodes' certificates."),
    _flag("tls-cipher-suites", Kind.STRING, "", "cipher suites, separated by commas."),
    _flag("tls-min-version", Kind.STRING, "", "lowest TLS version."),
    _flag("tls-insecure-skip-verify", Kind.BOOL, False, "do not check other nodes' certificates."),
)
