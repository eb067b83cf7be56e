# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import re
import sys
import warnings
from pathlib import Path

import pytest
from gguf import GGUFReader

from benchmarks import long_context, mtmd, prompt, sampling
from benchmarks.__main__ import main
from benchmarks.comparison import Comparison, best_in_turns
from benchmarks.documents import bench_read
from benchmarks.harness import bench_harness
from benchmarks.kernels import bench_product
from benchmarks.llama_cpp import compare_with_llama_cpp, write_random_gguf
from benchmarks.media import bench_auto_frames, bench_long_video
from benchmarks.network import bench_load, bench_windows, shortened_3b
from benchmarks.packed_start import bench_packed_start
from benchmarks.prompt import bench_prefill, bench_vision
from benchmarks.rounding import bench_boxes, bench_rounding
from benchmarks.sampling import bench_constrained, bench_sampling
from benchmarks.start import bench_busy, bench_start
from finesight.config.sizes import named_config
from finesight.errors import ConfigError
from tests.support.compiled import compiled
from tests.support.model_cases import small_config


def test_a_speed_is_met_from_below_and_a_cost_from_above():
    faster = Comparison("vision", 2.0, 3.0, 1.2, at_least=True)
    assert faster.ratio == 1.5
    assert faster.is_met
    heavier = Comparison("memory", 3.0, 2.0, 1.05, at_least=False)
    assert heavier.ratio == 1.5
    assert not heavier.is_met
    assert str(heavier) == "memory: 3 against 2, ratio 1.50 (bar <= 1.05)"


def test_sides_take_turns_and_the_first_round_does_not_count():
    calls = []
    best = best_in_turns([lambda: calls.append("a"), lambda: calls.append("b")], 2)
    assert calls == ["a", "b"] * 3
    assert all(0 <= seconds < 1 for seconds in best)


@pytest.mark.parametrize(("blocks", "full"), [(32, (7, 15, 23, 31)), (8, (7,)), (2, (1,))])
def test_a_shortened_shape_keeps_one_full_block_in_eight(blocks, full):
    config = shortened_3b(blocks=blocks, layers=3)
    assert config.vision.full_attention_layers == full
    assert config.text.num_hidden_layers == 3
    assert config.text.hidden_size == 2048


def test_bursts_are_found_where_even_sampling_misses_them():
    found = bench_auto_frames(clips=1)
    assert found.is_met
    assert "even sampling misses 0." in found.note
    assert "misses 0.00" not in found.note  # otherwise the clips would prove nothing


def test_a_long_video_is_measured_in_a_process_of_its_own():
    found = bench_long_video(seconds=120, width=64, height=48)
    assert 0 < found.ours < 200e6
    assert found.note == "32 frame pairs, last at 119.96 s"


def test_the_harness_is_measured_on_answers_of_which_some_are_right():
    per_item, again = bench_harness(num_items=60)
    assert per_item.ours > 0
    assert again.ours > 0
    assert again.name == "seconds of scoring 60 stored answers again"
    assert again.note.endswith("% of them right")
    assert again.note != "0% of them right"


def test_reading_is_measured_without_the_model_and_lines_with_it():
    pytest.importorskip("pikepdf")
    seconds, memory, missing = bench_read(num_pages=10, num_model_pages=1)
    assert 0 < seconds.ours < 10
    assert memory.ours >= memory.yardstick > 1e6
    assert missing.ours == 0
    assert missing.is_met


def test_sampling_is_measured_by_setting(monkeypatch):
    monkeypatch.setattr(sampling, "_VOCAB_SIZE", 5_000)
    found = list(bench_sampling(num_steps=1))
    assert found[0].name == "seconds of greedy"
    assert all(each.ours > 0 for each in found)
    assert "at a vocabulary of 5,000" in found[0].note


def test_answers_under_schemas_are_valid():
    invalid, speed = bench_constrained(num_schemas=4, max_new_tokens=60)
    assert invalid.ours == 0
    assert invalid.yardstick > 0
    assert invalid.is_met
    assert speed.at_least
    assert "tokens/s" in speed.note


def test_loading_is_measured_against_reading():
    peak, time = bench_load(blocks=1, layers=1, rounds=1)
    assert peak.yardstick > 8e8  # the embedding alone has 622 MB
    assert 0.5 < peak.ratio < 1.5
    assert time.ours > 0


def test_windows_are_measured_per_patch():
    found = bench_windows(blocks=1, rounds=1)
    assert min(found.ours, found.yardstick) > 0
    assert found.bar == 1.3


def test_start_measures_both_sides():
    helped, asked = bench_start(rounds=1)
    # which is larger is for the benchmark to say: a test must not depend on a busy machine
    assert min(helped.ours, helped.yardstick, asked.ours, asked.yardstick) > 0
    assert helped.name.startswith("seconds of --help")
    assert (helped.bar, asked.bar) == (5.0, 3.0)


def test_a_busy_machine_is_measured_and_left_idle():
    found = bench_busy(rounds=1)
    assert min(found.ours, found.yardstick) > 0
    assert (found.bar, found.at_least) == (0.7, True)
    assert started_from_here("while True: pass") == []


def started_from_here(text):
    """Commands of this process's children that hold a text."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    commands = [Path(f"/proc/{child}/cmdline").read_text() for child in children]
    return [command for command in commands if text in command]


def test_products_are_compared_in_each_format():
    compiled()
    found = list(bench_product(32, 64, 1))
    assert [each.name.split()[7].strip(",") for each in found] == [
        "bf16",
        "int8",
        "int4",
        "int4_min",
    ]
    assert all(each.ratio > 0 and "GB/s" in each.note for each in found)


def small_3b(*, blocks=1, layers=1, special_tokens=None):
    """The embedded model's shape in the place of the 3B shape."""
    config = named_config("tiny")
    vision = config.vision.model_copy(update={"depth": blocks, "full_attention_layers": ()})
    text = config.text.model_copy(update={"num_hidden_layers": layers})
    return config.model_copy(update={"vision": vision, "text": text})


def test_the_tower_is_compared_in_both_formats(monkeypatch):
    compiled()
    monkeypatch.setattr(prompt, "shortened_3b", small_3b)
    monkeypatch.setattr(prompt, "VISION_SIDES", (112,))
    exact, rounded = bench_vision(blocks=1, rounds=1)
    assert "112 x 112, 1 blocks in bf16" in exact.name
    assert (exact.bar, rounded.bar) == (1.3, 2.0)
    assert re.fullmatch(r"processor time [\d.e-]+ against [\d.e-]+, ratio [\d.]+", exact.note)
    assert min(exact.ours, rounded.ours, exact.yardstick) > 0
    assert re.search(
        r"; visual tokens change by \d\.\d\d%, cosine similarity [01]\.\d{5}$", rounded.note
    )


def test_prompts_are_compared_in_each_format(monkeypatch):
    compiled()
    monkeypatch.setattr(prompt, "shortened_3b", small_3b)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that weights are packed
        found = list(bench_prefill(layers=1, rounds=1, tokens=70))
    assert [each.name.split()[7] for each in found] == ["bf16,", "int8,", "int4,"]
    assert [each.bar for each in found] == [1.0, 1.3, 1.0]
    assert all(each.ours > 0 and each.name.endswith("transformers in bfloat16") for each in found)
    assert found[0].note.endswith("; logits differ from bf16 by 0.0% with random weights")


def test_a_packed_start_is_measured_in_time_and_memory(monkeypatch):
    compiled()
    monkeypatch.setattr("finesight.config.sizes.named_config", lambda name, **_: small_3b())
    seconds, memory = bench_packed_start(layers=2, blocks=1, rounds=1)
    assert seconds.name.endswith("answer of one token, 2 layers in int4, against 3")
    assert 0 < seconds.ours < 300
    assert memory.ours > 1e8  # that of Python and torch
    assert 1e6 < memory.yardstick < 2e8


def test_boxes_move_less_than_their_size():
    compiled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that weights are packed, and what rounding changes
        found = list(bench_boxes(pictures=3))
    assert [re.search(r"move with (.*), against 2", each.name)[1] for each in found] == [
        "int8",
        "int4",
        "a vision tower in int8",
    ]
    assert all(0 <= each.ours < 60 for each in found)
    assert all("found by one side only" in each.note for each in found)


def test_random_gguf_files_have_the_shape(tmp_path):
    changed = {"hidden_size": 256, "num_attention_heads": 16, "intermediate_size": 64}
    text = small_config().text.model_copy(update=changed)
    for kind in ("BF16", "Q8_0", "Q4_0"):
        write_random_gguf(tmp_path / "random.gguf", text, kind)
        tensors = {each.name: each for each in GGUFReader(tmp_path / "random.gguf").tensors}
        assert len(tensors) == 2 + 3 * 12
        assert tensors["blk.1.ffn_gate.weight"].tensor_type.name == kind
        assert tensors["blk.1.ffn_gate.weight"].shape.tolist() == [256, 64]
        assert tensors["token_embd.weight"].tensor_type.name == {"Q4_0": "Q6_K"}.get(kind, kind)


def test_the_memory_of_long_prompts_is_measured_against_a_bound(monkeypatch):
    shapes = [{**case, "tokens": 4100, "layers": 1} for case in long_context._CASES]
    monkeypatch.setattr(long_context, "_CASES", shapes[:1])
    (found,) = long_context.bench_long_context()
    assert found.name.startswith("peak bytes of 4,100 tokens, 135m shape with 1 layers")
    assert 0 < found.ours < found.yardstick
    assert found.is_met
    assert "KV cache 1,7" in found.note


def test_a_program_that_is_not_llama_bench(tmp_path):
    with pytest.raises(ConfigError, match="cannot be run"):
        list(compare_with_llama_cpp(tmp_path / "missing", layers=1, threads=1))


@pytest.mark.parametrize(
    ("name", "program"),
    [("llama", "llama-bench"), ("mtmd", "llama-mtmd-cli"), ("servers", "llama-server")],
)
def test_comparisons_with_llama_cpp_need_its_programs(capsys, name, program):
    assert main([name]) == 2
    said = capsys.readouterr().err
    assert "needs llama.cpp" in said
    assert f"give --{program} its {program}" in said


def test_training_needs_another_program(capsys):
    assert main(["training"]) == 2
    said = capsys.readouterr().err
    assert "benchmark 'training' needs TRL or LLaMA-Factory" in said
    assert "--trl or --llamafactory" in said
    assert "scripts/llamafactory-venv.sh" in said


def test_the_tower_is_compared_with_the_encoding_alone(monkeypatch, tmp_path):
    """Processor time of a picture less that of one with a few patches; the program only burns time."""
    monkeypatch.setattr(mtmd, "VISION_SIDES", (112,))
    monkeypatch.setattr(mtmd, "shortened_3b", lambda **_: narrow_tower())
    program = tmp_path / "llama-mtmd-cli"
    program.write_text(
        f"#!{sys.executable}\nimport sys, time\nis_large = any(word.endswith('/112.png') for word in sys.argv)\n"
        "while time.process_time() < (0.7 if is_large else 0.2): pass\n"
        "sys.stdout.buffer.write(b'\\xda mtmd batch encoding done in 12 ms')\n"
    )
    program.chmod(0o755)
    found = list(mtmd.compare_with_mtmd(program))
    assert [" in bf16, " in found[0].name, " in int8, " in found[1].name] == [True, True]
    assert all(0.4 < each.yardstick < 0.6 for each in found)
    assert all("it prints 12 ms" in each.note for each in found)
    assert all(0 < each.ours < 1 for each in found)
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no such model')\n")
    with pytest.raises(ConfigError, match="ended with code 1: no such model"):
        list(mtmd.compare_with_mtmd(program))


def narrow_tower():
    """The shape of the embedded model with a tower of eight blocks, of which the last has full attention."""
    tiny = named_config("tiny")
    changed = {"depth": 8, "full_attention_layers": (7,)}
    return tiny.model_copy(update={"vision": tiny.vision.model_copy(update=changed)})


def test_names_are_listed_and_unknown_ones_refused(capsys):
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == [
        "start",
        "busy",
        "auto",
        "video",
        "windows",
        "engine",
        "harness",
        "read",
        "sampling",
        "constrained",
        "load",
        "long_context",
        "kernels",
        "llama",
        "vision",
        "mtmd",
        "prefill",
        "packed",
        "hour",
        "rounding",
        "boxes",
        "preference",
        "agent",
        "servers",
        "training",
        "speed",
    ]
    assert main(["sped"]) == 2
    assert "no benchmark 'sped'" in capsys.readouterr().err
    assert main(["windos"]) == 2
    assert "did you mean windows or video?" in capsys.readouterr().err


def test_a_device_is_for_the_network_alone(monkeypatch, capsys):
    assert main(["windows", "load", "--device", "meta"]) == 2
    assert "'load' measures the host, not device 'meta'" in capsys.readouterr().err
    assert main(["windows", "--device", "abacus"]) == 2
    assert "device 'abacus' cannot be used" in capsys.readouterr().err
    asked = []
    kept = Comparison("steps", 1.0, 1.0, 1.0, at_least=False)
    monkeypatch.setattr("finesight.model.device.checked_device", lambda name: name)
    for name in ("bench_windows", "compare_with_transformers"):
        monkeypatch.setattr(
            f"benchmarks.network.{name}",
            lambda device, **_: asked.append(device) or kept,
        )
    assert main(["--device", "cuda"]) == 0
    assert asked == ["cuda", "cuda"]


@pytest.mark.parametrize(("bar", "code"), [(2.0, 0), (0.5, 1)])
def test_a_missed_bar_is_said_and_fails(monkeypatch, capsys, bar, code):
    kept = Comparison("memory", 3.0, 3.0, bar, at_least=False, note="beside it")
    monkeypatch.setattr("benchmarks.network.bench_windows", lambda device: kept)
    assert main(["windows"]) == code
    line = capsys.readouterr().out
    assert line.startswith("MISSED" if code else "ok")
    assert line.rstrip().endswith("; beside it")
    assert main(["windows", "--json"]) == code
    report = json.loads(capsys.readouterr().out)
    assert report["results"][0]["ratio"] == 1.0
    assert report["results"][0]["is_met"] is (code == 0)


def test_rounding_needs_real_questions(capsys, monkeypatch):
    monkeypatch.delenv("FINESIGHT_REAL_DATA", raising=False)
    assert main(["rounding"]) == 2
    assert "FINESIGHT_REAL_DATA names no folder" in capsys.readouterr().err


@pytest.mark.real_data
def test_rounding_is_measured_on_real_questions():
    found = list(bench_rounding(questions=2))
    assert [each.bar for each in found] == [1.0, 1.0]
    assert 0 < found[0].ours < found[1].ours
