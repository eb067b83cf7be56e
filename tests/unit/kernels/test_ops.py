# SPDX-License-Identifier: Apache-2.0
"""Every kernel against its twin, on every instruction set that this processor has."""

from __future__ import annotations

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from finesight.errors import LayoutError
from finesight.kernels import library as library_module
from finesight.kernels import ops, twins
from finesight.kernels.formats import FORMATS, quantise, unpack
from tests.support.compiled import compiled, on_path

PATHS = ("avx512", "avx2")


@pytest.fixture(params=PATHS)
def path(request):
    with on_path(request.param) as found:
        yield found


def drawn_products(count):
    draw = random.Random(3)
    shapes = [
        (0, 16, 32),
        (1, 1, 1),
        (1, 16, 32),
        (129, 5, 33),
        (515, 20, 64),
        (23, 64, 96),
        (2, 17, 2048),
    ]
    shapes += [
        (draw.randint(1, 70), draw.randint(1, 150), draw.randint(1, 300)) for _ in range(count)
    ]
    return shapes


@pytest.mark.parametrize("name", FORMATS)
def test_products_are_those_of_the_twin(path, name):
    for seed, (rows, outputs, inputs) in enumerate(drawn_products(12)):
        torch.manual_seed(seed)
        weight = quantise(torch.randn(outputs, inputs) * 0.1, name)
        bias = torch.randn(outputs) if seed % 2 else None
        x = torch.randn(rows, inputs)
        found, expected = (each(x, weight, bias, outputs) for each in (ops.linear, twins.linear))
        # Sums of rounded products in another order; a value between two codes may be rounded to either.
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-3)
        assert (found - expected).norm() <= 1e-3 * expected.norm()


@pytest.mark.parametrize("name", FORMATS)
def test_a_row_does_not_depend_on_the_others_nor_on_the_threads(path, name):
    torch.manual_seed(0)
    weight, x = quantise(torch.randn(210, 160), name), torch.randn(13, 160)
    together = ops.linear(x, weight, None, 210)
    alone = torch.cat([ops.linear(row, weight, None, 210) for row in x.split(1)])
    assert torch.equal(together, alone)
    before = torch.get_num_threads()
    try:
        for count in (3, 1, 2):
            torch.set_num_threads(count)
            assert torch.equal(ops.linear(x, weight, None, 210), together)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", FORMATS)
def test_rows_in_bfloat16_give_the_result_of_float32_rounded(path, name):
    for seed, (rows, outputs, inputs) in enumerate(drawn_products(6)):
        torch.manual_seed(seed)
        weight = quantise(torch.randn(outputs, inputs), name)
        bias = torch.randn(outputs) if seed % 2 else None
        x = torch.randn(rows, inputs).bfloat16()
        found = ops.linear(x, weight, bias, outputs)
        assert torch.equal(found, ops.linear(x.float(), weight, bias, outputs).bfloat16())


def test_rows_in_half_precision_and_rows_that_are_not_contiguous(path):
    weight, x = quantise(torch.randn(32, 64), "int8"), torch.randn(2, 64).half()
    expected = ops.linear(x.float(), weight, None, 32)
    assert torch.equal(ops.linear(x, weight, None, 32), expected.half())
    assert torch.equal(ops.linear(x.float().T.contiguous().T, weight, None, 32), expected)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_stays_visible(path, name, value):
    x = torch.ones(2, 64)
    x[1, 40] = value
    found = ops.linear(x, quantise(torch.ones(16, 64), name), None, 16)
    assert torch.isfinite(found[0]).all()
    assert not torch.isfinite(found[1]).any()


@pytest.mark.parametrize("name", FORMATS)
def test_weights_are_rounded_as_the_twin_rounds_them(path, name):
    for seed, (outputs, inputs) in enumerate([(16, 32), (1, 1), (50, 70), (2100, 64), (33, 300)]):
        torch.manual_seed(seed)
        weight = torch.randn(outputs, inputs) * 0.05
        weight[0, : inputs // 2] = 0.0
        found, expected = (
            unpack(each(weight, name), outputs, inputs) for each in (ops.quantise, quantise)
        )
        # A value between two codes may be rounded to either, and two scales may have the same error.
        assert (found != expected).float().mean() < 1e-3
        errors = [(each - weight).norm() for each in (found, expected)]
        torch.testing.assert_close(errors[0], errors[1], rtol=1e-5, atol=0)


def test_only_matrices_are_rounded():
    with pytest.raises(LayoutError, match=r"shape \(4,\) cannot be packed"):
        ops.quantise(torch.zeros(4), "int8")


def drawn_caches(count):
    """Query rows, query heads, key-value heads, head size, slots of a block, longest length."""
    draw = random.Random(5)
    cases = [(1, 2, 1, 16, 1, 3), (2, 9, 3, 64, 16, 700), (1, 14, 2, 128, 256, 513)]
    for _ in range(count):
        heads = draw.choice([(1, 1), (4, 2), (7, 1), (12, 2), (9, 9)])
        size, slots = draw.choice([16, 32, 80]), draw.choice([1, 5, 16, 300])
        cases.append((draw.randint(1, 6), *heads, size, slots, draw.randint(1, 400)))
    return cases


def cache_of(case, dtype):
    rows, heads, kv_heads, size, slots, longest = case
    width = -(-longest // slots)
    blocks = rows * width + 2
    keys, values = (torch.randn(blocks, slots, kv_heads, size).to(dtype) for _ in range(2))
    table = torch.randperm(blocks)[: rows * width].view(rows, width).int()
    lengths = torch.randint(0, longest + 1, (rows,)).int()
    lengths[0] = longest
    return torch.randn(rows, heads, size), keys, values, table, lengths


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_is_that_of_the_twin(path, dtype):
    for seed, case in enumerate(drawn_caches(14)):
        torch.manual_seed(seed)
        inputs = cache_of(case, dtype)
        found, expected = ops.decode_attention(*inputs), twins.decode_attention(*inputs)
        # float32 on both sides, sums in another order
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-6)


def test_a_row_without_keys_is_zero(path):
    q, keys, values, table, lengths = cache_of((3, 2, 1, 16, 4, 9), torch.float32)
    lengths[1] = 0
    assert not ops.decode_attention(q, keys, values, table, lengths)[1].any()


def test_keys_that_are_not_finite_stay_visible(path):
    q, keys, values, table, lengths = cache_of((1, 2, 1, 16, 4, 9), torch.float32)
    keys[table[0, 1], 2] = float("nan")
    assert ops.decode_attention(q, keys, values, table, lengths).isnan().all()


def test_other_head_sizes_and_dtypes_use_the_twin():
    compiled()
    inputs = cache_of((2, 2, 1, 12, 4, 9), torch.float16)
    assert torch.equal(ops.decode_attention(*inputs), twins.decode_attention(*inputs))


def test_without_the_library_the_twins_compute(monkeypatch):
    monkeypatch.setattr(ops, "library", lambda: None)
    x, weight = torch.randn(3, 40), quantise(torch.randn(20, 40), "int4")
    assert torch.equal(ops.linear(x, weight, None, 20), twins.linear(x, weight, None, 20))
    assert torch.equal(ops.quantise(x, "int4"), quantise(x, "int4"))
    inputs = cache_of((2, 2, 1, 16, 4, 9), torch.float32)
    assert torch.equal(ops.decode_attention(*inputs), twins.decode_attention(*inputs))


def test_why_there_is_no_library_is_said_once(monkeypatch):
    from finesight.errors import EngineError

    def refuse():
        raise EngineError("no compiler here", hint="install one")

    monkeypatch.setattr(library_module, "library_file", refuse)
    library_module.library.cache_clear()
    try:
        with pytest.warns(UserWarning, match=r"much slower: no compiler here \(install one\)"):
            assert library_module.library() is None
        assert library_module.library() is None  # a second warning would fail the test
    finally:
        library_module.library.cache_clear()


def test_shapes_without_values():
    weight = quantise(torch.randn(20, 40), "int8").to("meta")
    x = torch.empty(3, 40, dtype=torch.bfloat16, device="meta")
    found = ops.linear(x, weight, None, 20)
    assert (found.shape, found.dtype, found.device.type) == ((3, 20), torch.bfloat16, "meta")
    assert ops.quantise(x, "int8").shape == (1, 2, 544)
    inputs = (each.to("meta") for each in cache_of((2, 4, 2, 16, 4, 9), torch.float32))
    assert ops.decode_attention(*inputs).shape == (2, 4, 16)


def test_shapes_that_do_not_fit():
    weight = quantise(torch.randn(20, 40), "int8")
    with pytest.raises(LayoutError, match=r"\(3, 65\).*must be \(2, 3, 544\)"):
        ops.linear(torch.randn(3, 65), weight, None, 20)
    with pytest.raises(LayoutError, match="expected float32"):
        ops.linear(torch.randn(3, 40), weight, torch.zeros(20).half(), 20)
    q, keys, values, table, lengths = cache_of((2, 4, 2, 16, 4, 9), torch.float32)
    with pytest.raises(LayoutError, match="do not fit"):
        ops.decode_attention(q[:, :3], keys, values, table, lengths)
    with pytest.raises(LayoutError, match="attends to 13 keys, its blocks hold 12"):
        ops.decode_attention(q, keys, values, table, lengths.fill_(13))
    with pytest.raises(LayoutError, match="of a cache of 4 blocks"):
        ops.decode_attention(q, keys[:4], values[:4], table.fill_(4), lengths.fill_(1))


FORKED = """
import os, torch, warnings
warnings.simplefilter("ignore")
from finesight.kernels import formats, ops
torch.set_num_threads(2)
weight, x = formats.quantise(torch.ones(64, 64), "int8"), torch.ones(1, 64)
expected = ops.linear(x, weight, None, 64)
child = os.fork()
if child == 0:
    os._exit(0 if torch.equal(ops.linear(x, weight, None, 64), expected) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), torch.equal(ops.linear(x, weight, None, 64), expected))
"""


def test_a_forked_process_has_threads_of_its_own():
    compiled()
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["0", "True"], done.stderr


def test_several_threads_of_python_take_turns():
    compiled()
    weights = [quantise(torch.randn(200, 96), "int4") for _ in range(4)]
    x = torch.randn(5, 96)
    expected = [ops.linear(x, weight, None, 200) for weight in weights]

    def repeat(index):
        return all(
            torch.equal(ops.linear(x, weights[index], None, 200), expected[index])
            for _ in range(50)
        )

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(repeat, range(4))) == [True] * 4
