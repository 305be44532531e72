"""The README's figures are those of `benchmarks/results`, and what it calls a promise that is kept was."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text()


def result(name: str) -> dict[str, Any]:
    return dict(json.loads((ROOT / f"benchmarks/results/{name}.json").read_text()))


def row(begins: str) -> str:
    [found] = [line for line in README.splitlines() if line.startswith(f"| {begins}")]
    return found


def test_the_times_of_up_and_preview() -> None:
    measured = result("up")
    seconds = {name: each["median"] for name, each in measured["seconds"].items()}
    told = " / ".join(f"{seconds[f'up {how}']:.1f} s" for how in ("with a new image", "with the image known", "that changes nothing"))
    assert told in row("`pilotlight up aws-sagemaker-api --local`")
    assert f"{seconds['preview']:.1f} s" in row("`pilotlight preview`")
    slowest = max(each["seconds"]["median"] for each in measured["up with the image known"].values())
    assert f"{slowest:.1f} s at most" in row("`up` of any of the twelve ready stacks")
    assert all(each["kept"] for each in measured["promise"].values())


def test_what_the_policy_pack_adds() -> None:
    before, after = result("policies")["added_s"].values()
    assert f"It adds {before:.1f} s to a preview of the largest stack before its first `up` and {after:.1f} s after it" in README
    assert result("policies")["promise"]["kept"]


def test_the_rates_of_event_pipelines() -> None:
    told = row("event pipeline, 1,000 small objects")
    for found in result("events")["stacks"].values():
        for each in found.values():
            assert f"{each['objects_per_second']['median']:.0f}" in told


def test_the_times_of_programs_and_the_promise_about_them() -> None:
    measured, told = result("program"), row("a stack's program, start → last registration")
    for stack, found in measured["stacks"].items():
        seconds, beyond = found["seconds"], found["beyond_ms"]
        most = measured["promise"]["beyond_ms"]
        assert beyond["by hand"] <= most, stack
        late = [name for name in beyond if beyond[name] > most]
        assert all(f"`{stack}` {beyond[name]:.0f} ms" in told for name in late)
        if f"(`{stack}`)" in told:
            assert f"{seconds['ours']['median']:.2f} s (`{stack}`)" in told
            assert f"{seconds['by hand']['median']:.2f}" in told
    assert measured["promise"]["kept"] is ("**not kept**" not in told)


def test_the_storms() -> None:
    told = row("the storm, 5,000 uploads")
    for stack, found in result("storm")["stacks"].items():
        assert found["after_the_replay"]["dead_letters"] == 0, stack
        assert ("Intel Xeon" in told) is ("Xeon" in result("storm")["machine"]["cpu"])
        assert f"{found['seconds']['settled']:.0f} s (`{stack}`" in told
        if overtaken := found["after_the_replay"]["overtaken"]:
            assert f"(`{stack}`: of {found['after_the_replay']['rows'] + overtaken:,} versions {overtaken:,} were replaced" in told


def test_the_cold_start_of_the_model_server() -> None:
    measured, told = result("cold-start"), row("model server, MiniLM fp32: process start")
    assert ("Intel Xeon" in told) is ("Xeon" in measured["machine"]["cpu"])
    assert f"{measured['ours']['seconds']['median']:.2f} s, {measured['ours']['resident_mb']['median']:.0f} MB resident" in told
    assert f"{measured['ours']['cold_cache_seconds']['median']:.2f} s with a cold page cache" in told
    for name, each in measured["peers"].items():
        assert f"{each['seconds']['median']:.1f} s" in told
        if "cold_cache_seconds" in each:
            cold = measured["ratios"][name]["cold_cache_seconds"]
            assert f"({measured['ratio'][name]:.1f} times)" in told
            assert f"cold {each['cold_cache_seconds']['median']:.1f} s ({cold:.1f} times)" in told
    assert measured["promise"]["kept"] is ("**not kept**" not in told)


def test_the_model_server_under_load() -> None:
    for name, begins, unit in (
        ("throughput", "model server, a model that takes no time", ","),
        ("batching", "model server, MiniLM, 32", ""),
    ):
        measured, told = result(name), row(begins)
        assert ("Intel Xeon" in told) is ("Xeon" in measured["machine"]["cpu"])
        for each in (measured["ours"], *measured["peers"].values()):
            # One that takes one request at a time has no figure under load, and the row without batches is nobody's server.
            if "per_second" in each and each is not measured["peers"].get("one-at-a-time"):
                assert f"{each['per_second']['median']:{unit}.0f}" in told
        for floor in measured.get("floors", {}).values():
            assert f"{floor['per_second']['median']:,.0f} (p50 {floor['alone_p50_ms']['median']:.2f} ms)" in told
        assert measured["promise"]["kept"] is ("**not kept**" not in told)


def test_the_start_of_engine_torch() -> None:
    measured, told = result("torch-start"), row("model server, engine `torch` on a CPU, MiniLM fp32")
    assert ("Intel Xeon" in told) is ("Xeon" in measured["machine"]["cpu"])
    for each in (measured["ours"], measured["peers"]["auto-model"], measured["floors"]["import torch"]):
        assert f"{each['warm']['median']:.2f} s / {each['cold']['median']:.2f} s" in told
    for engine, found in measured["further_process"].items():
        assert f"{found['ms']['median']:.0f} ms ({engine})" in told
    assert measured["promise"]["kept"] is ("**not kept**" not in told)


def test_what_images_add() -> None:
    measured, told = result("payload"), row("what an image adds to its base")
    assert all(f"{each['mb']} MB (`{target}`" in told for target, each in measured["images"].items())
    assert f"at most {measured['promise']['mb']['cpu']} are promised" in told
    assert measured["promise"]["kept"]


def test_the_loading_of_weights() -> None:
    measured, told = result("loader"), row("1.7 GB of weights to the CPU")
    assert ("Intel Xeon" in told) is ("Xeon" in measured["machine"]["cpu"])
    for name in ("safetensors", "fastsafetensors", "runai-model-streamer"):
        each = measured["peers"][name]
        assert f"{name} {each['warm']['median']:.3f} s / {each['cold']['median']:.2f} s" in told
    assert f"{measured['ours']['warm']['median']:.3f} s / {measured['ours']['cold']['median']:.2f} s" in told
    assert all(f"{floor['median']:.3f} s warm" in told or f"{floor['median']:.2f} s cold" in told for floor in measured["floors"].values())
    assert measured["promise"]["kept"] is ("**not kept**" not in told)
