"""The Python API: what the commands do, as functions and objects. ``import clickreel`` offers all of it."""
