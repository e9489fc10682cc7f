from __future__ import annotations

import pytest

from acme_manager.domain.exposition import Family, label_text, with_user_labels

OWN = {"issuer": "le", "name": ""}


@pytest.mark.parametrize(
    ("text", "added"),
    [
        ("", {}),
        ("env=prod,team=web", {"env": "prod", "team": "web"}),
        ("issuer=mine,env=a", {"label_issuer": "mine", "env": "a"}),
        (
            "job=a,instance=b,le=c,quantile=d",
            {f"label_{k}": v for k, v in zip(("job", "instance", "le", "quantile"), "abcd", strict=True)},
        ),
        ("__name__=acme_manager_up", {"label___name__": "acme_manager_up"}),
        ("issuer=a,label_issuer=b", {"label_issuer": "b"}),
        ("1a=x,a-b=y,=z,ü=u,ok=1", {"ok": "1"}),
    ],
)
def test_labels_of_callers_neither_hide_ours_nor_break_a_scrape(text: str, added: dict[str, str]) -> None:
    assert with_user_labels(OWN, text) == {**OWN, **added}


def test_there_is_a_limit_to_what_a_caller_can_blow_up() -> None:
    many = ",".join(f"l{number}={'x' * 1000}" for number in range(1000))
    labels = with_user_labels(OWN, many)
    assert len(labels) == 2 + 32
    assert len(label_text(labels)) < 34 * 270


def test_values_can_not_end_early_or_begin_a_line_of_their_own() -> None:
    assert label_text({"a": 'x"} 1\nacme_manager_up 1\\'}) == r'a="x\"} 1\nacme_manager_up 1\\"'
    assert label_text({"a": "x\x00\r\ty"}) == 'a="x\ufffd\ufffd\ufffdy"'


@pytest.mark.parametrize(
    ("type", "name", "classic", "modern"),
    [
        ("gauge", "x_total", "# TYPE x_total gauge", "# TYPE x_total gauge"),
        ("counter", "x_total", "# TYPE x_total counter", "# TYPE x counter"),
        ("unknown", "x_created", "# TYPE x_created untyped", "# TYPE x_created unknown"),
    ],
)
def test_each_format_has_its_own_words(type: str, name: str, classic: str, modern: str) -> None:
    family = Family(name, type, "What it is")  # type: ignore[arg-type] # of the three
    assert family.header(openmetrics=False).splitlines()[1] == classic
    assert family.header(openmetrics=True).splitlines()[1] == modern
