"""Which web pages may use a local HTTP service: those of this machine, and no other.

A browser sends requests for any page that a person has open, to 127.0.0.1 as well. Three headers tell such a request from one of a program:
``Sec-Fetch-Site`` and ``Origin``, which a page cannot set, and ``Host``, which holds the page's own name where that name has been made to
lead here (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
# What a browser says of a request that a person made by hand, and of one by a page of the service itself.
_OWN_SITES = frozenset({"", "none", "same-origin"})


def find_foreign_origin(headers: Mapping[str, str]) -> str | None:
    """Say why a request is a foreign web page's; ``None`` when it is none.

    Args:
        headers: The request's headers, names in lower case.
    """
    origin, host = headers.get("origin", ""), headers.get("host", "localhost")
    site = headers.get("sec-fetch-site", "").lower()
    if not is_loopback(f"//{host}"):
        return f"Host is {host}: only names of this machine are served"
    if origin and not is_loopback(origin):
        return f"Origin is {origin}: only web pages of this machine are let in"
    # A page at another port of this machine is of the same site; it counts by its Origin, which a plain link does not have.
    if site not in _OWN_SITES and not (site == "same-site" and origin):
        return f"Sec-Fetch-Site is {site}: only web pages of this machine are let in"
    return None


def is_loopback(address: str) -> bool:
    """Whether an address, ``http://NAME:PORT`` or ``//NAME:PORT``, names this machine."""
    try:
        return urlsplit(address).hostname in LOOPBACK_NAMES
    except ValueError:
        return False
