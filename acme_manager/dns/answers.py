"""What an answer means for us. Pure: reads dnspython's messages, asks nothing.

Names are texts, absolute, lower case, without the final dot.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import attrs
import dns.rdtypes.ANY.TXT
from dns.message import Message
from dns.name import Name
from dns.rcode import Rcode
from dns.rcode import to_text as rcode_text
from dns.rdata import Rdata
from dns.rdatatype import CNAME, NS, SOA, TXT, RdataType
from dns.rrset import RRset

from acme_manager.dns.challenge import within

_VALUES_SHOWN = 3
_RCODES = {
    Rcode.NXDOMAIN: "says that the name does not exist (NXDOMAIN)",
    Rcode.REFUSED: "refuses to answer (REFUSED)",
    Rcode.SERVFAIL: "fails to answer (SERVFAIL)",
}


@attrs.frozen
class Sight:
    """What one server showed when it was last asked. `words` continue a sentence that begins with the server."""

    complete: bool
    words: str


UNSEEN = Sight(complete=False, words="has not answered yet")


def see(message: Message, wanted: Collection[str]) -> Sight:
    """Whether an answer to a TXT question has every value that is wanted."""
    if message.rcode() != Rcode.NOERROR:
        return Sight(complete=False, words=refusal(message))
    shown = [value for rrset in _of_type(message.answer, TXT) for value in _texts(rrset)]
    if set(wanted) <= set(shown):
        return Sight(complete=True, words="shows the record")
    if not shown:
        aliases = [str(target) for rrset in _of_type(message.answer, CNAME) for target in _targets(rrset)]
        return Sight(
            complete=False, words=f"has a CNAME to {aliases[-1]} there" if aliases else "has no TXT record there"
        )
    more = f" and {len(shown) - _VALUES_SHOWN} more" if len(shown) > _VALUES_SHOWN else ""
    values = ", ".join(f"'{value[:60]}'" for value in shown[:_VALUES_SHOWN])
    return Sight(complete=False, words=f"shows other values: {values}{more}")


def refusal(message: Message) -> str:
    """A response code other than NOERROR in words that continue a sentence beginning with the server."""
    code = message.rcode()
    return _RCODES.get(code, f"answers {rcode_text(code)}")


def usable(message: Message) -> bool:
    """Whether the server said something about the name, be it that there is no such name."""
    return message.rcode() in {Rcode.NOERROR, Rcode.NXDOMAIN}


def alias_of(message: Message, name: str) -> str | None:
    """The target of the CNAME that a name has according to an answer."""
    for rrset in _of_type(message.answer, CNAME):
        if plain(rrset.name) == name:
            return next(_targets(rrset), None)
    return None


def zone_of(message: Message, name: str) -> str | None:
    """The zone a name is in, if the answer shows its SOA record, be it the answer itself or the proof of a denial."""
    if alias_of(message, name) is not None:
        return None  # the SOA record belongs to the zone of the alias's target
    found = [plain(rrset.name) for rrset in _of_type([*message.answer, *message.authority], SOA)]
    return max((zone for zone in found if within(name, zone)), key=len, default=None)


def referral(message: Message, name: str, zone: str) -> str | None:
    """The zone below `zone` that a server points to because it does not know about the name itself."""
    if message.answer or _any(message.authority, SOA):
        return None
    cuts = [plain(rrset.name) for rrset in _of_type(message.authority, NS)]
    return next((cut for cut in cuts if cut != zone and within(cut, zone) and within(name, cut)), None)


def targets(message: Message, kind: RdataType) -> list[str]:
    """The texts of all records of one type in an answer: names of an NS answer, addresses of an A answer."""
    return [str(data).rstrip(".").lower() for rrset in _of_type(message.answer, kind) for data in rrset]


def records_of(message: Message, name: str, kind: RdataType) -> tuple[Rdata, ...]:
    """The records of one type that a name itself has according to an answer."""
    return tuple(data for rrset in _of_type(message.answer, kind) if plain(rrset.name) == name for data in rrset)


def plain(name: Name) -> str:
    """Our spelling of a name; the root is empty."""
    return name.to_text(omit_final_dot=True).rstrip(".").lower()


def _of_type(section: list[RRset], kind: RdataType) -> Iterator[RRset]:
    return (rrset for rrset in section if rrset.rdtype == kind)


def _any(section: list[RRset], kind: RdataType) -> bool:
    return any(True for _ in _of_type(section, kind))


def _targets(rrset: RRset) -> Iterator[str]:
    return (plain(data.target) for data in rrset)


def _texts(rrset: RRset) -> Iterator[str]:
    return (
        b"".join(data.strings).decode("utf-8", "replace") for data in rrset if isinstance(data, dns.rdtypes.ANY.TXT.TXT)
    )
