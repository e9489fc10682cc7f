"""`-dns.list` and `-dns.show`: no configuration is needed."""

from __future__ import annotations

import pytest

from acme_manager.cli import server


def test_the_providers_are_listed_with_their_tier_and_the_totals(capsys: pytest.CaptureFixture[str]) -> None:
    assert server.main(["-dns.list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 200
    assert any(line.split()[:3] == ["rfc2136", "verified", "built"] for line in lines)
    assert any(line.split()[:3] == ["ovh", "mapped", "lego"] for line in lines)
    assert " verified, " in lines[-2]


def test_the_variables_of_one_are_shown_for_each_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert server.main(["-dns.show", "ovh"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ovh: lego, mapped")
    assert "  OVH_APPLICATION_KEY" in lines
    assert any(line.startswith("ovh: lexicon, mapped") for line in lines)


def test_one_that_does_not_exist_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert server.main(["-dns.show", "ohv"]) == 1
    assert "DNS provider 'ohv' does not exist" in capsys.readouterr().err
