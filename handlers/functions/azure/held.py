"""A message that this process has taken: its own until it is done with, or somebody else has it."""

import threading
import time

from handlers.functions import logs
from handlers.functions.azure.messages import Note, Noted
from handlers.functions.azure.queues import Message, Queue
from handlers.functions.rest import ApiError

# How long who ends a message waits for who renews it.
_PATIENCE_S = 5.0


class Held:
    """One thread works on it, another one renews it; each change of the message gives it a new receipt, so they take turns."""

    def __init__(self, queue: Queue, message: Message, unseen_s: int) -> None:
        self._queue, self._message, self._unseen_s = queue, message, unseen_s
        self._lock = threading.Lock()
        self._ended = False
        self.began = time.monotonic()
        self._due = self.began + unseen_s / 3
        # Taken and not worked on yet; and worked on for much longer than that may take.
        self.waits = self.stuck = False
        self.noted = Noted.read(message.body)
        self.id = message.id
        self.taken = message.attempt

    @property
    def ended(self) -> bool:
        """Whether it is not ours any more: done with, given back, or somebody else's."""
        return self._ended

    @property
    def was_cut_off(self) -> bool:
        """Whether one of its attempts left no word: it may be what ended a process, with all that was under way there."""
        return self.taken - 1 > self.noted.note.words

    def due(self) -> bool:
        """Whether a third of the time is over for which nobody else sees it, or a twelfth since that could not be made longer."""
        return not self._ended and time.monotonic() >= self._due

    def renew(self, note: Note | None = None) -> bool:
        """Keep it for as long again, with a note where one is given and there is room for it: whether that went well, as far as anybody
        knows. Never raises: it is asked again, or the message is somebody else's, who will find the result."""
        with self._lock:
            if self._ended:
                return False
            try:
                body = None if note is None else self.noted.with_note(note)
                found = self._queue.put_off(self._message, unseen_s=self._unseen_s, body=body)
            except ApiError as error:
                self._due = time.monotonic() + self._unseen_s / 12
                logs.write("renewal_failed", level="WARNING", message_id=self.id, message=str(error))
                return False
            if found is None:
                self._lose()
                return False
            self._message, self._due = found, time.monotonic() + self._unseen_s / 3
            return True

    def wait(self, note: Note) -> None:
        """Keep it until it can be worked on, with the note that is to stay in it should this process end before. Never raises."""
        self.waits = True
        self.renew(note)

    def start(self) -> bool:
        """Whether it can be worked on now: it is ours, and says again what it said when it was taken. Never raises."""
        ours = self.renew(self.noted.note)
        self.waits, self.began = False, time.monotonic()
        return ours

    def delete(self) -> bool:
        """Remove it; False where it is somebody else's by now. Raises ApiError."""
        with self._lock:
            if self._ended:
                return False
            gone = self._queue.delete(self._message)
            self._ended = True
        return gone

    def put_off(self, seconds: int, note: Note) -> bool:
        """Let it be seen again in so many seconds, with a note where there is room for it; False where it is somebody else's by now, or
        could not be had in time. Raises ApiError."""
        if not self._lock.acquire(timeout=_PATIENCE_S):
            return False
        try:
            if self._ended:
                return False
            # Also where it fails: what it did is not known then.
            self._ended = True
            return self._queue.put_off(self._message, unseen_s=seconds, body=self.noted.with_note(note)) is not None
        finally:
            self._lock.release()

    def _lose(self) -> None:
        self._ended = True
        logs.write("message_lost", level="WARNING", message_id=self.id, message="Somebody else has it: its time was over.")
