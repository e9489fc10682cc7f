"""Whatever callers and foreign records say, what `/metrics` shows can be read back as what it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from acme_manager.domain.exposition import Family, label_text, with_user_labels

TEXT = st.text(max_size=40)
USUAL = st.sampled_from(["issuer", "name", "job", "__name__", "env", "a_1", "label_issuer", "le"])
LABELS = st.lists(st.tuples(USUAL | TEXT, TEXT), max_size=6).map(lambda pairs: ",".join(f"{k}={v}" for k, v in pairs))


@given(issuer=TEXT, name=TEXT, labels=LABELS)
def test_one_certificate_is_one_sample_with_its_own_identity(issuer: str, name: str, labels: str) -> None:
    family = Family("acme_manager_x", "gauge", "x")
    line = f"{family.name}{{{label_text(with_user_labels({'issuer': issuer, 'name': name}, labels))}}} 1\n"
    text = family.header(openmetrics=False) + line
    (found,) = text_string_to_metric_families(text.encode(errors="replace").decode())
    (sample,) = found.samples
    assert sample.value == 1
    for label, value in (("issuer", issuer), ("name", name)):
        if value.isprintable():
            assert sample.labels[label] == value
