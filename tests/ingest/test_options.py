"""What the help of ``ingest`` says."""

from __future__ import annotations

import re
import typing

from clickreel.cli.ingest_commands import ingest
from clickreel.ingest.settings import IngestSettings


def test_the_defaults_that_the_help_tells_are_those_of_the_settings() -> None:
    """Whoever reads one knows the other."""
    told: dict[str, str] = {}
    for name, hint in typing.get_type_hints(ingest, include_extras=True).items():
        for option in getattr(hint, "__metadata__", ()):
            if hasattr(IngestSettings, name) and (found := re.search(r"\[default: (\S+)\]", option.help or "")):
                told[name] = found[1]
    assert {"flush_ms", "flush_rows", "instance", "metrics_port"} <= told.keys()
    assert told == {name: str(getattr(IngestSettings, name)) for name in told}
