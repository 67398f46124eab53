"""What the simulator takes from the cold-start lab's records, and what it refuses to take for it."""

from __future__ import annotations

import json

import pytest

from benchmarks.avalanche.distributions import Constant, Samples
from benchmarks.avalanche.lab import RESTORES, invocations_of, newest_record, read_record, restores_of
from benchmarks.avalanche.parameters import ImpossibleParametersError
from benchmarks.coldstart.sample import Cell, Sample

AT = "2026-11-28T00:00:00+00:00"
# An eighth of a processor is 221 MB; 1,769 MB is a whole one.
EIGHTH, WHOLE = 1769 // 8, 1769


def function(engine: str = "compiled", **cell) -> Cell:
    return Cell("lean", engine, "packaged", support="lean", **cell)


def record(*samples: Sample, support: str = "lean") -> dict:
    return {"at": AT, "support": support, "samples": [sample.as_document() for sample in samples]}


def init(ms: float, **cell) -> Sample:
    return Sample(
        function(**cell),
        init_ms=ms,
        init_cpu_ms=ms / 2,
        first_invocation_ms=9.0,
        first_invocation_cpu_ms=4.0,
        warm_ms=[5.0],
        warm_cpu_ms=[2.0],
    )


def invoked(first: float, warm: list[float], **cell) -> Sample:
    return Sample(
        function(memory_size=WHOLE, **cell),
        init_ms=7777.0,
        first_invocation_ms=first,
        first_invocation_cpu_ms=first,
        warm_ms=warm,
        warm_cpu_ms=warm,
    )


def test_durations_are_the_samples_of_the_packaged_function() -> None:
    other = Sample(Cell("pip", "compiled", "pip", support="lean"), init_ms=999.0, init_cpu_ms=999.0)
    wrong = Sample(function(), init_ms=555.0, error="it lied")
    found = invocations_of(
        record(init(200.0), init(240.0), other, wrong, invoked(40.0, [20.0, 22.0])),
        engine="compiled",
        memory_size=WHOLE,
    )
    assert found.init_ms == Samples((200.0, 240.0))
    assert found.first_ms == Samples((40.0,))
    assert found.warm_ms == Samples((20.0, 22.0))
    assert found.message_ms == Samples((20.0, 22.0))
    assert found.init_throttled_ms == Constant(110.0)
    assert "invocations measured" in found.label


def test_what_no_quota_measured_is_computed_from_cpu_time_and_says_so() -> None:
    found = invocations_of(record(init(200.0)), engine="compiled", memory_size=EIGHTH)
    share = EIGHTH / 1769
    assert found.first_ms == Samples((4.0 / share,))
    assert found.warm_ms == Samples((2.0 / share,))
    assert found.init_throttled_ms == Constant(100.0 / share)
    assert "computed from CPU time" in found.label


def test_a_further_message_takes_what_a_batch_of_ten_took_more() -> None:
    batch = invoked(90.0, [56.0], messages=10, groups=10)
    found = invocations_of(
        record(init(200.0), invoked(40.0, [20.0]), batch), engine="compiled", memory_size=WHOLE
    ).message_ms
    # Warm invocations of one message took 2 and 20 ms of CPU, so 11; 45 more for nine more messages.
    assert found == Constant(5.0)


def test_an_init_under_stress_is_stretched_but_for_its_wait() -> None:
    found = invocations_of(
        record(init(3600.0, stress_mode="cold_start"), init(200.0)),
        engine="compiled",
        memory_size=EIGHTH,
        stress_mode="cold_start",
    )
    assert found.init_ms == Samples((3600.0,))
    assert found.init_throttled_ms == Constant(1800.0 * 1769 / EIGHTH + 3000.0)


def test_an_init_that_was_cut_off_took_longer_than_the_limit_and_its_repeat_says_how_long() -> None:
    cut = init(10_000.0, stress_mode="cold_start")
    cut.init_timed_out = True
    again = init(13_000.0, stress_mode="cold_start", repeated=True, memory_size=3008)
    found = invocations_of(
        record(cut, again, init(200.0)), engine="compiled", memory_size=WHOLE, stress_mode="cold_start"
    )
    assert found.init_ms == Samples((10_001.0,))
    assert found.init_throttled_ms == Constant(6500.0 + 3000.0)
    with pytest.raises(ImpossibleParametersError, match="none was repeated"):
        invocations_of(record(cut, init(200.0)), engine="compiled", memory_size=WHOLE, stress_mode="cold_start")


def woken(ms: float, first: float, **cell) -> Sample:
    return Sample(function(restored=True, **cell), init_ms=ms, first_invocation_cpu_ms=first)


def test_a_restore_is_a_published_snapshot_and_then_what_this_function_does() -> None:
    found = restores_of(record(init(200.0), woken(1.0, 8.0), woken(3.0, 6.0)), engine="compiled", memory_size=WHOLE)
    published = [whole - own for whole, own in json.loads(RESTORES.read_text())["restores"]]
    assert sorted(found.restore_ms.ms) == sorted(round(part + own, 3) for part in published for own in (1.0, 3.0))
    assert found.own_ms == 2.0
    assert found.first_ms == Samples((8.0, 6.0))
    assert "measured 2 times" in found.label
    stretched = restores_of(record(woken(1.0, 8.0)), engine="compiled", memory_size=EIGHTH)
    assert stretched.first_ms == Samples((8.0 * 1769 / EIGHTH,))


def test_restores_that_somebody_measured_take_the_place_of_the_published_ones() -> None:
    found = restores_of(record(woken(1.0, 8.0)), engine="compiled", memory_size=WHOLE, given_ms=(120.0, 150.0))
    assert found.restore_ms == Samples((120.0, 150.0))
    assert found.own_ms == 1.0
    assert "2 as given" in found.label


def test_what_a_record_did_not_wake_from_a_snapshot_is_refused() -> None:
    for one in (init(200.0), woken(1.0, 8.0, engine="pure"), woken(1.0, 8.0, kernel="avx512-16")):
        with pytest.raises(ImpossibleParametersError, match="has no restore of compiled lean"):
            restores_of(record(one), engine="compiled", memory_size=WHOLE)


def test_what_was_woken_from_a_snapshot_is_no_init_and_no_invocation() -> None:
    found = invocations_of(record(init(200.0), woken(1.0, 99.0)), engine="compiled", memory_size=EIGHTH)
    assert found.init_ms == Samples((200.0,))
    assert found.first_ms == Samples((4.0 * 1769 / EIGHTH,))


@pytest.mark.parametrize("asked", [{"engine": "pure"}, {"engine": "compiled", "support": "standard"}])
def test_a_record_of_another_engine_or_support_is_refused(asked) -> None:
    with pytest.raises(ImpossibleParametersError, match=r"is of another engine: \['compiled lean'\], not"):
        invocations_of(record(init(200.0)), memory_size=512, **asked)


def test_a_record_without_such_an_init_is_refused() -> None:
    with pytest.raises(ImpossibleParametersError, match="no init with STRESS_MODE=cold_start"):
        invocations_of(record(init(200.0)), engine="compiled", memory_size=512, stress_mode="cold_start")


def test_a_file_that_is_no_record_of_the_lab_is_refused(tmp_path) -> None:
    for text in ("", "[]", "{}", '{"samples": [], "at": "now"}'):
        path = tmp_path / "coldstart.json"
        path.write_text(text)
        with pytest.raises(ImpossibleParametersError, match="no record of the cold-start lab"):
            read_record(path)
    with pytest.raises(ImpossibleParametersError, match="has no record"):
        newest_record(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"init_ms": "fast"},
        {"init_ms": None},
        {"warm_ms": ["fast"]},
        {"warm_ms": 3},
        {"cell": 3},
        {"cell": {}},
        {"x": 1},
    ],
)
def test_a_record_whose_samples_are_none_is_refused(changed, tmp_path) -> None:
    path = tmp_path / "coldstart.json"
    whole = record(init(200.0))
    faults: list[object] = [[{**whole["samples"][0], **changed}], [{}], [1], "abc", {"a": 1}]
    for samples in faults:
        path.write_text(json.dumps(whole | {"samples": samples}))
        with pytest.raises(ImpossibleParametersError, match="no record of the cold-start lab"):
            read_record(path)


@pytest.mark.parametrize("memory_size", [-5, 0, 127, 10_241])
@pytest.mark.parametrize("of", [invocations_of, restores_of])
def test_a_memory_size_that_lambda_does_not_offer_is_refused(of, memory_size) -> None:
    with pytest.raises(ImpossibleParametersError, match=f"memory_size {memory_size}: its quota is 128 to 10240 MB"):
        of(record(init(200.0), woken(1.0, 8.0)), engine="compiled", memory_size=memory_size)


def test_batches_alone_do_not_say_what_a_further_message_takes() -> None:
    batch = init(200.0, messages=10, groups=10)
    found = invocations_of(record(batch), engine="compiled", memory_size=EIGHTH)
    assert found.warm_ms == found.message_ms == Samples(())


def test_the_newest_record_is_taken(tmp_path) -> None:
    for folder, at in (("b", "2026-11-01T00:00:00+00:00"), ("a", "2026-11-02T00:00:00+00:00")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "coldstart.json").write_text(json.dumps(record(init(1.0)) | {"at": at}))
    assert newest_record(tmp_path)["at"] == "2026-11-02T00:00:00+00:00"


@pytest.mark.parametrize("engine", ["compiled", "pure"])
@pytest.mark.parametrize("stress_mode", ["none", "cold_start"])
def test_the_newest_record_of_this_project_can_be_simulated(engine, stress_mode) -> None:
    found = invocations_of(newest_record(), engine=engine, memory_size=512, stress_mode=stress_mode)
    # Under a quota a first invocation can be the quickest: its process has not used up its share yet.
    assert 0 < max(found.warm_ms.mean_ms, found.first_ms.mean_ms) < found.init_ms.mean_ms < 10_000
