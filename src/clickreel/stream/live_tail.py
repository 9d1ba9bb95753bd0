"""The newest records of a topic as they come, for any number of viewers, in bounded memory and with exact counts.

Counts come from the partitions' ends and are exact at any rate. Records are read while somebody looks at them, and as long as one reader
keeps up comfortably; above that the tail jumps ahead, and says how many it left out.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from clickreel.errors import ClickreelError
from clickreel.stream.broker import Bounds, Broker, Reader
from clickreel.stream.record_batch import Record

# A viewer can look at a few hundred rows a second at most. 5,000 a second cost about 4 % of a core to read; beyond that only samples are read.
_FRAME_S = 0.1
_FRAME_RECORDS_MAX = 500
# Records that have come wait for those behind them at most so long: a client that is asked for many waits for all of them.
_GATHER_S = 0.01
# After a jump, so many records of each partition before its end.
_SAMPLE_RECORDS = 40
# An hour of seconds.
_SECONDS_KEPT = 3_600
_RETRY_S = 1.0
# Nobody has asked for records for so long: none are read. A page that lost its connection for some seconds finds them still.
_UNWATCHED_S = 15.0
# Without a viewer, the size of a record is looked at anew so often, for so long: bytes are counts times sizes.
_SIZES_EVERY_S = 60.0
_SIZES_RETRY_S = 2.0
_SIZES_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class TailSecond:
    """One second of the topic.

    Attributes:
        at_ms: Its end, milliseconds since the Unix epoch.
        seconds: Its length, s.
        messages: Records written, by partition: exact.
        bytes: Bytes of keys and values, by partition: the records that were read, scaled to the exact counts.
        highs: By partition, the offset that the next record will get.
        lows: By partition, the first offset that can be read.
    """

    at_ms: int
    seconds: float
    messages: list[int]
    bytes: list[float]
    highs: list[int]
    lows: list[int]


@dataclass(frozen=True, slots=True)
class TailFrame:
    """What a viewer has not seen yet.

    Attributes:
        records: Records in the order in which they were read.
        sequence: What to ask with next time.
        left_out: Records that were written since and are not among them.
    """

    records: list[Record]
    sequence: int
    left_out: int


@dataclass
class _Sizes:
    """Sizes of the records that were read since the last second, by partition."""

    records: dict[int, int] = field(default_factory=dict)
    bytes: dict[int, int] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        size = len(record.key or b"") + len(record.value or b"")
        self.records[record.partition] = self.records.get(record.partition, 0) + 1
        self.bytes[record.partition] = self.bytes.get(record.partition, 0) + size


class LiveTail:
    """The tail of one topic, read by a thread of its own until :meth:`close`.

    Safe to be asked from any thread. It counts all the time; it reads records while somebody asks for them, and for moments in between to
    know their sizes. When Kafka goes away :attr:`error` says so in words and the tail tries again every second, from where it was.

    Args:
        connect: Makes a broker; called again after an error.
        topic: The topic.
        keep: So many records are kept for viewers.
    """

    def __init__(self, connect: Callable[[], Broker], topic: str, *, keep: int = 5_000) -> None:
        self.topic = topic
        self.error = ""
        self.seconds: deque[TailSecond] = deque(maxlen=_SECONDS_KEPT)
        self._connect = connect
        self._records: deque[Record] = deque(maxlen=keep)
        self._sequence = 0  # records appended so far
        # By gap: the sequence of the first record behind it, and how many records were left out.
        self._gaps: deque[tuple[int, int]] = deque(maxlen=1_000)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._next: dict[int, int] = {}
        self._sizes = _Sizes()
        self._mean_bytes: dict[int, float] = {}
        self._goals: dict[int, int] = {}  # the ends of the partitions when reading began
        self._has_rested = False
        self._sized_s = time.monotonic()
        self._read_until_s = time.monotonic() + _SIZES_LOOK_S
        self._wanted = threading.Event()  # ends the rest of a second in which nothing is read
        self._is_current = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"tail-{topic}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._wanted.set()
        self._thread.join(5)

    def watch(self) -> None:
        """Say that somebody looks at the records: they are read for the next 15 s at least."""
        self._read_until_s = max(self._read_until_s, time.monotonic() + _UNWATCHED_S)
        self._wanted.set()

    def wait_until_current(self, timeout_s: float) -> bool:
        """Wait until the newest records are read, which they are at once when somebody looks already; returns whether they are.

        Args:
            timeout_s: Wait so long at most.
        """
        self.watch()
        until_s = time.monotonic() + timeout_s
        while not self._is_current.wait(0.02) and not self.error and time.monotonic() < until_s:
            pass
        return self._is_current.is_set()

    @property
    def is_reading(self) -> bool:
        """Whether records are read, because somebody looks or their sizes are wanted."""
        return time.monotonic() < self._read_until_s

    def frame(self, after: int | None = None, *, limit: int = 1_000) -> TailFrame:
        """The records since a frame before; counts as :meth:`watch`.

        Args:
            after: The sequence of that frame; None for the newest records there are.
            limit: The newest so many; what is older counts as left out.
        """
        self.watch()
        with self._lock:
            kept = len(self._records)
            wanted = kept if after is None else min(kept, self._sequence - after)
            wanted = max(0, min(wanted, limit))
            records = [self._records[kept - wanted + place] for place in range(wanted)]
            missed = 0 if after is None else self._sequence - after - wanted
            return TailFrame(records, self._sequence, missed + self._left_out_since(after))

    def rate_per_s(self, over_s: int = 5) -> float:
        """Records written a second, over the last few seconds."""
        return self._mean_of(lambda second: sum(second.messages), over_s)

    def bytes_per_s(self, over_s: int = 5) -> float:
        """Bytes of keys and values written a second, over the last few seconds."""
        return self._mean_of(lambda second: sum(second.bytes), over_s)

    def _mean_of(self, total: Callable[[TailSecond], float], over_s: int) -> float:
        recent = list(self.seconds)[-over_s:]
        elapsed_s = sum(second.seconds for second in recent)
        return sum(map(total, recent)) / elapsed_s if elapsed_s else 0.0

    def _left_out_since(self, after: int | None) -> int:
        """Counted with the first record behind a gap, and so once, however often a viewer asks before that comes."""
        if after is None:
            return 0
        return sum(count for sequence, count in self._gaps if after < sequence <= self._sequence)

    def _run(self) -> None:
        while not self._stop.is_set():
            broker = None
            try:
                broker = self._connect()
                self._follow(broker)
            except ClickreelError as exc:
                self.error = exc.message
                self._stop.wait(_RETRY_S)
            finally:
                if broker is not None:
                    broker.close()

    def _follow(self, broker: Broker) -> None:
        before = broker.bounds(self.topic)
        self.error = ""
        reader, second_s = None, time.monotonic()
        try:
            while not self._stop.is_set():
                taken = 0
                if self.is_reading:
                    reader = reader or self._begin(broker)
                    taken = self._read_frame(reader)
                else:
                    self._rest(reader, second_s + 1)
                    reader = None
                if time.monotonic() - second_s >= 1:
                    bounds = broker.bounds(self.topic)
                    now_s = (
                        time.monotonic()
                    )  # not before the answer, or a slow one would be counted in the wrong second
                    self._end_second(before, bounds, now_s - second_s)
                    is_grown = len(bounds) > len(before)
                    second_s, before = now_s, bounds
                    if is_grown:
                        return  # partitions were added: begin anew with all of them
                if reader is not None and taken >= _FRAME_RECORDS_MAX:
                    self._jump(reader, broker.bounds(self.topic))
        finally:
            self._is_current.clear()
            if reader is not None:
                reader.close()

    def _begin(self, broker: Broker) -> Reader:
        """A reader from where the last one was; behind a rest, near the end of the partitions that have gone on since."""
        bounds = broker.bounds(self.topic)
        starts = {}
        for p, bound in enumerate(bounds):
            newest = bound.high - _SAMPLE_RECORDS
            start = self._next.get(p, newest)
            starts[p] = min(max(start, newest if self._has_rested else start, bound.low), bound.high)
        left_out = sum(max(0, starts.get(p, offset) - offset) for p, offset in self._next.items())
        reader = broker.reader(self.topic, starts)
        with self._lock:
            self._next, self._has_rested = starts, False
            if left_out:
                self._gaps.append((self._sequence + 1, left_out))
        self._goals = {p: bound.high for p, bound in enumerate(bounds)}
        return reader

    def _rest(self, reader: Reader | None, until_s: float) -> None:
        """Read nothing for the rest of a second, or until somebody looks."""
        if reader is not None:
            self._is_current.clear()
            reader.close()
            with self._lock:
                self._has_rested = True
                self._records.clear()  # the next viewer's rows must not stand beside those of an hour ago
        self._wanted.wait(max(0.0, until_s - time.monotonic()))
        self._wanted.clear()

    def _read_frame(self, reader: Reader) -> int:
        """Read for a frame; returns how many records came."""
        until_s, taken = time.monotonic() + _FRAME_S, 0
        while (left_s := until_s - time.monotonic()) > 0 and taken < _FRAME_RECORDS_MAX and not self._stop.is_set():
            records = reader.poll(1, left_s)
            if not records:
                continue
            records += reader.poll(_FRAME_RECORDS_MAX - taken, 0)
            taken += len(records)
            with self._lock:
                for record in records:
                    self._records.append(record)
                    # Records that were under way when the tail jumped do not take it back.
                    self._next[record.partition] = max(self._next.get(record.partition, 0), record.offset + 1)
                    self._sizes.add(record)
                self._sequence += len(records)
            self._stop.wait(min(_GATHER_S, max(0.0, until_s - time.monotonic())))
        if not self._is_current.is_set() and all(
            self._next[p] >= goal or p in reader.ended for p, goal in self._goals.items()
        ):
            self._is_current.set()
        if taken >= _FRAME_RECORDS_MAX:
            self._stop.wait(max(0.0, until_s - time.monotonic()))
        return taken

    def _jump(self, reader: Reader, bounds: list[Bounds]) -> None:
        """Go near the end of the partitions that are far behind."""
        ahead = {
            p: bound.high - _SAMPLE_RECORDS
            for p, bound in enumerate(bounds)
            if p in self._next and bound.high - self._next[p] > 2 * _SAMPLE_RECORDS
        }
        if not ahead:
            return
        reader.seek(ahead)
        with self._lock:
            left_out = sum(target - self._next[p] for p, target in ahead.items())
            self._next.update(ahead)
            self._gaps.append((self._sequence + 1, left_out))

    def _end_second(self, before: list[Bounds], bounds: list[Bounds], seconds: float) -> None:
        for p, count in self._sizes.records.items():
            self._mean_bytes[p] = self._sizes.bytes[p] / count
        if self._sizes.records:
            self._sized_s = time.monotonic()
        self._sizes = _Sizes()
        messages = [bound.high - (before[p].high if p < len(before) else bound.low) for p, bound in enumerate(bounds)]
        self.seconds.append(
            TailSecond(
                round(time.time() * 1000),
                seconds,
                messages,
                [count * self._mean_bytes.get(p, 0.0) for p, count in enumerate(messages)],
                [bound.high for bound in bounds],
                [bound.low for bound in bounds],
            )
        )
        is_unknown = any(count and p not in self._mean_bytes for p, count in enumerate(messages))
        age_s = time.monotonic() - self._sized_s
        if any(messages) and age_s > (_SIZES_RETRY_S if is_unknown else _SIZES_EVERY_S):
            self._sized_s = time.monotonic()
            self._read_until_s = max(self._read_until_s, self._sized_s + _SIZES_LOOK_S)
