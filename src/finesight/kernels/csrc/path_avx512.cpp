// SPDX-License-Identifier: Apache-2.0
// clang-format off: each file needs those before it
#include "path.hpp"
#include "simd_avx512.hpp"
#include "rows.inl"
#include "linear.inl"
#include "pack.inl"
#include "attention.inl"
#include "segments.inl"

const Path kAvx512Path = {rms_norm,  round_row,   quantise_row, linear,       pack_tile,
                          gate,      rms_norm_bf16, gate_bf16, rotate_bf16,  rotate,
                          round_values, round_heads, attend_part_of_any, pack_keys, attend_rows, join_parts};
