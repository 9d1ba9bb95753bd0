"""From a seed to columns of events. Pure: no I/O, no clock."""
