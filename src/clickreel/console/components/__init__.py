"""Elements of the page that the framework does not have: drawn for a live stream."""
