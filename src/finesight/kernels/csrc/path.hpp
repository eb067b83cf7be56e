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
  // Rotate the pairs (i, i + size / 2) of one head; the first half of `sin` is negated.
  void (*rotate)(float* head, const float* cos, const float* sin, int size);
  void (*round_values)(const float* from, int count, uint16_t* to);
  // Attention of the query heads that share one key-value head over one part of the keys of a row. Each head writes
  // its largest score, the sum of the exponentials and the weighted sum of the values: head_size + 2 floats.
  void (*attend_part)(const float* q, int heads, const KeyValues& kv, int row, int kv_head, int part,
                      float* out, int64_t stride);
  // Combine what the parts of one head wrote.
  void (*join_parts)(const float* parts, int count, int head_size, float* out);
};

extern const Path kAvx512Path;
extern const Path kAvx2Path;
