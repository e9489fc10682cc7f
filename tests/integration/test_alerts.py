"""The alerting rules, by Prometheus' own tool: each fires when it should, and only then."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests/data/alerts_test.yml"


def test_every_rule_does_what_its_cases_say() -> None:
    checked = subprocess.run(["promtool", "test", "rules", CASES], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_rule_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    groups = yaml.safe_load((ROOT / "config/alerts.yml").read_text())["groups"]
    cases = [case for test in yaml.safe_load(CASES.read_text())["tests"] for case in test["alert_rule_test"]]
    rules = {rule["alert"] for group in groups for rule in group["rules"]}
    assert len(rules) > 10
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == rules
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == rules


def test_every_alert_says_what_it_is_about_and_how_bad_it_is() -> None:
    groups = yaml.safe_load((ROOT / "config/alerts.yml").read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        assert rule["labels"]["severity"] in {"warning", "critical"}, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]
        assert rule["for"], rule["alert"]
