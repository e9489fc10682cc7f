from __future__ import annotations

import json
from typing import Any

import pytest

from acme_manager.domain.certificate import certificate_from_json
from acme_manager.errors import InvalidRequest
from acme_manager.ring.fence import Fence, fence_from_json, fence_to_json
from acme_manager.storage import keys

FENCE = Fence(term=7, holder="node1", voters=("node1", "node2", "node3"), since="2026-11-24T11:27:27Z")


def test_a_record_survives_json() -> None:
    assert fence_from_json(json.loads(json.dumps(fence_to_json(FENCE)))) == FENCE


def test_a_record_is_readable_as_a_certificate_without_contents() -> None:
    assert certificate_from_json(fence_to_json(FENCE)).id.owner == ".acme-manager"


def test_its_key_lies_where_no_certificate_and_no_order_can() -> None:
    key = keys.fence_key("/certificates/")
    assert key == "certificates/.acme-manager/fence"
    assert keys.certificate_id_from_key("certificates", key) is None
    assert keys.order_id_from_key("certificates", key) is None
    with pytest.raises(InvalidRequest, match="reserved"):
        keys.certificate_key("certificates", certificate_from_json({"owner": ".acme-manager", "name": "fence"}).id)


def test_fields_of_later_versions_are_ignored_and_voters_are_put_in_order() -> None:
    record = {"term": 1, "holder": "b", "voters": ["b", "a", "b"], "colour": "red"}
    assert fence_from_json(record) == Fence(term=1, holder="b", voters=("a", "b"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("term", value) for value in (None, 0, -1, 1.5, "1", True)],
        *[("holder", value) for value in (None, "", 3)],
        *[("voters", value) for value in (None, [], "abc", [""], [1], {"a": 1})],
    ],
)
def test_a_damaged_record_is_refused_by_the_name_of_the_field(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"the fence record's '{field}'"):
        fence_from_json(fence_to_json(FENCE) | {field: value})
