// SPDX-License-Identifier: Apache-2.0
// Operations on single rows: norm, rounding, quantisation, gate, rotary.
// Included once per instruction set, after its `simd_*.hpp`.

namespace {

// Polynomial of Cephes' expf; relative error 1e-7.
inline F32 exponential(F32 x) {
  x = maximum(broadcast(-87.0f), minimum(broadcast(88.0f), x));  // in this order NaN stays NaN
  const F32 whole = nearest(multiply(x, broadcast(1.44269504f)));
  F32 rest = multiply_add(whole, broadcast(-0.693359375f), x);
  rest = multiply_add(whole, broadcast(2.12194440e-4f), rest);
  F32 y = broadcast(1.9875691500e-4f);
  y = multiply_add(y, rest, broadcast(1.3981999507e-3f));
  y = multiply_add(y, rest, broadcast(8.3334519073e-3f));
  y = multiply_add(y, rest, broadcast(4.1665795894e-2f));
  y = multiply_add(y, rest, broadcast(1.6666665459e-1f));
  y = multiply_add(y, rest, broadcast(5.0000001201e-1f));
  y = multiply_add(multiply(y, rest), rest, add(rest, broadcast(1.0f)));
  return multiply(y, power_of_two(whole));
}

// One value to bfloat16: to nearest, ties to even; NaN stays NaN.
inline uint16_t to_bf16(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  if (value != value) return static_cast<uint16_t>(bits >> 16 | 64);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float silu(float x) { return x / (1.0f + __builtin_expf(-x)); }

void round_values(const float* from, int count, uint16_t* to) {
  const int whole = count / 16 * 16;
  for (int i = 0; i < whole; i += 16) store_bf16(to + i, load(from + i));
  if (whole == count) return;
  float padded[16] = {};
  uint16_t rounded[16];
  __builtin_memcpy(padded, from + whole, (count - whole) * sizeof(float));
  store_bf16(rounded, load(padded));
  __builtin_memcpy(to + whole, rounded, (count - whole) * sizeof(uint16_t));
}

// Heads of a key or value to int8, each with its own scale, as `Int8Blocks.store` of `finesight.model.cache` does. The
// scale of values that are not finite is NaN.
void round_heads(const float* from, int heads, int size, int8_t* to, float* scales) {
  constexpr float kSmallest = 1.17549435e-38f;
  for (int head = 0; head < heads; ++head, from += size, to += size) {
    F32 most = zero(), nothing = zero();
    for (int i = 0; i < size; i += 16) {
      const F32 value = load(from + i);
      most = maximum(most, absolute(value));
      nothing = multiply_add(value, zero(), nothing);
    }
    const float scale = largest(most) / 127.0f + sum(nothing);
    const F32 divisor = broadcast(scale > kSmallest ? scale : kSmallest);
    for (int i = 0; i < size; i += 16)
      store_low_bytes(to + i, to_integers(nearest(divide(load(from + i), divisor))));
    scales[head] = scale;
  }
}

inline void store(uint16_t* to, F32 value) { store_bf16(to, value); }
inline float to_float(float value) { return value; }
inline float to_float(uint16_t bf16) {
  const uint32_t bits = static_cast<uint32_t>(bf16) << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}
inline void round_to(float value, float* to) { *to = value; }
inline void round_to(float value, uint16_t* to) { *to = to_bf16(value); }

template <typename T>
inline void norm_row(const T* row, const float* weight, float eps, int columns, T* out) {
  F32 squares = zero();
  const int whole = columns / 16 * 16;
  for (int i = 0; i < whole; i += 16) {
    const F32 value = load(row + i);
    squares = multiply_add(value, value, squares);
  }
  float total = sum(squares);
  for (int i = whole; i < columns; ++i) total += to_float(row[i]) * to_float(row[i]);
  const float scale = 1.0f / __builtin_sqrtf(total / static_cast<float>(columns) + eps);
  const F32 wide = broadcast(scale);
  for (int i = 0; i < whole; i += 16) store(out + i, multiply(multiply(load(row + i), wide), load(weight + i)));
  for (int i = whole; i < columns; ++i) round_to(to_float(row[i]) * scale * weight[i], out + i);
}

void rms_norm(const float* row, const float* weight, float eps, int columns, float* out) {
  norm_row(row, weight, eps, columns, out);
}

void rms_norm_bf16(const uint16_t* row, const float* weight, float eps, int columns, uint16_t* out) {
  norm_row(row, weight, eps, columns, out);
}

void round_row(const Rows& from, int columns, const Activations& to, int index) {
  uint16_t* out = to.bf16 + static_cast<int64_t>(index) * to.columns;
  const int64_t place = static_cast<int64_t>(index) * columns;
  if (from.is_bf16) {
    __builtin_memcpy(out, static_cast<const uint16_t*>(from.values) + place, columns * sizeof(uint16_t));
  } else {
    round_values(static_cast<const float*>(from.values) + place, columns, out);
  }
  for (int i = columns; i < to.columns; ++i) out[i] = 0;
}

// One group of 32 values to 8 bits. A value that is not finite makes the scale NaN, so that it is not hidden.
template <typename T>
inline void quantise_group(const T* values, int8_t* codes, float* scale, int32_t* negative_sum) {
  const F32 a = load(values), b = load(values + 16);
  const float largest_value = largest(maximum(absolute(a), absolute(b)));
  const float poison = sum(multiply(add(a, b), zero()));
  *scale = largest_value / 127.0f + poison;
  const F32 inverse = broadcast(largest_value > 0.0f ? 127.0f / largest_value : 0.0f);
  const I32 first = to_integers(multiply(a, inverse)), second = to_integers(multiply(b, inverse));
  store_low_bytes(codes, first);
  store_low_bytes(codes + 16, second);
  *negative_sum = -(sum(first) + sum(second));
}

template <typename T>
inline void quantise_values(const T* row, int columns, const Activations& to, int index) {
  const int groups = to.columns / kGroup;
  int8_t* codes = to.codes + static_cast<int64_t>(index) * to.columns;
  float* scales = to.scales + static_cast<int64_t>(index) * groups;
  int32_t* sums = to.negative_sums + static_cast<int64_t>(index) * groups;
  for (int g = 0; g < groups; ++g) {
    const int filled = columns - g * kGroup;
    if (filled >= kGroup) {
      quantise_group(row + g * kGroup, codes + g * kGroup, scales + g, sums + g);
      continue;
    }
    T padded[kGroup] = {};
    for (int i = 0; i < filled; ++i) padded[i] = row[g * kGroup + i];
    quantise_group(padded, codes + g * kGroup, scales + g, sums + g);
  }
}

void quantise_row(const Rows& from, int columns, const Activations& to, int index) {
  const int64_t place = static_cast<int64_t>(index) * columns;
  if (from.is_bf16) return quantise_values(static_cast<const uint16_t*>(from.values) + place, columns, to, index);
  quantise_values(static_cast<const float*>(from.values) + place, columns, to, index);
}

template <typename T>
inline void gate_values(T* gate, const T* up, int count) {
  const int whole = count / 16 * 16;
  for (int i = 0; i < whole; i += 16) {
    const F32 x = load(gate + i);
    const F32 divisor = add(broadcast(1.0f), exponential(multiply(x, broadcast(-1.0f))));
    store(gate + i, multiply(divide(x, divisor), load(up + i)));
  }
  for (int i = whole; i < count; ++i) round_to(silu(to_float(gate[i])) * to_float(up[i]), gate + i);
}

void gate(float* gate, const float* up, int count) { gate_values(gate, up, count); }
void gate_bf16(uint16_t* gate, const uint16_t* up, int count) { gate_values(gate, up, count); }

void rotate(float* head, const float* cos, const float* sin, int size) {
  const int half = size / 2;
  for (int i = 0; i < half; ++i) {
    const float a = head[i], b = head[i + half];
    head[i] = a * cos[i] + b * sin[i];
    head[i + half] = b * cos[i + half] + a * sin[i + half];
  }
}

// Halves that are no multiple of 16 end with a register that overlaps the one before; those below 16 go one by one.
void rotate_bf16(const uint16_t* heads, int count, const float* cos, const float* sin, int size, uint16_t* out) {
  const int half = size / 2;
  for (int head = 0; head < count; ++head, heads += size, out += size) {
    for (int at = 0; half >= 16 && at < half; at += 16) {
      const int i = at + 16 <= half ? at : half - 16;
      const F32 a = load(heads + i), b = load(heads + half + i);
      store(out + i, multiply_add(b, load(sin + i), multiply(a, load(cos + i))));
      store(out + half + i, multiply_add(a, load(sin + half + i), multiply(b, load(cos + half + i))));
    }
    for (int i = 0; half < 16 && i < half; ++i) {
      const float a = to_float(heads[i]), b = to_float(heads[half + i]);
      out[i] = to_bf16(a * cos[i] + b * sin[i]);
      out[half + i] = to_bf16(b * cos[half + i] + a * sin[half + i]);
    }
  }
}

}  // namespace
