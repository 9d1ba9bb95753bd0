"""ClickHouse on a laptop: the engine as a library (chDB), in a process of its own, behind ClickHouse's HTTP interface."""
