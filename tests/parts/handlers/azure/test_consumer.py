"""What takes messages from a queue: several at a time, renewed while they are worked on, given back when the process has to leave."""

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from handlers.functions.attempts import Attempts
from handlers.functions.azure import consuming
from handlers.functions.azure.consumer_settings import ConsumerSettings
from handlers.functions.azure.consuming import Consumer, Ended
from handlers.functions.azure.held import Held
from handlers.functions.azure.messages import NOTE, Note, Noted
from handlers.functions.azure.queues import Queue
from handlers.functions.outcomes import Unavailable
from tests.parts.handlers.azure.event_world import taking, until


class Work:
    """Holds each message until the test lets it go on; `asked` are the bodies that came, in their order."""

    def __init__(self, ended=None, holds=False):
        self.ended, self.asked, self.tasks = ended or Ended(done=True), [], []
        self.go, self.most, self._now, self._lock = threading.Event(), 0, 0, threading.Lock()
        self.left = []
        if not holds:
            self.go.set()

    def __call__(self, task, seconds_left):
        with self._lock:
            self.asked.append(task.body)
            self.tasks.append(task)
            self._now += 1
            self.most = max(self.most, self._now)
        self.left.append(seconds_left())
        assert self.go.wait(20)
        with self._lock:
            self._now -= 1
        if isinstance(self.ended, Exception):
            raise self.ended
        return self.ended


class Turns(Work):
    """Lets one message go on for each time that `done` is released."""

    def __init__(self):
        super().__init__()
        self.done = threading.Semaphore(0)

    def __call__(self, task, seconds_left):
        ended = super().__call__(task, seconds_left)
        assert self.done.acquire(timeout=20)
        return ended


class World:
    def __init__(self, azure):
        self.azure, self.front = azure, azure.front
        self.queues = azure.account.queues.queues
        self.queues |= {"work": [], "dead": []}
        self.queue = Queue(azure.url("queue"), "work")

    def consumer(self, work, *, unseen_s=30, concurrency=4, drain_s=5.0, most=3, timeout_s=20.0):
        told = ConsumerSettings(
            attempts=Attempts(most=most, unseen_s=unseen_s), concurrency=concurrency, timeout_s=timeout_s, drain_s=drain_s
        )
        return Consumer(self.queue, Queue(self.azure.url("queue"), "dead"), work, told)

    def put(self, count):
        for number in range(count):
            self.queue.put(json.dumps({"id": f"m{number}"}).encode())

    def left(self):
        return [Noted.read(message.body) for message in self.peeked()]

    def peeked(self):
        return self.queue.peek(32)

    def polls(self):
        return sum(method == "GET" for method, _, _ in self.front.seen)


@pytest.fixture
def world(azure):
    return World(azure)


def lines(capsys, event):
    return [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if line["event"] == event]


def test_how_old_the_oldest_message_is_that_is_taken_is_told_once_a_minute(world, capsys, monkeypatch):
    world.put(3)
    world.queues["work"][1].inserted -= 4000
    with taking(world.consumer(Work(), concurrency=1)):
        until(lambda: world.queues["work"] == [])
    [told] = lines(capsys, "queue_age")
    assert 0 <= told["seconds"] < 10
    # What came between is in the next line, whenever that comes.
    monkeypatch.setattr(consuming, "_AGE_TOLD_S", 0.0)
    world.put(2)
    world.queues["work"][1].inserted -= 4000
    with taking(world.consumer(Work(), concurrency=2)):
        until(lambda: world.queues["work"] == [])
    assert 4000 <= max(line["seconds"] for line in lines(capsys, "queue_age")) < 4010


def test_several_messages_at_a_time_and_no_more_than_there_is_room_for(world):
    world.put(10)
    work = Work(holds=True)
    with taking(world.consumer(work, concurrency=4)):
        until(lambda: len(work.asked) == 4)
        time.sleep(0.3)
        # What nobody works on yet stays with the queue, for other replicas.
        assert (len(work.asked), len(world.peeked())) == (4, 6)
        work.go.set()
        until(lambda: world.queues["work"] == [])
    assert (sorted(work.asked), work.most) == (sorted(json.dumps({"id": f"m{n}"}).encode() for n in range(10)), 4)


def test_messages_are_asked_for_once_half_of_the_room_is_free(world, monkeypatch):
    monkeypatch.setattr(consuming, "_GATHER_S", 20.0)
    world.put(8)
    work = Turns()
    with taking(world.consumer(work, concurrency=4)):
        until(lambda: len(work.asked) == 4)
        work.done.release()
        until(lambda: len(world.queues["work"]) == 7)
        time.sleep(0.2)
        assert (len(work.asked), world.polls()) == (4, 1)
        work.done.release()
        until(lambda: len(work.asked) == 6)
        assert world.polls() == 2
        work.done.release(6)
        until(lambda: world.queues["work"] == [])


def test_little_room_is_used_too_where_the_rest_stays_busy(world):
    world.put(8)
    work = Turns()
    with taking(world.consumer(work, concurrency=4)):
        for number in range(4):
            until(lambda number=number: len(work.asked) == 4 + number)
            work.done.release()
        work.done.release(4)
        until(lambda: world.queues["work"] == [])


def test_an_idle_queue_is_asked_ever_more_seldom_and_a_message_is_found_soon(world, monkeypatch):
    monkeypatch.setattr(consuming, "LONGEST_PAUSE_S", 0.8)
    work = Work()
    with taking(world.consumer(work)):
        time.sleep(2.4)
        # At 0, 0.1, 0.3, 0.7, 1.5 and 2.3 s.
        assert 4 <= world.polls() <= 7
        world.put(1)
        until(lambda: work.asked, seconds=2)
        until(lambda: world.queues["work"] == [])


def test_a_message_stays_ours_for_as_long_as_its_work_takes(world):
    world.put(1)
    work = Work(holds=True)
    with taking(world.consumer(work, unseen_s=1)):
        until(lambda: work.asked)
        with taking(world.consumer(other := Work(), unseen_s=1)):
            time.sleep(2.5)
            assert (other.asked, world.peeked()) == ([], [])
            work.go.set()
            until(lambda: world.queues["work"] == [])
    assert (len(work.asked), other.asked) == (1, [])


def test_a_message_that_somebody_else_has_by_now_is_neither_deleted_nor_put_off_nor_buried(world, capsys):
    world.put(1)
    work = Work(Ended(done=False, reason="Late.", permanent=True), holds=True)
    with taking(world.consumer(work, unseen_s=30)):
        until(lambda: work.asked)
        (stored,) = world.queues["work"]
        stored.receipt, stored.seen_at = "another", time.time() + 60
        work.go.set()
        until(lambda: world.queues["dead"])
    # Of a dead letter nobody can know that beforehand; the message itself is the other one's.
    (stored,) = world.queues["work"]
    assert stored.receipt == "another"


def test_a_renewal_finds_out_that_a_message_is_somebody_elses(world, capsys):
    world.put(1)
    work = Work(holds=True)
    with taking(world.consumer(work, unseen_s=1)):
        until(lambda: work.asked)
        (stored,) = world.queues["work"]
        stored.receipt, stored.seen_at = "another", time.time() + 60
        time.sleep(1)
        work.go.set()
    assert [line["message_id"] for line in lines(capsys, "message_lost")] == [stored.id]
    assert world.queues["work"] == [stored]


def test_a_renewal_that_fails_is_tried_again(world, capsys):
    world.put(1)
    work = Work(holds=True)
    with taking(world.consumer(work, unseen_s=3)):
        until(lambda: work.asked)
        failing = [True]
        world.front.guard = lambda headers: 500 if world.front.seen[-1][0] == "PUT" and failing and failing.pop() else None
        until(lambda: not failing)
        time.sleep(2.5)
        assert world.peeked() == []
        work.go.set()
        until(lambda: world.queues["work"] == [])
    assert len(lines(capsys, "renewal_failed")) == 1
    assert len(work.asked) == 1


def test_work_that_does_not_end_is_left_to_others_at_last(world, monkeypatch, capsys):
    monkeypatch.setattr(consuming, "_STUCK_S", 0.2)
    world.put(1)
    work = Work(holds=True)
    with taking(world.consumer(work, unseen_s=1, timeout_s=0.5)):
        until(lambda: len(work.asked) == 2)
        work.go.set()
        until(lambda: world.queues["work"] == [])
    # The thread that renews looks a dozen times a second; the other one's work was not stuck.
    assert len(lines(capsys, "message_stuck")) == 1


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "given back"])
def test_what_is_not_ours_any_more_is_no_dead_letter_whatever_its_work_ends_with(world, lost, capsys):
    world.put(1)
    work = Work(Ended(done=False, reason="Late.", permanent=True), holds=True)
    with taking(world.consumer(work, unseen_s=1 if lost else 30, drain_s=5.0 if lost else 0.2)):
        until(lambda: work.asked)
        (stored,) = world.queues["work"]
        if lost:
            stored.receipt, stored.seen_at = "another", time.time() + 60
            time.sleep(1)
            work.go.set()
    work.go.set()
    time.sleep(0.3)
    assert (world.queues["dead"], len(world.queues["work"])) == ([], 1)
    assert "dead_letter" not in capsys.readouterr().out


def test_a_renewal_that_fails_is_tried_again_no_sooner_than_after_a_twelfth_of_the_time(world, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("handlers.functions.azure.held.time", SimpleNamespace(monotonic=lambda: clock[0]))
    world.put(1)
    (message,) = world.queue.get(unseen_s=120)
    held, tried = Held(world.queue, message, 120), []

    def until_due(most_s):
        while clock[0] < most_s:
            clock[0] += 1
            if held.due():
                tried.append(clock[0])
                held.renew()

    world.front.guard = lambda headers: 403
    until_due(60)
    world.front.guard = lambda headers: None
    until_due(120)
    assert tried == [40, 50, 60, 70, 110]


def cut_off(world):
    """As when a process was killed that had all there are."""
    world.queue.get(32, unseen_s=30)
    seen(world)


def seen(world):
    for stored in world.queues["work"]:
        stored.seen_at = 0.0


def notes(world):
    return [Noted.read(base64.b64decode(stored.text)).note for stored in world.queues["work"]]


def test_what_was_cut_off_is_worked_on_alone_and_what_waits_loses_no_attempt(world):
    world.put(3)
    cut_off(world)
    world.queue.put(b'{"id": "new"}')
    work = Work(holds=True)
    with taking(world.consumer(work, concurrency=8)):
        until(lambda: work.asked)
        time.sleep(0.3)
        # What is new comes first, and what follows waits for it: should this process die now, it was none of theirs.
        assert work.asked == [b'{"id": "new"}']
        assert [(note.spared, note.words) for note in notes(world)] == [(1, 1)] * 3 + [(0, 0)]
        work.go.set()
        until(lambda: world.queues["work"] == [])
    assert (work.most, [task.attempt for task in work.tasks]) == (1, [1, 2, 2, 2])


def test_messages_that_can_hardly_be_read_or_written_do_not_end_the_run(world):
    """They are nested so deeply that some can be read and not written, at one depth of the stack or another."""
    for depth in range(970, 1000):
        world.queue.put(b'{"id":' + b"[" * depth + b"]" * depth + b"}")
    cut_off(world)
    with taking(world.consumer(Work(Ended(done=False, reason="No.", permanent=True)))):
        until(lambda: world.queues["work"] == [])
    assert len(world.queues["dead"]) == 30


def test_an_attempt_alone_counts_and_who_waits_for_it_is_spared(world):
    world.put(2)
    cut_off(world)
    work = Work(holds=True)
    with taking(world.consumer(work, concurrency=8)):
        until(lambda: work.asked)
        time.sleep(0.2)
        first, second = notes(world)
        assert (len(work.asked), first, second.spared) == (1, Note(), 1)
        # It is the same with what has come meanwhile: nothing is taken beside it.
        world.put(1)
        time.sleep(0.3)
        assert len(work.asked) == 1
        work.go.set()
        until(lambda: world.queues["work"] == [])


def test_what_was_cut_off_once_stays_alone_after_an_attempt_that_left_a_word(world):
    world.put(2)
    cut_off(world)
    work = Work(Ended(done=False, reason="Not now."))
    with taking(world.consumer(work, concurrency=8, most=9)):
        until(lambda: len(work.asked) == 2)
        until(lambda: all(note.last for note in notes(world)))
    seen(world)
    with taking(world.consumer(second := Work(holds=True), concurrency=8, most=9)):
        until(lambda: second.asked)
        time.sleep(0.3)
        second.go.set()
        until(lambda: world.queues["work"] == [])
    assert (work.most, second.most, [task.attempt for task in second.tasks]) == (1, 1, [3, 3])


def test_what_waits_to_be_alone_is_given_back_at_once_by_who_has_to_leave(world, capsys):
    world.put(3)
    cut_off(world)
    work = Work(holds=True)
    with taking(world.consumer(work, concurrency=8)) as leaving:
        until(lambda: work.asked)
        leaving.set()
        until(lambda: len(world.peeked()) == 2, seconds=3)
        work.go.set()
    assert [(each.note.spared, each.note.words) for each in world.left()] == [(1, 1)] * 2
    assert [line["given_back"] for line in lines(capsys, "leaving")] == [0]


def test_what_is_stuck_lets_nobody_wait(world, monkeypatch):
    monkeypatch.setattr(consuming, "_STUCK_S", 0.2)
    world.put(1)
    work = Work(holds=True)
    with taking(world.consumer(work, unseen_s=20, timeout_s=0.5)):
        until(lambda: len(work.asked) == 1)
        world.queue.put(b'{"id": "new"}')
        (_, new) = world.queues["work"]
        new.taken = 1
        until(lambda: len(work.asked) == 2)
        work.go.set()
        until(lambda: world.queues["work"] == [])


def fail(*_, **__):
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize(("of", "method"), [(ThreadPoolExecutor, "submit"), (Held, "renew")])
def test_a_thread_that_ends_is_the_end_of_the_run(world, monkeypatch, of, method):
    """The messages that are held by then are seen by others when their time is over."""
    work = Work(holds=True)
    consumer = world.consumer(work, unseen_s=1, drain_s=0.2)
    monkeypatch.setattr(of, method, fail)
    world.put(1)
    raised = []

    def run():
        try:
            consumer.run(threading.Event())
        except RuntimeError as error:
            raised.append(str(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10)
    work.go.set()
    assert (thread.is_alive(), raised) == (False, ["can't start new thread"])


def test_who_has_to_leave_takes_nothing_more_and_finishes_what_is_under_way(world, capsys):
    world.put(3)
    work = Work(holds=True)
    with taking(world.consumer(work, concurrency=2)) as leaving:
        until(lambda: len(work.asked) == 2)
        leaving.set()
        time.sleep(0.3)
        work.go.set()
    assert (len(work.asked), len(world.queues["work"])) == (2, 1)
    assert [line["given_back"] for line in lines(capsys, "leaving")] == [0]


def test_what_is_not_finished_in_time_is_seen_by_others_at_once_and_loses_no_attempt(world, capsys):
    world.put(2)
    work = Work(holds=True)
    with taking(world.consumer(work, drain_s=0.2)):
        until(lambda: len(work.asked) == 2)
    assert [line["given_back"] for line in lines(capsys, "leaving")] == [2]
    assert [(each.note.spared, each.told) for each in world.left()] == [(1, {"id": "m0"}), (1, {"id": "m1"})]
    # Its work ends after all: the message is not its own any more.
    work.go.set()
    time.sleep(0.3)
    assert len(world.peeked()) == 2
    second = Work()
    with taking(world.consumer(second)):
        until(lambda: world.queues["work"] == [])
    assert [(task.attempt, task.over) for task in second.tasks] == [(1, False)] * 2


def test_what_the_last_question_brings_is_given_back(world):
    world.put(1)
    work = Work()
    consumer = world.consumer(work)
    leaving = threading.Event()
    world.front.delay_s = 0.5
    thread = threading.Thread(target=consumer.run, args=(leaving,))
    thread.start()
    until(world.polls)
    leaving.set()
    thread.join(10)
    world.front.delay_s = 0
    assert work.asked == []
    (found,) = world.left()
    assert found.note.spared == 1


def test_a_queue_that_does_not_answer_is_asked_on(world, monkeypatch, capsys):
    monkeypatch.setattr("handlers.functions.rest._FIRST_PAUSE_S", 0.001)
    world.front.statuses = [403, 500, 500, 500, 500]
    work = Work()
    with taking(world.consumer(work)):
        until(lambda: not world.front.statuses)
        world.put(1)
        until(lambda: work.asked)
    assert len(lines(capsys, "poll_failed")) == 2


@pytest.mark.parametrize("ended", [ValueError("broken"), Unavailable("Not now.")])
def test_work_that_raises_comes_again_and_is_a_dead_letter_at_last(world, ended):
    world.put(1)
    work = Work(ended)
    with taking(world.consumer(work, most=2)):
        until(lambda: len(work.asked) == 1)
        until(lambda: NOTE in json.loads(world_text(world)))
        world.queues["work"][0].seen_at = 0.0
        until(lambda: world.queues["dead"])
        until(lambda: world.queues["work"] == [])
    (letter,) = [json.loads(message.body) for message in Queue(world.azure.url("queue"), "dead").peek(9)]
    assert (str(ended) in letter["reason"], letter["attempts"], letter["event"]) == (True, 2, {"id": "m0"})


def world_text(world):
    return base64.b64decode(world.queues["work"][0].text) if world.queues["work"] else b"{}"


def test_work_is_told_how_long_it_may_take(world):
    world.put(1)
    work = Work()
    with taking(world.consumer(work, timeout_s=7)):
        until(lambda: work.left)
    assert 6 < work.left[0] <= 7


def test_dead_letters_are_kept_for_a_fortnight(world):
    world.put(1)
    with taking(world.consumer(Work(Ended(done=False, reason="No.", permanent=True)))):
        until(lambda: world.queues["work"] == [])
    (letter,) = world.queues["dead"]
    assert abs(letter.ends - time.time() - 14 * 86_400) < 60
