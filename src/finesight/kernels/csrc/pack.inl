// SPDX-License-Identifier: Apache-2.0
// Rounding of float32 weights to codes. `finesight.kernels.formats` rounds in the same way by torch.
// Included once per instruction set, after `rows.inl`.

namespace {

struct Group {
  F32 low, high;  // 32 weights of one row
};

// Codes, scale and minimum of a group; codes are whole numbers without an offset.
struct Rounded {
  Group codes;
  uint16_t scale, minimum;
};

inline F32 round_to(F32 values, F32 scale, float least, float most) {
  return maximum(minimum(nearest(divide(values, scale)), broadcast(most)), broadcast(least));
}

// Values in units of a scale; a scale of 0 gives 0.
inline Group codes_of(const Group& group, uint16_t half_scale, float least, float most) {
  const float scale = from_half(half_scale);
  if (scale == 0.0f) return {zero(), zero()};
  const F32 wide = broadcast(scale);
  return {round_to(group.low, wide, least, most), round_to(group.high, wide, least, most)};
}

inline float squared_error(const Group& codes, uint16_t half_scale, const Group& group) {
  const F32 scale = broadcast(from_half(half_scale)), minus = broadcast(-1.0f);
  const F32 low = multiply_add(codes.low, scale, multiply(group.low, minus));
  const F32 high = multiply_add(codes.high, scale, multiply(group.high, minus));
  return sum(multiply_add(low, low, multiply(high, high)));
}

inline Rounded round_int8(const Group& group) {
  const uint16_t scale = to_half(largest(maximum(absolute(group.low), absolute(group.high))) / 127.0f);
  return {codes_of(group, scale, -127.0f, 127.0f), scale, 0};
}

// The code -8 has no counterpart, so the weight of largest magnitude gets it, with the sign in the scale.
inline Rounded round_int4(const Group& group, const float* values) {
  float extreme = values[0];
  for (int i = 1; i < kGroup; ++i)
    if (__builtin_fabsf(values[i]) > __builtin_fabsf(extreme)) extreme = values[i];
  Rounded best = {{zero(), zero()}, 0, 0};
  float best_error = __builtin_inff();
  for (int step = 0; step < kScaleSteps; ++step) {
    const uint16_t scale = to_half(extreme * (kScaleTries[step] / -8.0f));
    const Group codes = codes_of(group, scale, -8.0f, 7.0f);
    const float error = squared_error(codes, scale, group);
    if (!(error < best_error)) continue;
    best_error = error;
    best = {codes, scale, 0};
  }
  return best;
}

inline Rounded round_int4_min(const Group& group) {
  const F32 minus = broadcast(-1.0f);
  const float least = -largest(maximum(multiply(group.low, minus), multiply(group.high, minus)));
  const float most = largest(maximum(group.low, group.high));
  const uint16_t scale = to_half((most - least) / 15.0f), minimum = to_half(least);
  const F32 shift = broadcast(-from_half(minimum));
  const Group moved = {add(group.low, shift), add(group.high, shift)};
  return {codes_of(moved, scale, 0.0f, 15.0f), scale, minimum};
}

inline void write_codes(int32_t format, const Rounded& rounded, int row, uint8_t* group) {
  const float offset = format == kInt8 ? 128.0f : format == kInt4 ? 8.0f : 0.0f;
  float codes[kGroup];
  store(codes, add(rounded.codes.low, broadcast(offset)));
  store(codes + 16, add(rounded.codes.high, broadcast(offset)));
  const int half = kGroup / 2;
  for (int i = 0; i < (format == kInt8 ? kGroup : half); ++i) {
    uint8_t* place = group + i / 4 * 4 * kTileRows + 4 * row + i % 4;
    const int code = static_cast<int>(codes[i]);
    *place = static_cast<uint8_t>(format == kInt8 ? code : code | static_cast<int>(codes[i + half]) << 4);
  }
  const int64_t code_bytes = (format == kInt8 ? kGroup : half) * kTileRows;
  __builtin_memcpy(group + code_bytes + 2 * row, &rounded.scale, 2);
  if (format == kInt4Min)
    __builtin_memcpy(group + code_bytes + 2 * (kTileRows + row), &rounded.minimum, 2);
}

// One tile of `rows` rows, at most 16, of `columns` columns; `out` is zero before.
void pack_tile(const float* weight, int rows, int columns, int32_t format, uint8_t* out) {
  for (int first = 0; first < columns; first += kGroup, out += group_bytes(format)) {
    const int count = columns - first < kGroup ? columns - first : kGroup;
    for (int row = 0; row < rows; ++row) {
      float values[kGroup] = {};
      __builtin_memcpy(values, weight + static_cast<int64_t>(row) * columns + first, count * sizeof(float));
      const Group group = {load(values), load(values + 16)};
      const Rounded rounded = format == kInt8    ? round_int8(group)
                              : format == kInt4 ? round_int4(group, values)
                                                : round_int4_min(group);
      write_codes(format, rounded, row, out);
    }
  }
}

}  // namespace
