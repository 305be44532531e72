"""Queues over the REST API: messages that are put in once, taken, put off and removed; Azure's own client beside ours."""

import time

import pytest
from azure.storage.queue import BinaryBase64DecodePolicy, BinaryBase64EncodePolicy, QueueClient

from handlers.functions.azure.queues import MOST_BYTES, Queue
from handlers.functions.rest import ApiError

BODY = b'\x00\xff{"id": "<a&b>"}'


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("handlers.functions.rest._FIRST_PAUSE_S", 0.001)


@pytest.fixture
def queue(azure):
    return Queue(azure.url("queue"), "work")


@pytest.fixture
def theirs(azure):
    how = {"message_encode_policy": BinaryBase64EncodePolicy(), "message_decode_policy": BinaryBase64DecodePolicy()}
    with QueueClient(azure.url("queue"), "work", **how, **azure.sdk) as client:
        yield client


def stored(azure):
    return azure.account.queues.queues["work"]


def test_azures_own_client_takes_what_we_put_in_and_we_what_it_puts_in(azure, queue, theirs):
    queue.put(BODY, unseen_s=0, keep_s=3600)
    theirs.send_message(BODY, visibility_timeout=0, time_to_live=3600)
    assert azure.asked(0, "content-type") == azure.asked(1, "content-type")
    texts = [body.partition(b"<MessageText>")[2].partition(b"</MessageText>")[0] for body in azure.front.bodies]
    assert texts[0] == texts[1] != b""
    (found,) = theirs.receive_messages(messages_per_page=1, max_messages=1)
    (other,) = queue.get(unseen_s=30)
    assert (found.content, other.body, other.attempt) == (BODY, BODY, 1)


def test_a_message_is_put_off_and_removed_as_azures_own_client_does_it(azure, queue, theirs):
    queue.put(BODY)
    queue.put(BODY)
    first, second = queue.get(unseen_s=30)
    (seen,) = (each for each in stored(azure) if each.id == first.id)
    put_off = queue.put_off(first, unseen_s=60)
    assert put_off.receipt == seen.receipt != first.receipt
    theirs.update_message(second.id, second.receipt, visibility_timeout=60)
    (method, path, query, _), (_, other, their_query, _) = azure.asked(-2), azure.asked(-1)
    assert (method, path.replace(first.id, second.id)) == ("PUT", other)
    assert query | {"popreceipt": [second.receipt]} == their_query
    assert queue.delete(put_off)
    assert [each.id for each in stored(azure)] == [second.id]


def test_what_nobody_sees_is_not_taken_until_its_time_is_over(queue):
    queue.put(b"later", unseen_s=1)
    queue.put(b"now")
    (taken,) = queue.get(unseen_s=1)
    assert (taken.body, queue.get(unseen_s=1), queue.peek()) == (b"now", [], [])
    time.sleep(1.1)
    assert [(each.body, each.attempt) for each in queue.get(unseen_s=10)] == [(b"later", 1), (b"now", 2)]


def test_looking_takes_nothing(queue):
    queue.put(b"a")
    assert [(each.body, each.attempt, each.receipt) for each in queue.peek(2) + queue.peek(2)] == [(b"a", 0, "")] * 2
    assert queue.get(unseen_s=1)[0].attempt == 1


def test_a_message_that_somebody_else_has_by_now_is_not_ours(queue):
    queue.put(b"a")
    (old,) = queue.get(unseen_s=0)
    (new,) = queue.get(unseen_s=30)
    assert old.id == new.id
    assert queue.put_off(old, unseen_s=1) is None
    assert not queue.delete(old)
    assert queue.delete(new)
    assert not queue.delete(new)
    assert queue.put_off(new, unseen_s=1) is None


def test_a_message_of_somebody_else_in_plain_text_is_read_as_it_is(azure, queue):
    plain = Queue(azure.url("queue"), "work", encoded=False)
    plain.put('{"é": "<&>"}'.encode())
    assert stored(azure)[0].text == '{"é": "<&>"}'
    assert queue.peek()[0].body == plain.peek()[0].body == '{"é": "<&>"}'.encode()


def test_a_message_is_not_put_in_twice_where_its_answer_was_lost(azure, queue):
    azure.front.lost[:] = [True]
    with pytest.raises(ApiError):
        queue.put(b"a")
    assert (len(stored(azure)), len(azure.front.seen)) == (1, 1)
    azure.front.statuses[:] = [500]
    with pytest.raises(ApiError, match="500"):
        queue.put(b"b")
    # The service says that it did nothing.
    azure.front.statuses[:] = [503, 429]
    queue.put(b"c")
    assert [each.body for each in queue.peek(9)] == [b"a", b"c"]


def test_taking_and_removing_are_tried_again(azure, queue):
    queue.put(b"a")
    azure.front.statuses[:] = [500]
    (found,) = queue.get(unseen_s=30)
    azure.front.lost[:] = [True]
    # Removed by the request whose answer was lost: it is gone, and not by this one as far as can be known.
    assert not queue.delete(found)
    assert stored(azure) == []


def test_a_message_whose_putting_off_was_lost_is_not_put_off_again(azure, queue):
    queue.put(b"a")
    (found,) = queue.get(unseen_s=30)
    azure.front.lost[:] = [True]
    with pytest.raises(ApiError):
        queue.put_off(found, unseen_s=60)
    assert len(azure.front.seen) == 3


def test_a_message_that_is_too_large_is_told_with_both_sizes(azure, queue):
    most = MOST_BYTES * 3 // 4
    queue.put(b"x" * most)
    with pytest.raises(ApiError, match="The message has 65540 bytes in base64: 65536 are allowed") as refusal:
        queue.put(b"x" * (most + 1))
    assert (refusal.value.code, len(azure.front.seen)) == ("RequestBodyTooLarge", 1)
    Queue(azure.url("queue"), "work", encoded=False).put(b"x" * MOST_BYTES)
    assert len(stored(azure)) == 2


def test_a_queue_that_is_not_there_is_told(azure):
    with pytest.raises(ApiError, match="404 QueueNotFound"):
        Queue(azure.url("queue"), "none").get(unseen_s=1)
