"""What our little name server answers, as a function of bytes: no socket, no clock, no Trio.

It plays the authoritative server of every zone there is. A zone is the last two labels of a name, every name exists,
every address is 127.0.0.1, and TXT records are what signed updates (RFC 2136, RFC 8945) put there. That is enough for
our own rfc2136 provider, for the check of propagation, and for the CA.
"""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update
from dns.rdatatype import NS, SOA, TXT, A

_TTL = 1  # seconds; nobody is to remember what may change in a moment
_EDNS_PAYLOAD = 1232
_HEADER = 12
_REFUSED_TYPES = frozenset({dns.rdatatype.AXFR, dns.rdatatype.IXFR})
_ADDRESS = "127.0.0.1"


def zone_of(name: dns.name.Name) -> dns.name.Name:
    """The last two labels of a name (or all it has), before the root."""
    return dns.name.Name(name.labels[-3:])


class Zones:
    """Every zone, with the TXT records that were put into them."""

    def __init__(self, key: dns.tsig.Key) -> None:
        self._keyring = {key.name: key}
        self._texts: dict[dns.name.Name, set[dns.rdata.Rdata]] = {}

    def answer_untrusted(self, wire: bytes, limit: int = 65535) -> bytes | None:
        """Answer one message within `limit` bytes, or within what it allows itself by EDNS.

        `wire` may be anything. None means that there is nobody to answer: too short, or itself an answer. Never raises.
        """
        if len(wire) < _HEADER or wire[2] & 0x80:
            return None
        try:
            query = dns.message.from_wire(wire, keyring=self._keyring)
            response = dns.message.make_response(query, our_payload=_EDNS_PAYLOAD)
            response.set_rcode(self._handle(query, response))
        except (dns.message.UnknownTSIGKey, dns.tsig.BadSignature, dns.tsig.BadTime, dns.tsig.BadKey):
            return _bare(wire, dns.rcode.NOTAUTH)
        except dns.exception.DNSException:
            return _bare(wire, dns.rcode.FORMERR)
        room = limit if limit > 512 else max(limit, query.payload)
        return response.to_wire(max_size=min(max(room, 512), 65535), prefer_truncation=True)

    def _handle(self, query: dns.message.Message, response: dns.message.Message) -> dns.rcode.Rcode:
        if isinstance(query, dns.update.UpdateMessage):
            return self._update(query)
        if query.opcode() != dns.opcode.QUERY:
            return dns.rcode.NOTIMP
        return self._query(query, response)

    # --- questions -----------------------------------------------------------------------------------------------

    def _query(self, query: dns.message.Message, response: dns.message.Message) -> dns.rcode.Rcode:
        if len(query.question) != 1:
            return dns.rcode.FORMERR
        asked = query.question[0]
        if asked.rdclass != dns.rdataclass.IN or asked.rdtype in _REFUSED_TYPES:
            return dns.rcode.REFUSED
        response.flags |= dns.flags.AA
        found = self._find(asked.name, asked.rdtype)
        if found is None:
            response.authority.append(_soa(zone_of(asked.name)))
        else:
            response.answer.append(found)
        return dns.rcode.NOERROR

    def _find(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.rrset.RRset | None:
        zone = zone_of(name)
        if kind == TXT and self._texts.get(name):
            return dns.rrset.from_rdata_list(name, _TTL, sorted(self._texts[name]))
        if kind == A:
            return dns.rrset.from_text(name, _TTL, "IN", "A", _ADDRESS)
        if kind == SOA and name == zone:
            return _soa(zone)
        if kind == NS and name == zone:
            return dns.rrset.from_text(zone, _TTL, "IN", "NS", _below(zone, "ns"))
        return None

    # --- updates -------------------------------------------------------------------------------------------------

    def _update(self, update: dns.update.UpdateMessage) -> dns.rcode.Rcode:
        if not update.had_tsig:
            return dns.rcode.REFUSED
        if len(update.zone) != 1:
            return dns.rcode.FORMERR
        zone = update.zone[0].name
        if zone != zone_of(zone) or update.zone[0].rdclass != dns.rdataclass.IN:
            return dns.rcode.NOTAUTH
        if update.prerequisite:
            return dns.rcode.REFUSED
        for change in update.update:  # all of an update or nothing of it (RFC 2136 section 3.4)
            if zone_of(change.name) != zone:
                return dns.rcode.NOTZONE
            if change.rdtype != TXT and not (change.rdtype == dns.rdatatype.ANY and change.deleting):
                return dns.rcode.REFUSED
        for change in update.update:
            self._apply(change)
        return dns.rcode.NOERROR

    def _apply(self, change: dns.rrset.RRset) -> None:
        if change.deleting == dns.rdataclass.ANY:
            self._texts.pop(change.name, None)
            return
        values = self._texts.setdefault(change.name, set())
        if change.deleting == dns.rdataclass.NONE:
            values.difference_update(change)
        else:
            values.update(change)
        if not values:
            del self._texts[change.name]


def _soa(zone: dns.name.Name) -> dns.rrset.RRset:
    names = f"{_below(zone, 'ns')} {_below(zone, 'hostmaster')}"
    return dns.rrset.from_text(zone, _TTL, "IN", "SOA", f"{names} 1 3600 600 86400 {_TTL}")


def _below(zone: dns.name.Name, label: str) -> str:
    return dns.name.from_text(label, zone).to_text()


def _bare(wire: bytes, rcode: dns.rcode.Rcode) -> bytes:
    """An answer of a header only, to what can't be read or may not be believed."""
    response = dns.message.Message(int.from_bytes(wire[:2]))
    response.flags = dns.flags.QR | (int.from_bytes(wire[2:4]) & 0x7800)
    response.set_rcode(rcode)
    return response.to_wire()
