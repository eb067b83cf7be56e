// SPDX-License-Identifier: Apache-2.0
// Vectors of 16 lanes by AVX-512 with BF16 and VNNI. `simd_avx2.hpp` has the same names.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace {

using F32 = __m512;    // 16 floats
using I32 = __m512i;   // 16 integers
using Bytes = __m512i;  // 64 bytes: 32 bfloat16, or 4 weights of each of 16 rows

// As many tiles of quantised weights and activation rows, and as many sums of bfloat16 rows, as there are registers for.
constexpr int kTilesAtOnce = 2, kRowsAtOnce = 6;
constexpr int kBf16Weights = 4, kBf16Rows = 3;

inline F32 zero() { return _mm512_setzero_ps(); }
inline F32 broadcast(float value) { return _mm512_set1_ps(value); }
inline F32 load(const float* from) { return _mm512_loadu_ps(from); }
inline void store(float* to, F32 value) { _mm512_storeu_ps(to, value); }
inline F32 add(F32 a, F32 b) { return _mm512_add_ps(a, b); }
inline F32 multiply(F32 a, F32 b) { return _mm512_mul_ps(a, b); }
inline F32 divide(F32 a, F32 b) { return _mm512_div_ps(a, b); }
inline F32 multiply_add(F32 a, F32 b, F32 c) { return _mm512_fmadd_ps(a, b, c); }
inline F32 maximum(F32 a, F32 b) { return _mm512_max_ps(a, b); }
inline F32 minimum(F32 a, F32 b) { return _mm512_min_ps(a, b); }
inline F32 absolute(F32 a) { return _mm512_abs_ps(a); }
inline float sum(F32 a) { return _mm512_reduce_add_ps(a); }
inline float largest(F32 a) { return _mm512_reduce_max_ps(a); }
inline F32 nearest(F32 a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT); }

inline I32 to_integers(F32 a) { return _mm512_cvtps_epi32(a); }
inline F32 to_floats(I32 a) { return _mm512_cvtepi32_ps(a); }
inline int32_t sum(I32 a) { return _mm512_reduce_add_epi32(a); }
inline void store_low_bytes(int8_t* to, I32 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(a));
}

// 2 to the power of whole numbers in [-126, 127].
inline F32 power_of_two(F32 exponent) {
  const I32 biased = _mm512_add_epi32(to_integers(exponent), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}

inline uint16_t to_half(float value) {
  return static_cast<uint16_t>(_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(value), 0)));
}
inline float from_half(uint16_t value) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(value))); }
inline F32 load_half(const uint16_t* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
inline F32 load(const uint16_t* bf16) {
  const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bf16));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(raw), 16));
}

inline F32 load(const int8_t* from) {
  return to_floats(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}

// To nearest, ties to even; NaN stays NaN.
inline void store_bf16(uint16_t* to, F32 value) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh(value));
}

inline Bytes load_bytes(const void* from) { return _mm512_loadu_si512(from); }

// acc[i] += w[2i] * a[2i] + w[2i + 1] * a[2i + 1], bfloat16 products.
inline F32 dot_bf16(F32 acc, Bytes w, Bytes a) {
  return _mm512_dpbf16_ps(acc, (__m512bh)w, (__m512bh)a);
}

// The same two bfloat16 in every lane.
inline Bytes load_pair(const uint16_t* from) {
  int32_t pair;
  __builtin_memcpy(&pair, from, 4);
  return _mm512_set1_epi32(pair);
}

// The first `count` lanes; zero in the others.
inline F32 first_lanes(F32 a, int count) {
  return _mm512_maskz_mov_ps(static_cast<__mmask16>((1u << count) - 1), a);
}

// Quantised weights are unsigned here, activations signed; what the offset adds is subtracted at the start.
inline I32 start_int8(int32_t negative_sum) { return _mm512_slli_epi32(_mm512_set1_epi32(negative_sum), 7); }
inline I32 start_int4(int32_t negative_sum) { return _mm512_slli_epi32(_mm512_set1_epi32(negative_sum), 3); }
inline I32 start_zero() { return _mm512_setzero_si512(); }

inline Bytes low_nibbles(Bytes a) { return _mm512_and_si512(a, _mm512_set1_epi8(15)); }
inline Bytes high_nibbles(Bytes a) { return low_nibbles(_mm512_srli_epi16(a, 4)); }

// 4 activations in every lane.
using Four = __m512i;
inline Four load_four(const int8_t* activations) {
  int32_t four;
  __builtin_memcpy(&four, activations, 4);
  return _mm512_set1_epi32(four);
}

// acc[i] += the dot product of the 4 weights of row i and 4 activations.
inline I32 dot_int8(I32 acc, Bytes w, Four activations) { return _mm512_dpbusd_epi32(acc, w, activations); }
inline I32 dot_int4(I32 acc, Bytes w, Four activations) { return dot_int8(acc, w, activations); }

}  // namespace
