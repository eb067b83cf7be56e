// SPDX-License-Identifier: Apache-2.0
#include "operations.hpp"

#include <algorithm>

namespace {

// Rows of weights of a chunk: several chunks for each thread, so that a slow thread takes fewer.
int chunk_rows(int64_t rows, int threads) {
  const int64_t fair = rows / (threads * 8);
  return static_cast<int>(fair < kTileRows ? kTileRows : round_up(fair, 2 * kTileRows));
}

int chunks_of(int rows, int each) { return (rows + each - 1) / each; }

// Query rows of a chunk of attention inside segments: enough to pack the keys for, few enough to share among threads.
int query_rows(const Segments& segments) {
  const int group = segments.heads / segments.kv_heads;
  return group < 16 ? 512 / group : 32;
}

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

void attend(Team& team, const Path& path, const Segments& segments) {
  const int each = query_rows(segments), group = segments.heads / segments.kv_heads, size = segments.head_size;
  std::vector<int> first_block(segments.num_segments + 1, 0);  // blocks of query rows before each segment
  for (int s = 0; s < segments.num_segments; ++s)
    first_block[s + 1] = first_block[s] + chunks_of(segments.q_starts[s + 1] - segments.q_starts[s], each);
  const int blocks = first_block[segments.num_segments];
  // The heads of a short segment share cache lines, so one thread takes all of them.
  const int heads = blocks >= 16 * team.size() ? segments.kv_heads : 1;
  team.run(blocks * segments.kv_heads / heads, [&](int chunk, int) {
    static thread_local std::vector<uint32_t> packed;
    const int block = chunk * heads / segments.kv_heads, first_head = chunk * heads % segments.kv_heads;
    const int s = static_cast<int>(
        std::upper_bound(first_block.begin(), first_block.end(), block) - first_block.begin() - 1);
    const int first = (block - first_block[s]) * each, queries = segments.q_starts[s + 1] - segments.q_starts[s];
    const int count = queries - first < each ? queries - first : each;
    const int all = segments.k_starts[s + 1] - segments.k_starts[s], first_end = all - queries + first + 1;
    const int keys = segments.causal ? first_end + count - 1 : all;
    const int64_t row = segments.k_starts[s], q_row = segments.q_starts[s] + first;
    const int64_t out_stride = static_cast<int64_t>(segments.heads) * size;
    packed.resize(packed_key_dwords(keys, size));
    for (int head = first_head * group; head < (first_head + heads) * group; ++head) {
      const int64_t kv_place = head / group * size;
      if (head % group == 0)
        path.pack_keys(segments.k + row * segments.k_stride + kv_place, segments.k_stride,
                       segments.v + row * segments.v_stride + kv_place, segments.v_stride, keys, size,
                       packed.data());
      path.attend_rows({segments.q + q_row * segments.q_stride + head * size,
                        segments.out + q_row * out_stride + head * size, segments.q_stride, out_stride, count, keys,
                        size, segments.causal, first_end},
                       packed.data());
    }
  });
}
