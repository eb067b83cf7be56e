// SPDX-License-Identifier: Apache-2.0
// All layers of the text decoder for a few rows, in one call.
#pragma once
#include "operations.hpp"

struct Layer {
  const float* input_norm;
  Linear q, k, v, o;
  const float* post_attention_norm;
  Linear gate, up, down;
};

struct Decoder {
  const Layer* layers;
  const float* norm;
  int32_t num_layers, width, inner_width, heads, kv_heads, head_size;
  float eps;
};

// The rows of one step. Keys and values have one more, first dimension: the layer.
struct Step {
  float* states;  // [rows, width]; overwritten by the normalised result
  const float *cos, *sin;  // [rows, head_size]
  const int64_t* slots;    // [rows]
  KeyValues kv;
  int64_t layer_bytes;  // from the keys of one layer to those of the next
  int32_t rows;
};

// Memory between operations.
struct Workspace {
  Prepared prepared;
  Buffer<float> normed, q, k, v, attended, parts, inner, other;
};

void decode(Team& team, const Path& path, const Decoder& decoder, const Step& step, Workspace& workspace);
