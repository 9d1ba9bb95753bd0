"""Stream DVD clicks to the cluster that ``client.properties`` beside this file names.

The same as ``clickreel produce --profile client.properties``; further options are passed on, for example ``--rate 50``.
Without a ``client.properties`` it says how to make one; ``--profile`` on the command line names another.
"""

from __future__ import annotations

import sys
from pathlib import Path

from clickreel.cli.app import main
from clickreel.cli.output import fail

PROPERTIES = Path(__file__).with_name("client.properties")

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if "--profile" not in arguments:
        if not PROPERTIES.exists():
            fail(
                f"no {PROPERTIES.name} beside {Path(__file__).name}",
                f"cp {PROPERTIES.name}.template {PROPERTIES.name}, and fill it in",
            )
            sys.exit(2)
        arguments = ["--profile", str(PROPERTIES), *arguments]
    main(["produce", *arguments])
