"""What a thread that has nothing to do waits for: who rings once is heard once, and a time that is over ends it."""

import gc
import os
import threading
import time

import pytest

from handlers.server.bell import Bell

PLENTY_S = 10.0


class Heard:
    """A thread that waits until something is there, and how often it looked."""

    def __init__(self, timeout=None):
        self.lock = threading.Lock()
        self.bell = Bell(self.lock)
        self.there = []
        self.looks = 0
        self._timeout = timeout
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self):
        with self.lock:
            self.bell.wait_for(self._look, self._timeout)

    def _look(self):
        self.looks += 1
        return self.there

    def put(self, *, rings=True):
        with self.lock:
            self.there.append("it")
            needed = rings and self.bell.is_needed()
        if needed:
            self.bell.ring()

    def sleeps(self):
        """Returns once it has looked and waits."""
        end = time.monotonic() + PLENTY_S
        while time.monotonic() < end:
            with self.lock:
                if self.looks and self.bell._asleep:
                    return
            time.sleep(0.001)
        raise AssertionError("It does not wait.")

    def ends(self):
        self._thread.join(PLENTY_S)
        return not self._thread.is_alive()


def test_what_is_there_is_not_waited_for():
    lock = threading.Lock()
    with lock:
        Bell(lock).wait_for(lambda: True)


def test_who_sleeps_is_woken_by_one_ring():
    heard = Heard()
    heard.sleeps()
    heard.put()
    assert heard.ends()
    assert heard.looks == 2


def test_a_ring_for_nothing_wakes_and_the_wait_goes_on():
    heard = Heard()
    heard.sleeps()
    with heard.lock:
        assert heard.bell.is_needed()
        # The second who asks has nothing to do: the first one rings.
        assert not heard.bell.is_needed()
    heard.bell.ring()
    heard.sleeps()
    assert not heard.there
    heard.put()
    assert heard.ends()
    assert heard.looks == 3


def test_nobody_rings_for_one_that_does_not_sleep():
    lock = threading.Lock()
    bell = Bell(lock)
    with lock:
        assert not bell.is_needed()


def test_a_time_that_is_over_ends_the_wait_and_leaves_no_ring_behind():
    lock = threading.Lock()
    bell = Bell(lock)
    began = time.monotonic()
    with lock:
        bell.wait_for(lambda: False, 0.05)
        # In whole milliseconds.
        assert time.monotonic() - began >= 0.048
        assert not bell.is_needed()
        bell.wait_for(lambda: False, 0)


def test_within_its_time_it_is_woken():
    heard = Heard(timeout=PLENTY_S)
    heard.sleeps()
    heard.put()
    assert heard.ends()
    assert heard.looks == 2


@pytest.mark.parametrize("timeout", [None, 0.0005])
def test_many_who_put_lose_nothing(timeout):
    """Each of 2,000 things is taken, whether its ring comes before the sleep, in it, or in the moment in which its time is over."""
    lock, things, taken = threading.Lock(), [], []
    bell = Bell(lock)

    def take():
        while len(taken) < 2000:
            with lock:
                bell.wait_for(lambda: things, timeout)
                taken.extend(things)
                things.clear()

    def put(count):
        for _ in range(count):
            with lock:
                things.append("it")
                needed = bell.is_needed()
            if needed:
                bell.ring()
            if count % 3:
                time.sleep(0.0001)

    taking = threading.Thread(target=take, daemon=True)
    taking.start()
    putting = [threading.Thread(target=put, args=(count,)) for count in (700, 600, 400, 300)]
    for each in putting:
        each.start()
    for each in putting:
        each.join()
    taking.join(PLENTY_S)
    assert len(taken) == 2000
    # As many rings were heard as there were.
    assert not bell._looks.poll(0)


def test_what_it_waits_through_is_closed_with_it():
    lock = threading.Lock()
    bell = Bell(lock)
    numbers = bell._heard, bell._rope
    del bell
    gc.collect()
    for number in numbers:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)
