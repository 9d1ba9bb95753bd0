"""The example of the dataset's first documentation: one event that keeps the contract."""

import json
from typing import Any

SAMPLE_EVENT: dict[str, Any] = {
    "event_id": "84e0e977-9ee7-4eec-9cd6-f7655e481cb3",
    "event_ts": "2025-12-27 12:18:51.766",
    "user_id": "u_10",
    "session_id": "s_53482d2c",
    "film_id": 331,
    "event_type": "view",
    "page": "browse",
    "position": 9,
    "device": "tablet",
    "referrer": "recommendation",
}
# As the producer writes it: without spaces.
SAMPLE_VALUE = json.dumps(SAMPLE_EVENT, separators=(",", ":")).encode()
