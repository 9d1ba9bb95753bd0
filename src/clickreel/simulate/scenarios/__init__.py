"""Named worlds: one TOML file each, and how they come under flags, environment and project file."""

from clickreel.simulate.scenarios.named import about, load, names, values

__all__ = ["about", "load", "names", "values"]
