"""``python -m clickreel``: the same as the command ``clickreel``."""

from clickreel.cli.app import main

if __name__ == "__main__":
    main()
