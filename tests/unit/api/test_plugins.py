from __future__ import annotations

from pathlib import Path

from acme_manager.config.model import Common
from tests.fakes.plugins import plugin
from tests.unit.api.world import ADMIN, open_api
from tests.unit.services.world import NOW

PATH = "/api/v1/plugins"


async def test_administrators_see_the_plugins_and_how_they_did_and_no_value_of_a_variable(tmp_path: Path) -> None:
    quiet = plugin(tmp_path, "true", "quiet", type="hook", checksum="", env={"TOKEN": "planted-1", "KEY": "planted-2"})
    refusing = plugin(tmp_path, "echo planted-output; exit 3", "refusing", type="hook")
    async with open_api(common=Common(plugins=(quiet, refusing))) as api:
        answer = await api.client.post(
            "/api/v1/certificate", headers=api.token(), json={"domain": "example.com", "issuer": "test"}
        )
        assert answer.status_code == 500
        problem = await answer.get_json()
        assert problem["type"] == "/problems/order-refused"
        assert "plugin 'refusing' refuses it with exit code 3" in problem["detail"]
        assert "planted" not in str(problem)

        answer = await api.client.get(PATH, headers=ADMIN)
        assert answer.status_code == 200
        assert "planted" not in await answer.get_data(as_text=True)
        first, second = await answer.get_json()
        assert first.pop("last_run")["outcome"] == "0"
        assert first == {
            "name": "quiet",
            "type": "hook",
            "path": str(quiet.path),
            "verified": False,
            "timeout": 30.0,
            "user": "",
            "variables": ["KEY", "TOKEN"],
            "summary": "",
        }
        assert second["verified"] is True
        run = second["last_run"]
        assert (run["action"], run["outcome"], run["at"][:10]) == ("hook", "3", NOW.date().isoformat())


async def test_one_that_never_ran_has_no_run(tmp_path: Path) -> None:
    async with open_api(common=Common(plugins=(plugin(tmp_path, "true"),))) as api:
        (shown,) = await (await api.client.get(PATH, headers=ADMIN)).get_json()
        assert "last_run" not in shown


async def test_it_is_for_administrators() -> None:
    async with open_api() as api:
        assert (await api.client.get(PATH, headers=api.token())).status_code == 401
