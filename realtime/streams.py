"""Reading JetStream streams from a position: to heal gaps, to warm up, to find the last message."""

import base64
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, cast

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from realtime.connection import Client

_BATCH = 1000
_IDLE_S = 30.0  # after which the server forgets a consumer that nobody pulls from
_TRIES = 3
_NO_MESSAGE = 10037  # err_code


class StreamUnavailable(RuntimeError):
    """The stream does not answer: no server, no such stream, or no permission."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as the stream keeps it.

    Attributes:
        seq: position in the stream.
        subject: it came on.
        payload: as it was published.
    """

    seq: int
    subject: str
    payload: bytes


class StreamReader:
    """One stream, read without leaving a trace in it.

    Args:
        client: connected as a user that may read the stream.
        stream: its name.
        timeout_s: for an answer.
    """

    def __init__(self, client: Client, stream: str, timeout_s: float = 5.0) -> None:
        self.stream = stream
        self._client = client
        self._timeout_s = timeout_s
        self._js: JetStreamContext = client.jetstream(timeout=timeout_s)  # pyright: ignore[reportUnknownMemberType]

    async def bounds(self) -> tuple[int, int]:
        """Return the first and the last position; last < first if the stream is empty.

        Raises:
            StreamUnavailable: no answer.
        """
        state = (await self._request(f"$JS.API.STREAM.INFO.{self.stream}", {}))["state"]
        return int(state["first_seq"]), int(state["last_seq"])

    async def at_or_after(self, seq: int, subject: str) -> Stored | None:
        """Return the first message on `subject` (wildcards allowed) at a position or behind it.

        Raises:
            StreamUnavailable: no answer.
        """
        return await self._message({"seq": max(seq, 1), "next_by_subj": subject})

    async def last(self, subject: str) -> Stored | None:
        """Return the last message on `subject` (wildcards allowed).

        Raises:
            StreamUnavailable: no answer.
        """
        return await self._message({"last_by_subj": subject})

    async def read(self, seq: int, subject: str) -> AsyncGenerator[list[Stored], None]:
        """Yield what is on `subject` from a position to the end as it is at the call, in parts.

        Whoever leaves before the end closes it (`contextlib.aclosing`): the subscription ends then.

        Raises:
            StreamUnavailable: no answer; what was yielded is right.
        """
        last = await self.last(subject)
        if last is None or last.seq < seq:
            return
        try:
            async with aclosing(self._pull(max(seq, 1), last.seq, subject)) as parts:
                async for part in parts:
                    yield part
        except (NatsError, OSError, TimeoutError) as error:
            msg = f"stream {self.stream} stopped answering: {error or type(error).__name__}"
            raise StreamUnavailable(msg) from None

    async def find(
        self, subject: str, number_of: Callable[[bytes], int | None], number: int
    ) -> int:
        """Return a position from which on messages reach a number: a binary search.

        Numbers grow along the stream, but for short stretches that were published twice.

        Args:
            subject: of the messages (wildcards allowed).
            number_of: number of a message; None if it cannot be read or is not of the series.
            number: wanted; messages before the position are all smaller, but for such stretches.

        Raises:
            StreamUnavailable: no answer.
        """
        low, high = await self.bounds()
        high += 1  # nothing there: counts as reached
        while low < high:
            middle = (low + high) // 2
            at, found = middle, None
            while found is None:
                stored = await self.at_or_after(at, subject)
                if stored is None or stored.seq >= high:
                    break
                found, at = number_of(stored.payload), stored.seq + 1
            if found is None or found >= number:
                high = middle
            else:
                low = at
        return low

    async def _pull(self, seq: int, end: int, subject: str) -> AsyncGenerator[list[Stored], None]:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=seq,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=_IDLE_S,
            mem_storage=True,
        )
        pull = await self._js.pull_subscribe(subject, stream=self.stream, config=config)
        try:
            at = 0
            while at < end:
                batch = await pull.fetch(_BATCH, timeout=self._timeout_s)
                part: list[Stored] = []
                for msg in batch:
                    at = msg.metadata.sequence.stream
                    if at <= end:
                        part.append(Stored(at, msg.subject, msg.data))
                if part:
                    yield part
        finally:
            with suppress(NatsError, OSError):  # the connection is gone, and the subscription
                await pull.unsubscribe()

    async def _message(self, query: dict[str, Any]) -> Stored | None:
        try:
            answer = await self._request(f"$JS.API.STREAM.MSG.GET.{self.stream}", query)
        except NotFoundError:
            return None
        found = cast("dict[str, Any]", answer["message"])
        payload = base64.b64decode(found.get("data", ""))
        return Stored(int(found["seq"]), str(found["subject"]), payload)

    async def _request(self, subject: str, query: dict[str, Any]) -> dict[str, Any]:
        said = ""
        for _ in range(_TRIES):
            try:
                reply = await self._client.request(
                    subject, json.dumps(query).encode(), timeout=self._timeout_s / _TRIES
                )
            except (NatsError, OSError, TimeoutError) as error:
                said = str(error) or type(error).__name__
                continue
            answer: dict[str, Any] = json.loads(reply.data)
            if "error" not in answer:
                return answer
            refusal: dict[str, Any] = answer["error"]
            if refusal.get("err_code") == _NO_MESSAGE:
                raise NotFoundError
            said = str(refusal.get("description", "refused"))
            break
        msg = f"stream {self.stream} does not answer ({said})"
        raise StreamUnavailable(msg)
