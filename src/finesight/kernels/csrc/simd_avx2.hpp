// SPDX-License-Identifier: Apache-2.0
// Vectors of 16 lanes as two halves by AVX2 with FMA and F16C. `simd_avx512.hpp` has the same names and explains them.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace {

struct F32 {
  __m256 low, high;
};
struct I32 {
  __m256i low, high;
};
using Bytes = I32;

constexpr int kTilesAtOnce = 1, kRowsAtOnce = 2;
constexpr int kBf16Weights = 2, kBf16Rows = 1;

inline F32 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline F32 broadcast(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
inline F32 load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
inline void store(float* to, F32 value) {
  _mm256_storeu_ps(to, value.low);
  _mm256_storeu_ps(to + 8, value.high);
}
inline F32 add(F32 a, F32 b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
inline F32 multiply(F32 a, F32 b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
inline F32 divide(F32 a, F32 b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
inline F32 multiply_add(F32 a, F32 b, F32 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline F32 maximum(F32 a, F32 b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
inline F32 minimum(F32 a, F32 b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
inline F32 absolute(F32 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}
inline float sum(F32 a) {
  const __m256 eight = _mm256_add_ps(a.low, a.high);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
inline float largest(F32 a) {
  const __m256 eight = _mm256_max_ps(a.low, a.high);
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}
inline F32 nearest(F32 a) {
  constexpr int mode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.low, mode), _mm256_round_ps(a.high, mode)};
}

inline I32 to_integers(F32 a) { return {_mm256_cvtps_epi32(a.low), _mm256_cvtps_epi32(a.high)}; }
inline F32 to_floats(I32 a) { return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)}; }
inline int32_t sum(I32 a) {
  const __m256i eight = _mm256_add_epi32(a.low, a.high);
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}
inline void store_low_bytes(int8_t* to, I32 a) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a.low, a.high), 0xd8);
  const __m128i bytes =
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
}

inline F32 power_of_two(F32 exponent) {
  const I32 whole = to_integers(exponent);
  const __m256i bias = _mm256_set1_epi32(127);
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(whole.low, bias), 23)),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(whole.high, bias), 23))};
}

inline __m128i load_eight(const uint16_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}
inline uint16_t to_half(float value) {
  return static_cast<uint16_t>(_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(value), 0)));
}
inline float from_half(uint16_t value) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(value))); }
inline F32 load_half(const uint16_t* from) {
  return {_mm256_cvtph_ps(load_eight(from)), _mm256_cvtph_ps(load_eight(from + 8))};
}
inline __m256 widen(__m128i bf16) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bf16), 16));
}
inline F32 load(const uint16_t* bf16) { return {widen(load_eight(bf16)), widen(load_eight(bf16 + 8))}; }

inline F32 load(const int8_t* from) {
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(codes, 8)))};
}

inline __m256i rounded(__m256 value) {
  const __m256i bits = _mm256_castps_si256(value), one = _mm256_set1_epi32(1);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), one);
  const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(1 << 22));
  const __m256 is_nan = _mm256_cmp_ps(value, value, _CMP_UNORD_Q);
  return _mm256_srli_epi32(_mm256_blendv_epi8(up, quiet, _mm256_castps_si256(is_nan)), 16);
}
inline void store_bf16(uint16_t* to, F32 value) {
  const __m256i words = _mm256_packus_epi32(rounded(value.low), rounded(value.high));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permute4x64_epi64(words, 0xd8));
}

inline Bytes load_bytes(const void* from) {
  const __m256i* halves = static_cast<const __m256i*>(from);
  return {_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
}

inline __m256 dot_bf16(__m256 acc, __m256i w, __m256i a) {
  const __m256i odd = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  acc = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(w, 16)),
                        _mm256_castsi256_ps(_mm256_slli_epi32(a, 16)), acc);
  return _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(w, odd)),
                         _mm256_castsi256_ps(_mm256_and_si256(a, odd)), acc);
}
inline F32 dot_bf16(F32 acc, Bytes w, Bytes a) {
  return {dot_bf16(acc.low, w.low, a.low), dot_bf16(acc.high, w.high, a.high)};
}

inline Bytes load_pair(const uint16_t* from) {
  int32_t pair;
  __builtin_memcpy(&pair, from, 4);
  return {_mm256_set1_epi32(pair), _mm256_set1_epi32(pair)};
}
inline F32 first_lanes(F32 a, int count) {
  float values[16];
  store(values, a);
  for (int i = count < 0 ? 0 : count; i < 16; ++i) values[i] = 0.0f;
  return load(values);
}

// Weights of 8 bits are made signed, because products of unsigned ones would overflow 16 bits.
inline I32 start_zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
inline I32 start_int8(int32_t) { return start_zero(); }
inline I32 start_int4(int32_t negative_sum) {
  const __m256i value = _mm256_set1_epi32(8 * negative_sum);
  return {value, value};
}

inline Bytes low_nibbles(Bytes a) {
  const __m256i mask = _mm256_set1_epi8(15);
  return {_mm256_and_si256(a.low, mask), _mm256_and_si256(a.high, mask)};
}
inline Bytes high_nibbles(Bytes a) {
  return low_nibbles({_mm256_srli_epi16(a.low, 4), _mm256_srli_epi16(a.high, 4)});
}

using Four = __m256i;
inline Four load_four(const int8_t* activations) {
  int32_t four;
  __builtin_memcpy(&four, activations, 4);
  return _mm256_set1_epi32(four);
}
inline __m256i add_pairs(__m256i acc, __m256i words) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(words, _mm256_set1_epi16(1)));
}
inline __m256i dot_int8(__m256i acc, __m256i w, __m256i a) {
  const __m256i value = _mm256_xor_si256(w, _mm256_set1_epi8(-128));  // unsigned to signed
  return add_pairs(acc, _mm256_maddubs_epi16(_mm256_abs_epi8(value), _mm256_sign_epi8(a, value)));
}
inline I32 dot_int8(I32 acc, Bytes w, Four a) {
  return {dot_int8(acc.low, w.low, a), dot_int8(acc.high, w.high, a)};
}
inline I32 dot_int4(I32 acc, Bytes w, Four a) {
  return {add_pairs(acc.low, _mm256_maddubs_epi16(w.low, a)),
          add_pairs(acc.high, _mm256_maddubs_epi16(w.high, a))};
}

}  // namespace
