// SPDX-License-Identifier: Apache-2.0
// Products of a few activation rows with many weight rows; each weight is read from memory once.
// The sum of one output is taken in one order whatever the number of activation rows, so a row's result does not
// depend on the rows beside it. Included once per instruction set, after `rows.inl`.

namespace {

inline void write(float* to, float value, const float* bias, bool adds) {
  const float total = bias ? value + *bias : value;
  *to = adds ? *to + total : total;
}

// Dot products of `Weights` consecutive weight rows with `Rows` activation rows.
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
inline void bf16_block(const Linear& linear, const Activations& from, int output, int row, float* out,
                       int64_t stride, bool adds) {
  float found[Weights][Rows];
  dot_rows(static_cast<const uint16_t*>(linear.weight) + static_cast<int64_t>(output) * linear.columns,
           linear.columns, from.bf16 + static_cast<int64_t>(row) * from.columns, from.columns, found);
  for (int w = 0; w < Weights; ++w)
    for (int r = 0; r < Rows; ++r)
      write(out + (row + r) * stride + output + w, found[w][r],
            linear.bias ? linear.bias + output + w : nullptr, adds);
}

// The first activation row takes the weight rows one after the other: memory is fastest in its own order.
// The other rows find them in the cache and take several at once.
template <int Weights>
inline void bf16_outputs(const Linear& linear, const Activations& from, int output, float* out,
                         int64_t stride, bool adds) {
  if (from.rows > 0)
    for (int w = 0; w < Weights; ++w)
      bf16_block<1, 1>(linear, from, output + w, 0, out, stride, adds);
  int row = 1;
  for (; row + kBf16Rows <= from.rows; row += kBf16Rows)
    bf16_block<Weights, kBf16Rows>(linear, from, output, row, out, stride, adds);
  for (; row < from.rows; ++row) bf16_block<Weights, 1>(linear, from, output, row, out, stride, adds);
}

// Products of one tile of 16 quantised weight rows with `Rows` activation rows.
template <int Kind, int Rows>
inline void quantised_tile(const uint8_t* tile, const Activations& from, int row, F32 (&total)[Rows]) {
  const int groups = from.columns / kGroup;
  for (int r = 0; r < Rows; ++r) total[r] = zero();
  for (int g = 0; g < groups; ++g, tile += group_bytes(Kind)) {
    const int8_t* codes[Rows];
    I32 acc[Rows];
    for (int r = 0; r < Rows; ++r) {
      codes[r] = from.codes + static_cast<int64_t>(row + r) * from.columns + g * kGroup;
      const int32_t code_sum = from.sums[(row + r) * groups + g];
      acc[r] = Kind == kInt8 ? start_int8(code_sum) : Kind == kInt4 ? start_int4(code_sum) : start_zero();
    }
    constexpr int kQuads = Kind == kInt8 ? kGroup / 4 : kGroup / 8;
    for (int q = 0; q < kQuads; ++q) {
      const Bytes w = load_bytes(tile + q * 64);
      for (int r = 0; r < Rows; ++r) {
        if (Kind == kInt8) {
          acc[r] = dot_int8(acc[r], w, codes[r] + 4 * q);
        } else {
          acc[r] = dot_int4(acc[r], low_nibbles(w), codes[r] + 4 * q);
          acc[r] = dot_int4(acc[r], high_nibbles(w), codes[r] + 4 * (q + kQuads));
        }
      }
    }
    const uint16_t* scales = reinterpret_cast<const uint16_t*>(tile + kQuads * 64);
    const F32 scale = load_half(scales);
    for (int r = 0; r < Rows; ++r) {
      const float activation_scale = from.scales[(row + r) * groups + g];
      total[r] = multiply_add(to_floats(acc[r]), multiply(scale, broadcast(activation_scale)), total[r]);
      if (Kind == kInt4Min) {
        const float value = activation_scale * static_cast<float>(from.sums[(row + r) * groups + g]);
        total[r] = multiply_add(load_half(scales + kTileRows), broadcast(value), total[r]);
      }
    }
  }
}

template <int Kind, int Rows>
inline void quantised_block(const Linear& linear, const Activations& from, int output, int row,
                            float* out, int64_t stride, bool adds) {
  const int64_t tile_bytes = from.columns / kGroup * group_bytes(Kind);
  const uint8_t* tile = static_cast<const uint8_t*>(linear.weight) + output / kTileRows * tile_bytes;
  F32 total[Rows];
  quantised_tile<Kind, Rows>(tile, from, row, total);
  const int filled = linear.rows - output < kTileRows ? linear.rows - output : kTileRows;
  for (int r = 0; r < Rows; ++r) {
    float values[kTileRows];
    store(values, total[r]);
    for (int i = 0; i < filled; ++i)
      write(out + (row + r) * stride + output + i, values[i],
            linear.bias ? linear.bias + output + i : nullptr, adds);
  }
}

template <int Kind>
inline void quantised_rows(const Linear& linear, const Activations& from, int output, float* out,
                           int64_t stride, bool adds) {
  int row = 0;
  for (; row + kMaxQuantisedRows <= from.rows; row += kMaxQuantisedRows)
    quantised_block<Kind, kMaxQuantisedRows>(linear, from, output, row, out, stride, adds);
  for (; row + 2 <= from.rows; row += 2)
    quantised_block<Kind, 2>(linear, from, output, row, out, stride, adds);
  for (; row < from.rows; ++row) quantised_block<Kind, 1>(linear, from, output, row, out, stride, adds);
}

// The rows `first` to `last`; `first` is a multiple of 16.
void linear(const Linear& linear, const Activations& from, int first, int last, float* out,
            int64_t stride, bool adds) {
  int output = first;
  if (linear.format == kBf16) {
    for (; output + kBf16Weights <= last; output += kBf16Weights)
      bf16_outputs<kBf16Weights>(linear, from, output, out, stride, adds);
    for (; output < last; ++output) bf16_outputs<1>(linear, from, output, out, stride, adds);
    return;
  }
  for (; output < last; output += kTileRows) {
    if (linear.format == kInt8) quantised_rows<kInt8>(linear, from, output, out, stride, adds);
    if (linear.format == kInt4) quantised_rows<kInt4>(linear, from, output, out, stride, adds);
    if (linear.format == kInt4Min) quantised_rows<kInt4Min>(linear, from, output, out, stride, adds);
  }
}

}  // namespace
