"""The other screens in a real browser: the contract, SQL, any id; and what needs no browser."""

from __future__ import annotations

from typing import Any

import pytest

from clickreel.console.lookup_page import id_kind
from clickreel.console.schema_page import _side_by_side
from tests.console.conftest import Console


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("84e0e977-9ee7-4eec-9cd6-f7655e481cb3", "event"),
        ("s_53482d2c", "session"),
        ("u_10", "user"),
        ("331", "film"),
        ("u_0", "other"),
        ("s_53482d2", "other"),
        ("<script>", "other"),
        ("", "other"),
    ],
)
def test_an_id_is_known_by_its_form(given: str, kind: str) -> None:
    """Each kind of id has a form of its own, and what has none is no id."""
    assert kind == id_kind(given)


def test_versions_are_compared_side_by_side() -> None:
    """A changed line stands beside what it was, an added one beside nothing."""
    assert _side_by_side("a\nb", "a\nc\nd") == [("a", "a", False), ("b", "c", True), ("", "d", True)]


@pytest.mark.stack
def test_a_next_version_is_judged_with_the_reason_and_nothing_is_registered(console: Console, page: Any) -> None:
    """Without a registry the package's own versions are shown; a narrower rule is refused and the other way named."""
    page.goto(f"{console.address}contract")
    page.wait_for_selector("text=Would the next version be accepted?")
    page.get_by_label("What to change").select_option("drop_word")
    page.get_by_label("The change").fill("device=tablet")
    page.get_by_label("The change").press("Tab")
    page.get_by_role("button", name="Would it be accepted?").click()
    page.wait_for_selector("text=✗ refused under BACKWARD")
    page.wait_for_selector("text=what would be accepted")


@pytest.mark.stack
def test_what_is_looked_for_is_text_and_never_markup(console: Console, page: Any) -> None:
    """A link with markup in it shows the markup."""
    page.goto(f"{console.address}id?q=%3Cimg%20src=x%20onerror=document.title=1%3E")
    page.wait_for_selector("text=<img src=x onerror=document.title=1> is no id of this shop")
    assert page.title() != "1"
