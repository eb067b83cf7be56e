// SPDX-License-Identifier: Apache-2.0
#include "operations.hpp"

namespace {

// Rows of weights of a chunk: several chunks for each thread, so that a slow thread takes fewer.
int chunk_rows(int64_t rows, int threads) {
  const int64_t fair = rows / (threads * 8);
  return static_cast<int>(fair < kTileRows ? kTileRows : round_up(fair, 2 * kTileRows));
}

int chunks_of(int rows, int each) { return (rows + each - 1) / each; }

int parts_of(int32_t keys) { return (keys + kPartKeys - 1) / kPartKeys; }

}  // namespace

const Activations& Prepared::fill(Team& team, const Path& path, const Rows& rows, int num_rows,
                                  int columns, int32_t format) {
  shape_.rows = num_rows;
  shape_.columns = static_cast<int>(round_up(columns, kGroup));
  const int64_t count = static_cast<int64_t>(num_rows) * shape_.columns;
  const auto fill_row = format == kBf16 ? path.round_row : path.quantise_row;
  if (format == kBf16) {
    shape_.bf16 = bf16_.reserve(count);
  } else {
    shape_.codes = codes_.reserve(count);
    shape_.scales = scales_.reserve(count / kGroup);
    shape_.negative_sums = sums_.reserve(count / kGroup);
  }
  each_row(team, num_rows, [&](int row) {
    fill_row(rows, columns, shape_, row);
  });
  return shape_;
}

void multiply(Team& team, const Path& path, const Activations& from, const Product* products, int count) {
  int64_t total = 0;
  for (int i = 0; i < count; ++i) total += products[i].linear->rows;
  const int each = chunk_rows(total, team.size());
  int chunks = 0;
  for (int i = 0; i < count; ++i) chunks += chunks_of(products[i].linear->rows, each);
  team.run(chunks, [&](int chunk, int) {
    const Product* product = products;
    for (; chunk >= chunks_of(product->linear->rows, each); ++product)
      chunk -= chunks_of(product->linear->rows, each);
    const Linear& linear = *product->linear;
    const int first = chunk * each, end = first + each < linear.rows ? first + each : linear.rows;
    path.linear(linear, from, first, end, product->out);
  });
}

void multiply_gated(Team& team, const Path& path, const Activations& from, const Linear& gate,
                    const Linear& up, float* out, float* other) {
  const int each = chunk_rows(gate.rows, team.size());
  team.run(chunks_of(gate.rows, each), [&](int chunk, int) {
    const int first = chunk * each, end = first + each < gate.rows ? first + each : gate.rows;
    path.linear(gate, from, first, end, {{out, 0}, gate.rows, false});
    path.linear(up, from, first, end, {{other, 0}, gate.rows, false});
    for (int row = 0; row < from.rows; ++row) {
      const int64_t place = static_cast<int64_t>(row) * gate.rows + first;
      path.gate(out + place, other + place, end - first);
    }
  });
}

void attend(Team& team, const Path& path, const float* q, int rows, int heads, const KeyValues& kv,
            Buffer<float>& buffer, float* out) {
  std::vector<int> first_part(rows + 1, 0);  // parts of the rows before each row
  for (int row = 0; row < rows; ++row) first_part[row + 1] = first_part[row] + parts_of(kv.lengths[row]);
  const int group = heads / kv.kv_heads, size = kv.head_size;
  const int64_t stride = size + 2;
  float* parts = buffer.reserve(first_part[rows] * heads * stride);
  team.run(first_part[rows] * kv.kv_heads, [&](int chunk, int) {
    const int kv_head = chunk % kv.kv_heads, global_part = chunk / kv.kv_heads;
    int row = 0;
    while (first_part[row + 1] <= global_part) ++row;
    const int part = global_part - first_part[row], num_parts = first_part[row + 1] - first_part[row];
    const int head = kv_head * group;
    // Parts of one head lie side by side: [row, head, part, stride].
    float* to = parts + (static_cast<int64_t>(first_part[row]) * heads + head * num_parts + part) * stride;
    path.attend_part(q + (static_cast<int64_t>(row) * heads + head) * size, group, kv, row, kv_head, part,
                     to, num_parts * stride);
  });
  each_row(team, rows, [&](int row) {
    const int num_parts = first_part[row + 1] - first_part[row];
    for (int head = 0; head < heads; ++head) {
      const float* from = parts + (static_cast<int64_t>(first_part[row]) * heads + head * num_parts) * stride;
      path.join_parts(from, num_parts, size, out + (static_cast<int64_t>(row) * heads + head) * size);
    }
  });
}
