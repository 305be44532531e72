"""What becomes of objects on every cloud, in `test_events.py`."""

import json
from pathlib import Path

from tests.conformance.evented import ENGLISH, LARGE_BYTES, MOST_BYTES, NAMES, PREFIX, TYPES, Evented
from tests.support.vectors import TEXTS, assert_embeds


class EventPromises:
    def test_objects_that_the_filters_pass_over_start_nothing(self, up: Evented) -> None:
        outside = [up.pipeline.put("out/a.txt", ENGLISH), up.pipeline.put(f"{PREFIX}a.png", ENGLISH, TYPES["png"])]
        small = up.put("small.txt", b"a")
        up.answered(up.put("taken.txt"))
        assert up.told(small)["outcome"] == "passed-over"
        up.emptied()
        assert up.attempts(version for _, version in outside) == []
        assert [up.pipeline.look(identity) for identity in [*outside, small]] == [None] * 3
        assert not {*outside, small} & set(up.pipeline.dead())

    def test_a_too_large_object_is_refused_with_the_reason_and_a_large_text_goes_by_reference(self, up: Evented, tmp_path: Path) -> None:
        large, too_large = tmp_path / "large.txt", tmp_path / "too-large.txt"
        # One endless word, of which the model sees one token.
        large.write_bytes(ENGLISH.ljust(LARGE_BYTES, b"a"))
        too_large.write_bytes(b"a" * (MOST_BYTES + 1))
        printed = up.deployment.run("upload", up.ready.name, str(large), str(too_large), "--wait", "--json", code=4).stdout
        answered, refused = json.loads(printed)["objects"]
        assert answered["state"] == "done", printed[:2000]
        assert len(answered["result"]["outputs"]) == len(TEXTS["english"]["sentence"])
        assert refused["state"] == up.refused, refused
        assert f"{MOST_BYTES + 1} bytes: {MOST_BYTES} are allowed" in refused["reason"]
        up.given_up()
        assert refused["version"] in dict(up.pipeline.dead()).values()

    def test_a_large_result_lies_beside_the_row_and_the_message(self, up: Evented) -> None:
        lines = [json.dumps(TEXTS[NAMES[number % len(NAMES)]]["text"]) for number in range(60)]
        identity = up.put("many.jsonl", "\n".join(lines).encode())
        row = up.pipeline.row(identity)
        assert row is not None
        assert "result" not in row
        answers = up.pipeline.answer(row)
        assert len(answers) == len(lines)
        for number, answer in enumerate(answers):
            assert_embeds(NAMES[number % len(NAMES)], answer)
        up.emptied()
        [message] = [message for message in up.pipeline.messages() if message["version"] == identity[1]]
        assert message["resultUri"] == row["resultUri"]

    def test_events_that_come_twice_make_one_row_each(self, up: Evented) -> None:
        up.faulty(events={"duplicates": 1, "delay_s": 6, "seed": 3})
        uploaded = [up.put(f"twice-{number}.txt") for number in range(6)]
        up.goes_on(10)
        versions = {version for _, version in uploaded}

        def outcomes() -> set[str]:
            return {line["outcome"] for line in up.attempts(versions)}

        # The row is there before the message, and says so after it.
        up.observed.wait(lambda: [line["outcome"] for line in up.attempts(versions)].count("recorded") == len(versions), "a result of each")
        for identity in uploaded:
            assert up.answered(identity)["published"] is True
        up.emptied()
        up.observed.wait(lambda: "known" in outcomes(), "a second event that was worked on after the first")
        assert outcomes() == {"recorded", "known"}
        rows = [row["version"] for row in up.pipeline.rows() if row["version"] in versions]
        assert sorted(rows) == sorted(versions)
        # At least once; again only by a second delivery that was worked on at the same moment as the first.
        assert max(up.messages(versions).values()) <= 2

    def test_an_event_that_comes_again_when_its_result_was_sent_sends_none(self, up: Evented) -> None:
        # By this seed one copy arrives at once and the other after 92 s.
        up.faulty(events={"duplicates": 1, "delay_s": 100, "seed": 1286})
        identity = up.put("later.txt")
        # The row is there before the message, and says so after it.
        up.observed.wait(lambda: up.attempts([identity[1]]), "the end of the first delivery")
        assert up.answered(identity)["published"] is True
        up.goes_on(100)
        up.emptied()
        up.observed.wait(lambda: len(up.attempts([identity[1]])) == 2, "the second event")
        assert {line["outcome"] for line in up.attempts([identity[1]])} == {"recorded", "known"}
        assert up.messages([identity[1]]) == {identity[1]: 1}

    def test_the_newest_version_stays_ahead_when_its_event_comes_first(self, up: Evented) -> None:
        # By this seed the first event arrives after 86 s, the next ones at once (on Google Cloud one of an archived version among them).
        up.faulty(events={"delay_s": 100, "seed": 799})
        older, newer = up.put("again.txt"), up.put("again.txt", TEXTS["chinese"]["text"].encode())
        up.goes_on(30)
        up.answered(newer, "chinese")
        assert (up.pipeline.look(older), up.pipeline.newest(newer[0])) == (None, newer[1])
        up.goes_on(90)
        if up.keeps_versions:
            up.answered(older)
        else:
            # It is gone, and what replaced it has its result.
            up.observed.wait(lambda: up.attempts([older[1]]), "what became of the older version")
            assert [line["outcome"] for line in up.attempts([older[1]])] == ["passed-over"]
            assert (older in up.pipeline.dead(), up.pipeline.look(older)) == (False, None)
        assert up.pipeline.newest(newer[0]) == newer[1]

    def test_what_was_uploaded_while_the_model_is_stopped_is_answered_afterwards(self, up: Evented) -> None:
        up.stop()
        uploaded = list(up.together({f"stopped-{number}.txt": ENGLISH for number in range(3)}).values())
        up.observed.wait(lambda: up.tried(uploaded), "the first attempt")
        assert [up.pipeline.look(identity) for identity in uploaded] == [None] * len(uploaded)
        up.faulty()
        up.tried_again()
        for identity in uploaded:
            up.answered(identity)
        assert not set(uploaded) & set(up.pipeline.dead())

    def test_results_are_listed_by_object(self, up: Evented) -> None:
        older = up.put("listed.txt")
        up.answered(older)
        newer = up.put("listed.txt", TEXTS["chinese"]["text"].encode())
        up.answered(newer, "chinese")
        listed = json.loads(up.deployment.run("results", up.ready.name, f"{PREFIX}listed.txt", "--json").stdout)
        assert [row["version"] for row in listed] == [newer[1], older[1]]
        assert_embeds("chinese", listed[0]["result"]["outputs"])
        up.deployment.run("results", up.ready.name, f"{PREFIX}nothing.txt", code=3)
