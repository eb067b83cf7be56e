// SPDX-License-Identifier: Apache-2.0
// Products of a few activation rows with many weight rows; each weight is read from memory once.
// The sum of one output is taken in one order whatever the number of activation rows, so a row's result does not
// depend on the rows beside it. Included once per instruction set, after `rows.inl`.

namespace {

inline void write(int64_t place, float value, const float* bias, const Output& out) {
  const float total = bias ? value + *bias : value;
  if (out.rows.is_bf16) {
    static_cast<uint16_t*>(out.rows.values)[place] = to_bf16(total);
  } else {
    float* to = static_cast<float*>(out.rows.values) + place;
    *to = out.adds ? *to + total : total;
  }
}

// The first `count` of 16 outputs of one row.
inline void write_tile(int64_t place, F32 total, int count, const float* bias, const Output& out) {
  if (count < kTileRows) {
    float values[kTileRows];
    store(values, total);
    for (int i = 0; i < count; ++i) write(place + i, values[i], bias ? bias + i : nullptr, out);
    return;
  }
  if (bias) total = add(total, load(bias));
  if (out.rows.is_bf16) return store_bf16(static_cast<uint16_t*>(out.rows.values) + place, total);
  float* to = static_cast<float*>(out.rows.values) + place;
  store(to, out.adds ? add(load(to), total) : total);
}

constexpr int kChains = 2;  // independent sums of one output, since a product waits for the sum before it

// Dot products of `Weights` consecutive weight rows with `Rows` activation rows, which are padded with zeros.
template <int Weights, int Rows>
inline void dot_rows(const uint16_t* weight, int columns, const uint16_t* rows, int64_t stride,
                     float (&out)[Weights][Rows]) {
  F32 acc[Weights][Rows][kChains];
  for (int w = 0; w < Weights; ++w)
    for (int r = 0; r < Rows; ++r)
      for (int c = 0; c < kChains; ++c) acc[w][r][c] = zero();
  const int unrolled = columns / (32 * kChains) * (32 * kChains);
  for (int k = 0; k < unrolled; k += 32 * kChains)
    for (int c = 0; c < kChains; ++c) {
      Bytes x[Rows];
      for (int r = 0; r < Rows; ++r) x[r] = load_bytes(rows + r * stride + k + 32 * c);
      for (int w = 0; w < Weights; ++w) {
        const Bytes v = load_bytes(weight + static_cast<int64_t>(w) * columns + k + 32 * c);
        for (int r = 0; r < Rows; ++r) acc[w][r][c] = dot_bf16(acc[w][r][c], v, x[r]);
      }
    }
  for (int k = unrolled; k < columns; k += 32) {
    const int count = columns - k < 32 ? columns - k : 32;
    for (int w = 0; w < Weights; ++w) {
      uint16_t tail[32] = {};  // the row's own weights: the next row's would be multiplied by zero, but may be NaN
      __builtin_memcpy(tail, weight + static_cast<int64_t>(w) * columns + k, count * 2);
      for (int r = 0; r < Rows; ++r)
        acc[w][r][0] = dot_bf16(acc[w][r][0], load_bytes(tail), load_bytes(rows + r * stride + k));
    }
  }
  for (int w = 0; w < Weights; ++w)
    for (int r = 0; r < Rows; ++r) out[w][r] = sum(add(acc[w][r][0], acc[w][r][1]));
}

template <int Weights, int Rows>
inline void bf16_block(const Linear& linear, const Activations& from, int output, int row, const Output& out) {
  float found[Weights][Rows];
  dot_rows(static_cast<const uint16_t*>(linear.weight) + static_cast<int64_t>(output) * linear.columns,
           linear.columns, from.bf16 + static_cast<int64_t>(row) * from.columns, from.columns, found);
  for (int w = 0; w < Weights; ++w)
    for (int r = 0; r < Rows; ++r)
      write((row + r) * out.stride + output + w, found[w][r], linear.bias ? linear.bias + output + w : nullptr, out);
}

// The first activation row takes the weight rows one after the other: memory is fastest in its own order.
// The other rows find them in the cache and take several at once.
template <int Weights>
inline void bf16_outputs(const Linear& linear, const Activations& from, int output, const Output& out) {
  if (from.rows > 0)
    for (int w = 0; w < Weights; ++w)
      bf16_block<1, 1>(linear, from, output + w, 0, out);
  int row = 1;
  for (; row + kBf16Rows <= from.rows; row += kBf16Rows)
    bf16_block<Weights, kBf16Rows>(linear, from, output, row, out);
  for (; row < from.rows; ++row) bf16_block<Weights, 1>(linear, from, output, row, out);
}

// Products of some tiles of 16 quantised weight rows with `Rows` activation rows.
template <int Kind, int Tiles, int Rows>
inline void quantised_tiles(const uint8_t* tile, const Activations& from, int row, F32 (&total)[Tiles][Rows]) {
  const int groups = from.columns / kGroup;
  const int64_t tile_bytes = groups * group_bytes(Kind);
  for (int t = 0; t < Tiles; ++t)
    for (int r = 0; r < Rows; ++r) total[t][r] = zero();
  for (int g = 0; g < groups; ++g, tile += group_bytes(Kind)) {
    const int8_t* codes = from.codes + static_cast<int64_t>(row) * from.columns + g * kGroup;
    const int64_t first = static_cast<int64_t>(row) * groups + g;
    I32 acc[Tiles][Rows];
    for (int r = 0; r < Rows; ++r) {
      const int32_t sum = from.negative_sums[first + r * groups];
      const I32 start = Kind == kInt8 ? start_int8(sum) : Kind == kInt4 ? start_int4(sum) : start_zero();
      for (int t = 0; t < Tiles; ++t) acc[t][r] = start;
    }
    constexpr int kQuads = Kind == kInt8 ? kGroup / 4 : kGroup / 8;
    for (int q = 0; q < kQuads; ++q) {
      Bytes w[Tiles];
      for (int t = 0; t < Tiles; ++t) w[t] = load_bytes(tile + t * tile_bytes + q * 64);
      for (int r = 0; r < Rows; ++r) {
        const int8_t* quad = codes + static_cast<int64_t>(r) * from.columns + 4 * q;
        const Four low = load_four(quad);
        for (int t = 0; t < Tiles; ++t)
          acc[t][r] = Kind == kInt8 ? dot_int8(acc[t][r], w[t], low) : dot_int4(acc[t][r], low_nibbles(w[t]), low);
        if (Kind == kInt8) continue;
        const Four high = load_four(quad + 4 * kQuads);
        for (int t = 0; t < Tiles; ++t) acc[t][r] = dot_int4(acc[t][r], high_nibbles(w[t]), high);
      }
    }
    for (int t = 0; t < Tiles; ++t) {
      const uint16_t* scales = reinterpret_cast<const uint16_t*>(tile + t * tile_bytes + kQuads * 64);
      const F32 scale = load_half(scales);
      for (int r = 0; r < Rows; ++r) {
        const float activation_scale = from.scales[first + r * groups];
        total[t][r] = multiply_add(to_floats(acc[t][r]), multiply(scale, broadcast(activation_scale)), total[t][r]);
        if (Kind != kInt4Min) continue;
        const float value = activation_scale * static_cast<float>(-from.negative_sums[first + r * groups]);
        total[t][r] = multiply_add(load_half(scales + kTileRows), broadcast(value), total[t][r]);
      }
    }
  }
}

template <int Kind, int Tiles, int Rows>
inline void quantised_block(const Linear& linear, const Activations& from, int output, int row,
                            const Output& out) {
  const int64_t tile_bytes = from.columns / kGroup * group_bytes(Kind);
  F32 total[Tiles][Rows];
  quantised_tiles<Kind, Tiles, Rows>(static_cast<const uint8_t*>(linear.weight) + output / kTileRows * tile_bytes,
                                     from, row, total);
  for (int t = 0; t < Tiles; ++t) {
    const int place = output + t * kTileRows, left = linear.rows - place;
    for (int r = 0; r < Rows; ++r)
      write_tile((row + r) * out.stride + place, total[t][r], left < kTileRows ? left : kTileRows,
                 linear.bias ? linear.bias + place : nullptr, out);
  }
}

template <int Kind, int Tiles>
inline void quantised_rows(const Linear& linear, const Activations& from, int output, int row,
                           const Output& out) {
  for (; row + kRowsAtOnce <= from.rows; row += kRowsAtOnce)
    quantised_block<Kind, Tiles, kRowsAtOnce>(linear, from, output, row, out);
  for (; row + 2 <= from.rows; row += 2) quantised_block<Kind, Tiles, 2>(linear, from, output, row, out);
  for (; row < from.rows; ++row) quantised_block<Kind, Tiles, 1>(linear, from, output, row, out);
}

// A single row takes the tiles one after the other, because memory is fastest in its own order.
template <int Kind>
void quantised(const Linear& linear, const Activations& from, int first, int last, const Output& out) {
  int output = first;
  if (from.rows >= kRowsAtOnce)
    for (; output + kTilesAtOnce * kTileRows <= last; output += kTilesAtOnce * kTileRows)
      quantised_rows<Kind, kTilesAtOnce>(linear, from, output, 0, out);
  for (; output < last; output += kTileRows) quantised_rows<Kind, 1>(linear, from, output, 0, out);
}

// The rows `first` to `last`; `first` is a multiple of 16.
void linear(const Linear& linear, const Activations& from, int first, int last, const Output& out) {
  if (linear.format == kInt8) return quantised<kInt8>(linear, from, first, last, out);
  if (linear.format == kInt4) return quantised<kInt4>(linear, from, first, last, out);
  if (linear.format == kInt4Min) return quantised<kInt4Min>(linear, from, first, last, out);
  int output = first;
  for (; output + kBf16Weights <= last; output += kBf16Weights)
    bf16_outputs<kBf16Weights>(linear, from, output, out);
  for (; output < last; ++output) bf16_outputs<1>(linear, from, output, out);
}

}  // namespace
