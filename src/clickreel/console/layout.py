"""The frame around every screen: the rail of screens, the topic, the finder, the clock's zone, the theme, the keyboard."""

from __future__ import annotations

import html
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from nicegui import events, ui

from clickreel.console.context import ConsoleContext
from clickreel.console.markup import tag
from clickreel.foreign_text import printable

ASSETS = Path(__file__).parent / "assets"
# The address changes with the content, so that a browser may keep it.
STYLE_SHEET = f"/assets/console.css?{zlib.crc32((ASSETS / 'console.css').read_bytes()):08x}"


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen.

    Attributes:
        path: Its address.
        name: What the rail calls it.
        key: The letter that goes there after ``g``.
    """

    path: str
    name: str
    key: str


SCREENS = (
    Screen("/", "Overview", "o"),
    Screen("/messages", "Messages", "m"),
    Screen("/monitor", "Monitor", "n"),
    Screen("/contract", "Data contract", "c"),
    Screen("/sql", "SQL", "s"),
    Screen("/dashboard", "Dashboard", "d"),
    Screen("/quality", "Quality", "q"),
    Screen("/drive", "Drive", "v"),
)

# What can be seen before the framework runs: the same frame, until the framework's own stands there.
_BEFORE_FRAMEWORK = """
<div class="shell" id="first-sight" aria-hidden="true">
  <div class="rail"><div class="brand"><span class="brand-reel"></span>clickreel</div>{links}</div>
  <div class="page"><div class="top"><span class="top-title">{title}</span><span class="topic-tag">{topic}</span></div></div>
</div>
<script>
clickreel.paint();
clickreel.showScreen();
new MutationObserver((_, all) => {{
  if (!document.getElementById("app")?.firstElementChild) return;
  document.getElementById("first-sight").remove();
  clickreel.showScreen();
  all.disconnect();
}}).observe(document.body, {{ childList: true, subtree: true }});
</script>
"""

# Keys, theme and zone live in the browser: they must work while the server is away, and survive a reload without a cookie.
_BROWSER = """
document.documentElement.lang = "en";
window.clickreel = {
  isLocal: () => localStorage.getItem("clickreel-zone") === "local",
  zone() { localStorage.setItem("clickreel-zone", clickreel.isLocal() ? "utc" : "local"); location.reload(); },
  dark: () => (localStorage.getItem("clickreel-theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark",
  theme() { localStorage.setItem("clickreel-theme", clickreel.dark() ? "light" : "dark"); clickreel.paint(); },
  // On a narrow page the rail is a bar that is wider than the page.
  showScreen() {
    for (const link of document.querySelectorAll(".rail-link[aria-current]")) link.parentElement.scrollLeft = link.offsetLeft - 80;
  },
  paint() {
    document.body.classList.toggle("body--dark", clickreel.dark());
    document.body.classList.toggle("body--light", !clickreel.dark());
  },
};
document.addEventListener("DOMContentLoaded", clickreel.paint);
document.addEventListener("visibilitychange", () => window.emitEvent?.("visibility", document.hidden));
addEventListener("resize", clickreel.showScreen);
new MutationObserver(() => {
  if (document.body && document.body.classList.contains("body--dark") !== clickreel.dark()) clickreel.paint();
}).observe(document.documentElement, { attributes: true, subtree: true, attributeFilter: ["class"] });
let going = 0;
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    [...document.querySelectorAll('[aria-keyshortcuts="Escape"]')].find((one) => one.checkVisibility())?.click();
    return;
  }
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable;
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); document.querySelector(".finder")?.focus(); }
  else if (event.key === " " && event.target.tagName !== "BUTTON") {
    const pause = document.querySelector("[data-pause]");
    if (pause) { event.preventDefault(); pause.click(); }
  }
  else if (event.key === "g") going = Date.now();
  else if (Date.now() - going < 1200) {
    const link = document.querySelector(`.rail-link[data-key="${CSS.escape(event.key)}"]`);
    if (link) { event.preventDefault(); link.click(); }
  }
});
"""


@dataclass
class PageState:
    """What a page shows besides its content.

    Attributes:
        is_local_time: Whether the person at the browser asked for local time.
        is_hidden: Whether the page is in a tab that nobody sees: it reads nothing then.
        error: Sets the banner: what is wrong, in words; empty when nothing is.
        zone_changed: Called with the wanted zone once the browser has told it.
    """

    is_local_time: bool = False
    is_hidden: bool = False
    error: Callable[[str], None] = lambda _: None
    zone_changed: list[Callable[[bool], None]] = field(default_factory=list)


@contextmanager
def page_frame(
    context: ConsoleContext, screen_path: str, *, topic: str | None = None, title: str = ""
) -> Iterator[PageState]:
    """Put the frame around a screen's content.

    Args:
        context: The console.
        screen_path: The screen's address; another one for a page that is none of the screens.
        topic: The topic that is shown, where it is not the console's own.
        title: What the page is called, where that is not the screen's name.
    """
    screen = next((one for one in SCREENS if one.path == screen_path), None)
    heading, name = title or (screen.name if screen else ""), topic or context.topic
    ui.page_title(f"{heading} · {name} · clickreel")
    ui.add_head_html(f"<script>{_BROWSER}</script>")
    ui.add_head_html(f'<link rel="stylesheet" href="{STYLE_SHEET}">')
    ui.add_body_html(_before_framework(screen, heading, name))
    tag("a", "Skip to the content").classes("skip").props('href="#content"')
    with ui.element("div").classes("shell"):
        _rail(context, screen, topic)
        with ui.element("main").classes("page").props('id="content"'):
            yield _header(heading, name)


def _before_framework(current: Screen | None, title: str, topic: str) -> str:
    links = "".join(
        f'<a class="rail-link" href="{screen.path}"{" aria-current=page" if screen is current else ""} tabindex="-1">{screen.name}</a>'
        for screen in SCREENS
    )
    return _BEFORE_FRAMEWORK.format(links=links, title=html.escape(title), topic=html.escape(printable(topic)))


def _rail(context: ConsoleContext, current: Screen | None, topic: str | None) -> None:
    query = f"?{urlencode({'topic': topic})}" if topic and topic != context.topic else ""
    with ui.element("nav").classes("rail").props('aria-label="Screens"'):
        with ui.element("a").classes("brand").props('href="/"'):
            ui.element("span").classes("brand-reel").props('aria-hidden="true"')
            ui.label("clickreel")
        for screen in SCREENS:
            link = ui.element("a").classes("rail-link").props(f'href="{screen.path}{query}" data-key="{screen.key}"')
            if screen is current:
                link.props('aria-current="page"')
            with link:
                ui.label(screen.name)
                tag("span", f"g {screen.key}").classes("rail-key").props('aria-hidden="true"')
        with ui.element("div").classes("rail-foot"):
            ui.label("This machine's stack" if context.is_local else "Your own services")
            ui.label("reads and acts" if context.allow_writes else "reads only: --allow-writes to act")


def _header(title: str, topic: str) -> PageState:
    state = PageState()
    with ui.element("header").classes("top"):
        tag("h1", title)
        ui.label(topic).classes("topic-tag")
        ui.element("div").classes("spacer")
        finder = ui.element("input").classes("finder")
        finder.props('type="search" placeholder="Any event, session, user or film id  (/)" aria-label="Find an id"')
        finder.on(
            "keydown.enter",
            js_handler='(event) => { if (event.target.value.trim()) location.href = "/id?q=" + encodeURIComponent(event.target.value.trim()); }',
        )
        zone = tag("button", "UTC").classes("btn").props('type="button" title="Switch between UTC and local time"')
        zone.on("click", js_handler="() => clickreel.zone()")
        theme = tag("button", "◐").classes("btn").props('type="button" aria-label="Light or dark"')
        theme.on("click", js_handler="() => clickreel.theme()")
    banner = ui.label("").classes("banner").props('role="alert"')
    banner.set_visibility(False)

    def show_error(text: str) -> None:
        if banner.text != text:
            banner.set_text(text)
            banner.set_visibility(bool(text))

    async def ask_zone() -> None:
        told = await ui.run_javascript("[clickreel.isLocal(), document.hidden]", timeout=10)
        state.is_local_time, state.is_hidden = bool(told[0]), bool(told[1])
        if state.is_local_time:
            zone.set_text("local time")
            for changed in state.zone_changed:
                changed(True)

    def note_visibility(event: events.GenericEventArguments) -> None:
        state.is_hidden = bool(event.args)

    ui.on("visibility", note_visibility)
    state.error = show_error
    ui.timer(0.05, ask_zone, once=True)
    return state
