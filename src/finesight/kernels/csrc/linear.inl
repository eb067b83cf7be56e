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
constexpr int kChains = 4;  // sums that are independent of each other, since each product waits for its sum

// Dot products of `Weights` consecutive weight rows with one activation row, which is padded to `padded` columns.
template <int Weights>
inline void dot_rows(const uint16_t* weight, int columns, const uint16_t* row, float* out) {
  F32 acc[Weights][kChains];
  for (int w = 0; w < Weights; ++w)
    for (int c = 0; c < kChains; ++c) acc[w][c] = zero();
  const int whole = columns / 32 * 32, unrolled = columns / (32 * kChains) * (32 * kChains);
  for (int k = 0; k < unrolled; k += 32 * kChains)
    for (int c = 0; c < kChains; ++c) {
      const Bytes x = load_bytes(row + k + 32 * c);
      for (int w = 0; w < Weights; ++w) {
        const uint16_t* place = weight + static_cast<int64_t>(w) * columns + k + 32 * c;
        acc[w][c] = dot_bf16(acc[w][c], load_bytes(place), x);
      }
    }
  for (int w = 0; w < Weights; ++w) {
    const uint16_t* place = weight + static_cast<int64_t>(w) * columns;
    for (int k = unrolled; k < whole; k += 32)
      acc[w][0] = dot_bf16(acc[w][0], load_bytes(place + k), load_bytes(row + k));
    if (whole < columns) {  // activations are padded with zeros, weights are not
      uint16_t tail[32] = {};
      __builtin_memcpy(tail, place + whole, (columns - whole) * 2);
      acc[w][0] = dot_bf16(acc[w][0], load_bytes(tail), load_bytes(row + whole));
    }
    out[w] = sum(add(add(acc[w][0], acc[w][1]), add(acc[w][2], acc[w][3])));
  }
}

// The first activation row takes the weight rows one after the other: memory is fastest in its own order.
// The other rows find them in the cache and take several at once.
template <int Weights>
inline void bf16_outputs(const Linear& linear, const Activations& from, int output, float* out,
                         int64_t stride, bool adds) {
  const uint16_t* weight =
      static_cast<const uint16_t*>(linear.weight) + static_cast<int64_t>(output) * linear.columns;
  for (int row = 0; row < from.rows; ++row) {
    const uint16_t* x = from.bf16 + static_cast<int64_t>(row) * from.columns;
    float found[Weights];
    if (row == 0) {
      for (int w = 0; w < Weights; ++w)
        dot_rows<1>(weight + static_cast<int64_t>(w) * linear.columns, linear.columns, x, found + w);
    } else {
      dot_rows<Weights>(weight, linear.columns, x, found);
    }
    for (int w = 0; w < Weights; ++w)
      write(out + row * stride + output + w, found[w], linear.bias ? linear.bias + output + w : nullptr, adds);
  }
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

inline int code_at(int32_t format, const uint8_t* group, int row, int column) {
  const int quad = column / 4, place = row * 4 + column % 4;
  if (format == kInt8) return group[quad * 64 + place] - 128;
  const int half = kGroup / 8;
  const uint8_t pair = group[quad % half * 64 + place];
  return (quad < half ? pair & 15 : pair >> 4) - (format == kInt4 ? 8 : 0);
}

void expand(const Linear& linear, int first, int last, uint16_t* out) {
  const int64_t groups = round_up(linear.columns, kGroup) / kGroup, bytes = group_bytes(linear.format);
  const int64_t code_bytes = linear.format == kInt8 ? kTileRows * kGroup : kTileRows * kGroup / 2;
  for (int row = first; row < last; ++row, out += linear.columns) {
    const uint8_t* tile = static_cast<const uint8_t*>(linear.weight) + row / kTileRows * groups * bytes;
    for (int g = 0; g < groups; ++g) {
      const uint8_t* group = tile + g * bytes;
      const uint16_t* halves = reinterpret_cast<const uint16_t*>(group + code_bytes);
      float scale[kTileRows], minimum_of[kTileRows] = {};
      store(scale, load_half(halves));
      if (linear.format == kInt4Min) store(minimum_of, load_half(halves + kTileRows));
      const int lane = row % kTileRows;
      for (int i = 0; i < kGroup && g * kGroup + i < linear.columns; ++i) {
        const float code = static_cast<float>(code_at(linear.format, group, lane, i));
        out[g * kGroup + i] = to_bf16(scale[lane] * code + minimum_of[lane]);
      }
    }
  }
}

}  // namespace
