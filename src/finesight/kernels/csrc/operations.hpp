// SPDX-License-Identifier: Apache-2.0
// Operations on several rows, shared among the threads of a team.
#pragma once
#include <vector>

#include "path.hpp"
#include "team.hpp"

// One buffer for each purpose, kept between calls; it only grows.
template <typename T>
class Buffer {
 public:
  T* reserve(int64_t count) {
    if (static_cast<int64_t>(held_.size()) < count) held_.resize(count);
    return held_.data();
  }

 private:
  std::vector<T> held_;
};

// Memory of activations in both forms.
class Prepared {
 public:
  // The rows `[rows, columns]` in the form for this format of weights.
  const Activations& fill(Team& team, const Path& path, const Rows& rows, int num_rows, int columns,
                          int32_t format);

 private:
  Activations shape_{};
  Buffer<uint16_t> bf16_;
  Buffer<int8_t> codes_;
  Buffer<float> scales_;
  Buffer<int32_t> sums_;
};

// A linear layer and where its result goes: [rows, linear.rows].
struct Product {
  const Linear* linear;
  Output out;
};

// Several layers with one input as a single job.
void multiply(Team& team, const Path& path, const Activations& from, const Product* products, int count);

// out[r] = silu(gate(x)) * up(x), [rows, gate.rows].
void multiply_gated(Team& team, const Path& path, const Activations& from, const Linear& gate,
                    const Linear& up, float* out, float* other);

// Attention of `rows` query rows [rows, heads, head_size], already scaled, to `out` of the same shape.
void attend(Team& team, const Path& path, const float* q, int rows, int heads, const KeyValues& kv,
            Buffer<float>& parts, float* out);

// Attention inside segments.
void attend(Team& team, const Path& path, const Segments& segments);

// Call `work(row)` for each row, in chunks: a job costs a microsecond, so few rows are one chunk.
template <typename Work>
void each_row(Team& team, int rows, const Work& work) {
  constexpr int kChunk = 4;
  team.run((rows + kChunk - 1) / kChunk, [&](int chunk, int) {
    const int end = (chunk + 1) * kChunk < rows ? (chunk + 1) * kChunk : rows;
    for (int row = chunk * kChunk; row < end; ++row) work(row);
  });
}
