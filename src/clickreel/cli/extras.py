"""Which extra brings a library that is not installed."""

from __future__ import annotations

import re
from collections import Counter
from importlib import metadata

from clickreel.errors import MissingError

# Distributions whose module has another name.
_DISTRIBUTIONS = {"sklearn": "scikit-learn"}
_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+).*extra == ['\"](?P<extra>[a-z]+)['\"]")


def explain_missing_module(missing: ModuleNotFoundError) -> MissingError | None:
    """Say which extra to install, the smallest that brings the module; None when none does, which is a fault of ours.

    Args:
        missing: The import that failed.
    """
    module = (missing.name or "").partition(".")[0]
    wanted = _DISTRIBUTIONS.get(module, module).replace("_", "-").lower()
    requirements = [found for line in metadata.requires("clickreel") or () if (found := _REQUIREMENT.match(line))]
    sizes = Counter(found["extra"] for found in requirements)
    extras = [found["extra"] for found in requirements if found["name"].lower() == wanted]
    if not extras:
        return None
    extra = min(extras, key=lambda name: sizes[name])
    return MissingError(
        f"this command needs {wanted}, which is not installed", hint=f"pip install 'clickreel[{extra}]'"
    )
