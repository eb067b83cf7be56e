// SPDX-License-Identifier: Apache-2.0
// Layout of weights and activations, shared by all files and by `finesight.kernels.library`.
//
// bfloat16 weights are rows of columns, as checkpoints store them.
// Quantised weights are tiles of 16 rows. A tile is a run of groups of 32 columns. A group holds, for each quad of 4
// columns, 4 codes of each of the 16 rows; then 16 half-precision scales; with a minimum, 16 of those. Codes of 4 bits
// share bytes: the low half is quad j, the high half quad j + 4. A weight is scale * (code - offset) + minimum.
// Rows and columns of a last, partial tile or group are zero.
#pragma once
#include <cstdint>

constexpr int kTileRows = 16;
constexpr int kGroup = 32;
constexpr int kLargestBatch = 512;  // activation rows that are multiplied at once

enum Format : int32_t { kBf16 = 0, kInt8 = 1, kInt4 = 2, kInt4Min = 3 };

constexpr int64_t group_bytes(int32_t format) {
  const int64_t codes = format == kInt8 ? kTileRows * kGroup : kTileRows * kGroup / 2;
  return codes + (format == kInt4Min ? 4 : 2) * kTileRows;
}

constexpr int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Rows of float32 or bfloat16 that belong to the caller.
struct Rows {
  void* values;
  int32_t is_bf16;
};

// Where a product goes: row r of it starts `stride` values after row r - 1. Only float32 can be added to.
struct Output {
  Rows rows;
  int64_t stride;
  bool adds;
};

struct Linear {
  int32_t format, rows, columns;
  const void* weight;
  const float* bias;  // or null
};

// Rows of activations in the form that a format of weights needs; columns are padded to a multiple of 32 with zeros.
struct Activations {
  int rows, columns;       // columns with padding
  uint16_t* bf16;          // [rows, columns], for bfloat16 weights
  int8_t* codes;           // [rows, columns], for quantised weights
  float* scales;           // [rows, columns / 32]
  int32_t* negative_sums;  // [rows, columns / 32], of the codes of a group
};

// Scales tried for 4 bits, relative to the one that reaches the largest weight.
constexpr int kScaleSteps = 6;
constexpr float kScaleTries[kScaleSteps] = {1.0f, 0.96f, 0.92f, 0.88f, 0.84f, 0.8f};

enum KvFormat : int32_t { kKvFloat32 = 0, kKvBf16 = 1, kKvInt8 = 2 };

// Keys and values of one layer: [blocks, block_size, kv_heads, head_size] each, and in int8 the scale of each head:
// [blocks, block_size, kv_heads].
struct KeyValues {
  int32_t format, block_size, kv_heads, head_size;
  void *keys, *values;
  float *key_scales, *value_scales;  // null unless in int8
  const int32_t* block_table;  // [rows, table_width]
  int32_t table_width;
  const int32_t* lengths;  // [rows], keys that the row attends to
};

// Attention inside segments, in bfloat16. A row of queries, keys or values starts `stride` values after the one before;
// its heads are contiguous.
struct Segments {
  const uint16_t *q, *k, *v;
  uint16_t* out;  // [rows, heads, head_size]
  int64_t q_stride, k_stride, v_stride;
  int32_t heads, kv_heads, head_size;
  int32_t causal;  // the queries of a segment are the last rows of its keys
  int32_t num_segments;
  const int32_t *q_starts, *k_starts;  // [num_segments + 1], rows before each segment
};

// Query rows of one head and one segment.
struct SegmentRows {
  const uint16_t* q;
  uint16_t* out;
  int64_t q_stride, out_stride;
  int32_t count, keys, head_size;
  int32_t causal, first_end;  // keys that the first row attends to, if causal
};

constexpr int kMaxHeadSize = 256;

// Dwords of the packed keys and values of one head of a segment.
constexpr int64_t packed_key_dwords(int keys, int head_size) { return round_up(keys, 16) * head_size; }

// Keys are processed in parts of this many, so that a long sequence is shared by threads. The size is fixed:
// results do not depend on the number of threads.
constexpr int kPartKeys = 256;
