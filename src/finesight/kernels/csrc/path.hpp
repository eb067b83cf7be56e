// SPDX-License-Identifier: Apache-2.0
// The functions of one instruction set. Each is a plain loop of one thread; `operations.cpp` shares work among threads.
#pragma once
#include "formats.hpp"

struct Path {
  // out = row / rms(row) * weight.
  void (*rms_norm)(const float* row, const float* weight, float eps, int columns, float* out);
  // Row `index` of the activations, for bfloat16 or quantised weights, from the same row of floats; columns without
  // padding.
  void (*round_row)(const Rows& from, int columns, const Activations& to, int index);
  void (*quantise_row)(const Rows& from, int columns, const Activations& to, int index);
  // out[r, first:last] = activations[r] @ weight[first:last].T + bias for every row r, or is increased by it.
  void (*linear)(const Linear& linear, const Activations& from, int first, int last, const Output& out);
  // Codes of one tile of float32 weights.
  void (*pack_tile)(const float* weight, int rows, int columns, int32_t format, uint8_t* out);
  // gate = silu(gate) * up.
  void (*gate)(float* gate, const float* up, int count);
  // The same operations on bfloat16; the heads are rotated from `heads` to `out`.
  void (*rms_norm_bf16)(const uint16_t* row, const float* weight, float eps, int columns, uint16_t* out);
  void (*gate_bf16)(uint16_t* gate, const uint16_t* up, int count);
  void (*rotate_bf16)(const uint16_t* heads, int count, const float* cos, const float* sin, int size,
                      uint16_t* out);
  // Rotate the pairs (i, i + size / 2) of one head; the first half of `sin` is negated.
  void (*rotate)(float* head, const float* cos, const float* sin, int size);
  void (*round_values)(const float* from, int count, uint16_t* to);
  // Heads to int8, each with its own scale.
  void (*round_heads)(const float* from, int heads, int size, int8_t* to, float* scales);
  // Attention of the query heads that share one key-value head over one part of the keys of a row. Each head writes
  // its largest score, the sum of the exponentials and the weighted sum of the values: head_size + 2 floats.
  void (*attend_part)(const float* q, int heads, const KeyValues& kv, int row, int kv_head, int part,
                      float* out, int64_t stride);
  // Keys and values of one head of a segment in the order of `attend_rows`.
  void (*pack_keys)(const uint16_t* keys, int64_t key_stride, const uint16_t* values, int64_t value_stride,
                    int count, int size, uint32_t* out);
  void (*attend_rows)(const SegmentRows& rows, const uint32_t* packed);
  // Combine what the parts of one head wrote.
  void (*join_parts)(const float* parts, int count, int head_size, float* out);
};

extern const Path kAvx512Path;
extern const Path kAvx2Path;
