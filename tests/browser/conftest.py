"""One cluster and one Chromium for all these tests; each person has cookies of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.backstage import Backstage, backstage
from tests.browser.pages import Furniture, furnish
from tests.browser.person import DESKTOP, Person, start_chromium
from tests.browser.stage import Stage, open_stage
from tests.parts.node import API_KEY

NewPerson = Callable[..., Person]


@pytest.fixture(scope="package")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backstage[Stage]]:
    """The cluster, and how to have something done there."""
    with backstage(lambda: open_stage(tmp_path_factory.mktemp("stage"))) as opened:
        yield opened


@pytest.fixture(scope="package")
def stage(behind: Backstage[Stage]) -> Stage:
    """The cluster."""
    return behind.value


@pytest.fixture(scope="package")
def furniture(behind: Backstage[Stage]) -> Furniture:
    """Things to be shown."""
    return behind.call(furnish, behind.value)


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        chromium = start_chromium(playwright, tmp_path_factory.mktemp("chromium"))
        yield chromium
        chromium.close()


@pytest.fixture
def new_person(browser: Browser, stage: Stage) -> Iterator[NewPerson]:
    """Make people: at a node, or at `url`; further arguments are those of Playwright's `new_context`."""
    people: list[Person] = []
    with ExitStack() as stack:

        def make(url: str = "", **options: Any) -> Person:
            context = browser.new_context(**{"viewport": DESKTOP, "locale": "en-GB", "timezone_id": "UTC", **options})
            stack.callback(context.close)
            people.append(Person.at(context, url or stage.url))
            return people[-1]

        yield make
    for person in people:
        person.check()


@pytest.fixture
def admin(new_person: NewPerson) -> Person:
    """An administrator, at home."""
    person = new_person()
    person.log_in(API_KEY)
    return person


@pytest.fixture
def alice(new_person: NewPerson, stage: Stage) -> Person:
    """An owner who may do everything with what is hers."""
    person = new_person()
    person.log_in(stage.node.token)
    return person
