"""The slow twin of the encoder."""

import json
import uuid
from datetime import UTC, datetime, timedelta

from clickreel.contract.vocabulary import DEVICES, EVENT_TYPES, PAGES, REFERRERS
from clickreel.events import Deliveries

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MS = 4_102_444_799_999  # 2099-12-31 23:59:59.999


def plain(deliveries: Deliveries, row: int) -> tuple[bytes, bytes]:
    """Key and value of one flawless row, by json.dumps."""
    events = deliveries.events
    user = f"u_{events.user[row]}"
    moment = EPOCH + timedelta(milliseconds=int(events.ts_ms[row]))
    event = {
        "event_id": str(uuid.UUID(int=int(deliveries.id_hi[row]) << 64 | int(deliveries.id_lo[row]))),
        "event_ts": moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d}",
        "user_id": user,
        "session_id": f"s_{events.session[row]:08x}",
        "film_id": int(events.film[row]),
        "event_type": EVENT_TYPES[events.event_type[row]],
        "page": PAGES[events.page[row]],
        "position": int(events.position[row]),
        "device": DEVICES[events.device[row]],
        "referrer": REFERRERS[events.referrer[row]],
    }
    return json.dumps(user).encode(), json.dumps(event, separators=(",", ":")).encode()
