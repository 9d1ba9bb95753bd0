"""The other screens in a real browser: the contract, SQL, any id; and what needs no browser."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from clickreel.console.lookup_page import id_kind, plain_id
from clickreel.console.schema_page import _side_by_side
from clickreel.console.sql_run import locate_clickhouse_error
from tests.console.conftest import Console


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("84e0e977-9ee7-4eec-9cd6-f7655e481cb3", "event"),
        ("s_53482d2c", "session"),
        ("u_10", "user"),
        ("331", "film"),
        ("2147483647", "film"),
        ("2147483648", "other"),
        ("u_0", "other"),
        ("s_53482d2", "other"),
        ("<script>", "other"),
        ("", "other"),
    ],
)
def test_an_id_is_known_by_its_form(given: str, kind: str) -> None:
    """Each kind of id has a form of its own, and what has none is no id."""
    assert kind == id_kind(given)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (' "u_10", ', "u_10"),
        ("84E0E977-9EE7-4EEC-9CD6-F7655E481CB3", "84e0e977-9ee7-4eec-9cd6-f7655e481cb3"),
        ("{84e0e977-9ee7-4eec-9cd6-f7655e481cb3}", "84e0e977-9ee7-4eec-9cd6-f7655e481cb3"),
        ("s_53482d2c", "s_53482d2c"),
        ("no id", "no id"),
    ],
)
def test_what_is_copied_along_with_an_id_is_left_out(given: str, found: str) -> None:
    """Quotation marks of a key, commas of a list, another spelling of a UUID."""
    assert plain_id(given) == found


@pytest.mark.parametrize("path", ["monitor?span=", "contract?version=", "contract?against=", "dashboard?minutes="])
@pytest.mark.parametrize("value", ["abc", "-1", "99999999999999999999", "%00", "1.5"])
def test_an_address_that_somebody_has_typed_opens_the_screen(console: Console, path: str, value: str) -> None:
    """Whatever is no number there is the default, and never an error in JSON."""
    with urllib.request.urlopen(f"{console.address}{path}{value}", timeout=60) as answer:
        assert answer.status == 200
        assert "<title>" in answer.read().decode()


def test_an_address_of_nothing_says_so_within_the_frame(console: Console) -> None:
    """404 with the screens beside it; the API's and the files' own stay as they are."""
    with pytest.raises(urllib.error.HTTPError) as missing:
        urllib.request.urlopen(f"{console.address}nothing", timeout=60)
    text = missing.value.read().decode()
    assert missing.value.code == 404
    assert "No such page" in text
    assert "/messages" in text


def test_versions_are_compared_side_by_side() -> None:
    """A changed line stands beside what it was, an added one beside nothing."""
    assert _side_by_side("a\nb", "a\nc\nd") == [("a", "a", False), ("b", "c", True), ("", "d", True)]


@pytest.mark.parametrize(
    ("message", "source", "place"),
    [
        (
            "DB::Exception: Unknown expression identifier `nothing`. In scope SELECT 1, nothing",
            "SELECT 1,\n  nothing",
            (2, 3),
        ),
        ("DB::Exception: Function with name `nofunc` does not exist.", "SELECT nofunc(1)", (1, 8)),
        ("DB::Exception: Unknown table expression identifier 'nota'.", "SELECT nota1\nFROM nota", (2, 6)),
        ("DB::Exception: Syntax error: failed at position 1 (SELEC): SELEC 1.", "SELEC 1", (1, 1)),
        ("DB::Exception: Syntax error: failed at position 9 (FRM) (line 2, col 1): FRM t", "SELECT a\nFRM t", (2, 1)),
        ("DB::Exception: Timeout exceeded", "SELECT 1", (0, 0)),
    ],
)
def test_an_error_of_clickhouse_is_shown_at_its_place(message: str, source: str, place: tuple[int, int]) -> None:
    """By the position that it names, or else by the name at fault."""
    assert place == locate_clickhouse_error(message, source, source)


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


@pytest.mark.stack
def test_the_answers_are_served_beside_the_pages(console: Console) -> None:
    """With their description, and under the same guard."""
    with urllib.request.urlopen(f"{console.address}api/openapi.json", timeout=60) as answer:
        paths = json.load(answer)["paths"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert {"/charts", "/trending", "/recommend/users/{user}"} <= set(paths)
    foreign = urllib.request.Request(f"{console.address}api/charts", headers={"Origin": "http://attacker.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(foreign, timeout=60)
