// SPDX-License-Identifier: Apache-2.0
// Attention of many query rows inside segments, in bfloat16 with float32 sums and a running softmax (FlashAttention).
// Keys and values of a segment are brought into the order of the products first: a dword holds two values that are
// multiplied together, a register those of 16 keys, or of 16 columns of the values.
// The sums of a row run over its keys in one order, whatever the rows beside it. Included once per instruction set,
// after `rows.inl`.

namespace {

constexpr int kQueryRows = 8;    // query rows that are computed together
constexpr int kKeyTiles = 2;     // tiles of 16 keys beside them
constexpr int kKeyBlock = 128;   // keys between two updates of the running softmax
constexpr int kQueryBlock = 64;  // query rows that use a block of keys while it is in the cache

// Keys to [tiles of 16][head_size / 2][16] dwords, then values to [pairs of keys][head_size] dwords; the rest is zero.
void pack_keys(const uint16_t* keys, int64_t key_stride, const uint16_t* values, int64_t value_stride, int count,
               int size, uint32_t* out) {
  const int padded = static_cast<int>(round_up(count, 16)), pairs = size / 2;
  for (int i = 0; i < padded; ++i) {
    uint32_t* to = out + static_cast<int64_t>(i / 16) * pairs * 16 + i % 16;
    uint32_t key[kMaxHeadSize / 2] = {};
    if (i < count) __builtin_memcpy(key, keys + i * key_stride, size * sizeof(uint16_t));
    for (int p = 0; p < pairs; ++p) to[p * 16] = key[p];
  }
  out += static_cast<int64_t>(padded) * pairs;
  const uint16_t none[kMaxHeadSize] = {};
  for (int i = 0; i < padded; i += 2, out += size) {
    const uint16_t* low = i < count ? values + i * value_stride : none;
    const uint16_t* high = i + 1 < count ? values + (i + 1) * value_stride : none;
    for (int e = 0; e < size; ++e) out[e] = low[e] | static_cast<uint32_t>(high[e]) << 16;
  }
}

// 2 to the power of x in [-126, 0], with a relative error of 4e-5: the weights are rounded to bfloat16.
inline F32 rough_power(F32 x) {
  x = maximum(broadcast(-126.0f), x);  // in this order NaN stays NaN
  const F32 whole = nearest(x), rest = add(x, multiply(whole, broadcast(-1.0f)));
  F32 y = broadcast(9.6181291e-3f);
  y = multiply_add(y, rest, broadcast(5.5504109e-2f));
  y = multiply_add(y, rest, broadcast(2.4022651e-1f));
  y = multiply_add(y, rest, broadcast(6.9314718e-1f));
  y = multiply_add(y, rest, broadcast(1.0f));
  return multiply(y, power_of_two(whole));
}

// Query rows and their running softmax.
struct Queries {
  const uint16_t* rows[kQueryBlock];
  int ends[kQueryBlock];  // keys that each attends to
  float top[kQueryBlock], total[kQueryBlock];
  alignas(64) float out[kQueryBlock][kMaxHeadSize];
  // Of the rows that are computed together:
  alignas(64) float scores[kQueryRows][kKeyBlock];
  alignas(64) uint16_t weights[kQueryRows][kKeyBlock];
};

template <int Tiles>
inline void score_tiles(Queries& queries, int row, const uint32_t* keys, int size, int first) {
  F32 acc[Tiles][kQueryRows];
  for (int t = 0; t < Tiles; ++t)
    for (int r = 0; r < kQueryRows; ++r) acc[t][r] = zero();
  const int64_t tile = static_cast<int64_t>(size) * 8;
  for (int p = 0; p < size / 2; ++p) {
    Bytes key[Tiles];
    for (int t = 0; t < Tiles; ++t) key[t] = load_bytes(keys + t * tile + p * 16);
    for (int r = 0; r < kQueryRows; ++r) {
      const Bytes pair = load_pair(queries.rows[row + r] + 2 * p);
      for (int t = 0; t < Tiles; ++t) acc[t][r] = dot_bf16(acc[t][r], key[t], pair);
    }
  }
  for (int t = 0; t < Tiles; ++t)
    for (int r = 0; r < kQueryRows; ++r) store(queries.scores[r] + first + t * 16, acc[t][r]);
}

// Weights of the keys `first` to `first + count` for row `row + r`, from the scores; the sums so far are scaled to the
// new largest score.
inline void weigh(Queries& queries, int row, int r, int first, int count, int size, float scale) {
  float *scores = queries.scores[r], *out = queries.out[row + r];
  float &top = queries.top[row + r], &total = queries.total[row + r];
  uint16_t* weights = queries.weights[r];
  const int left = queries.ends[row + r] - first, used = left < 0 ? 0 : left < count ? left : count;
  const int filled = static_cast<int>(round_up(used, 16)), padded = static_cast<int>(round_up(count, 16));
  for (int i = filled; i < padded; ++i) weights[i] = 0;
  if (used == 0) return;
  for (int i = used; i < filled; ++i) scores[i] = -__builtin_inff();
  F32 most = load(scores);
  for (int i = 16; i < filled; i += 16) most = maximum(most, load(scores + i));
  const float found = largest(most) * scale;
  if (found > top) {
    const float shrink = __builtin_exp2f(top - found);  // of an empty sum: 0
    for (int e = 0; e < size; e += 16) store(out + e, multiply(load(out + e), broadcast(shrink)));
    total *= shrink;
    top = found;
  }
  const F32 shift = broadcast(-top), factor = broadcast(scale);
  F32 added = zero();
  for (int i = 0; i < filled; i += 16) {
    F32 weight = rough_power(multiply_add(load(scores + i), factor, shift));
    if (used < i + 16) weight = first_lanes(weight, used - i);
    added = add(added, weight);
    store_bf16(weights + i, weight);
  }
  total += sum(added);
}

template <int Tiles>
inline void add_weighted(Queries& queries, int row, const uint32_t* values, int count, int size, int first) {
  F32 acc[Tiles][kQueryRows];
  for (int t = 0; t < Tiles; ++t)
    for (int r = 0; r < kQueryRows; ++r) acc[t][r] = load(queries.out[row + r] + first + t * 16);
  for (int i = 0; i < count; i += 2, values += size) {
    Bytes value[Tiles];
    for (int t = 0; t < Tiles; ++t) value[t] = load_bytes(values + first + t * 16);
    for (int r = 0; r < kQueryRows; ++r) {
      const Bytes pair = load_pair(queries.weights[r] + i);
      for (int t = 0; t < Tiles; ++t) acc[t][r] = dot_bf16(acc[t][r], value[t], pair);
    }
  }
  for (int t = 0; t < Tiles; ++t)
    for (int r = 0; r < kQueryRows; ++r) store(queries.out[row + r] + first + t * 16, acc[t][r]);
}

inline void score_block(Queries& queries, int row, const uint32_t* keys, int count, int size) {
  const int64_t tile = static_cast<int64_t>(size) * 8;
  int first = 0;
  for (; first + 16 * kKeyTiles <= count; first += 16 * kKeyTiles)
    score_tiles<kKeyTiles>(queries, row, keys + first / 16 * tile, size, first);
  for (; first < count; first += 16) score_tiles<1>(queries, row, keys + first / 16 * tile, size, first);
}

inline void add_block(Queries& queries, int row, const uint32_t* values, int count, int size) {
  int first = 0, left = size / 16;
  for (; left == 3 || left >= 5; left -= 3, first += 48) add_weighted<3>(queries, row, values, count, size, first);
  for (; left >= 2; left -= 2, first += 32) add_weighted<2>(queries, row, values, count, size, first);
  if (left == 1) add_weighted<1>(queries, row, values, count, size, first);
}

// The first `count` of the query rows over all keys of `rows`.
inline void attend_block(Queries& queries, int count, const SegmentRows& rows, const uint32_t* packed) {
  const int size = rows.head_size;
  const uint32_t* values = packed + round_up(rows.keys, 16) * size / 2;
  const float scale = 1.44269504f / __builtin_sqrtf(static_cast<float>(size));  // for powers of two
  for (int first = 0; first < rows.keys; first += kKeyBlock) {
    const int64_t place = static_cast<int64_t>(first) * size / 2;
    for (int row = 0; row < count; row += kQueryRows) {
      const int left = queries.ends[row + kQueryRows - 1] - first;
      if (left <= 0) continue;
      const int keys = left < kKeyBlock ? left : kKeyBlock;
      score_block(queries, row, packed + place, keys, size);
      for (int r = 0; r < kQueryRows; ++r) weigh(queries, row, r, first, keys, size, scale);
      add_block(queries, row, values + place, keys, size);
    }
  }
}

void attend_rows(const SegmentRows& rows, const uint32_t* packed) {
  const int size = rows.head_size;
  static thread_local Queries queries;
  for (int row = 0; row < rows.count; row += kQueryBlock) {
    const int left = rows.count - row, count = left < kQueryBlock ? left : kQueryBlock;
    const int padded = static_cast<int>(round_up(count, kQueryRows));
    for (int r = 0; r < padded; ++r) {  // beyond the last row, it is computed again and not written
      const int index = r < count ? row + r : row + count - 1;
      queries.rows[r] = rows.q + index * rows.q_stride;
      queries.ends[r] = rows.causal ? rows.first_end + index : rows.keys;
      queries.top[r] = -__builtin_inff();
      queries.total[r] = 0.0f;
      for (int e = 0; e < size; ++e) queries.out[r][e] = 0.0f;
    }
    attend_block(queries, padded, rows, packed);
    for (int r = 0; r < count; ++r) {
      const F32 factor = broadcast(1.0f / queries.total[r]);
      for (int e = 0; e < size; e += 16)
        store_bf16(rows.out + (row + r) * rows.out_stride + e, multiply(load(queries.out[r] + e), factor));
    }
  }
}

}  // namespace
