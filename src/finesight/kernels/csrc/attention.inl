// SPDX-License-Identifier: Apache-2.0
// Attention of single query rows over a paged KV cache, in parts that are combined at the end (as FlashDecoding does).
// Included once per instruction set, after `rows.inl`.

namespace {

constexpr int kMaxHeads = 8;  // query heads that are computed together

// The heads of one part of the keys, as places in the cache.
inline void locate(const KeyValues& kv, int row, int kv_head, int first, int count, int64_t* to) {
  const int32_t* table = kv.block_table + static_cast<int64_t>(row) * kv.table_width;
  for (int i = 0; i < count; ++i) {
    const int token = first + i;
    const int64_t slot =
        static_cast<int64_t>(table[token / kv.block_size]) * kv.block_size + token % kv.block_size;
    to[i] = slot * kv.kv_heads + kv_head;
  }
}

template <typename T, int Heads>
inline void score_keys(const float* q, const T* keys, const int64_t* places, int count, int size,
                       float (&scores)[kMaxHeads][kPartKeys]) {
  for (int i = 0; i < count; ++i) {
    const T* from = keys + places[i] * size;
    F32 acc[Heads];
    for (int h = 0; h < Heads; ++h) acc[h] = zero();
    for (int e = 0; e < size; e += 16) {
      const F32 key = load(from + e);
      for (int h = 0; h < Heads; ++h) acc[h] = multiply_add(load(q + h * size + e), key, acc[h]);
    }
    for (int h = 0; h < Heads; ++h) scores[h][i] = sum(acc[h]);
  }
}

// Scores or weights of keys or values in int8, times their scales.
template <int Heads>
inline void scale_columns(const float* scales, const int64_t* places, int count,
                          float (&values)[kMaxHeads][kPartKeys]) {
  for (int i = 0; i < count; ++i) {
    const float scale = scales[places[i]];
    for (int h = 0; h < Heads; ++h) values[h][i] *= scale;
  }
}

// Exponentials of the scores, in place; writes the largest score and the sum.
inline void soften(float* scores, int count, float* out) {
  float top = scores[0], total = 0.0f;
  for (int i = 1; i < count; ++i) top = scores[i] > top ? scores[i] : top;
  for (int i = count; i < static_cast<int>(round_up(count, 16)); ++i) scores[i] = -1e30f;
  for (int i = 0; i < count; i += 16)
    store(scores + i, exponential(add(load(scores + i), broadcast(-top))));
  for (int i = 0; i < count; ++i) total += scores[i];
  out[0] = top;
  out[1] = total;
}

template <typename T, int Heads>
inline void add_values(const float (&weights)[kMaxHeads][kPartKeys], const T* values, const int64_t* places,
                       int count, int size, float* out, int64_t stride) {
  for (int e = 0; e < size; e += 16) {
    F32 acc[Heads];
    for (int h = 0; h < Heads; ++h) acc[h] = zero();
    for (int i = 0; i < count; ++i) {
      const F32 value = load(values + places[i] * size + e);
      for (int h = 0; h < Heads; ++h) acc[h] = multiply_add(broadcast(weights[h][i]), value, acc[h]);
    }
    for (int h = 0; h < Heads; ++h) store(out + h * stride + 2 + e, acc[h]);
  }
}

template <typename T, int Heads>
void attend_heads(const float* q, const KeyValues& kv, int row, int kv_head, int part, float* out,
                  int64_t stride) {
  const int first = part * kPartKeys;
  const int left = kv.lengths[row] - first, count = left < kPartKeys ? left : kPartKeys;
  const bool is_int8 = kv.format == kKvInt8;
  int64_t places[kPartKeys];
  alignas(64) float scores[kMaxHeads][kPartKeys];
  locate(kv, row, kv_head, first, count, places);
  score_keys<T, Heads>(q, static_cast<const T*>(kv.keys), places, count, kv.head_size, scores);
  if (is_int8) scale_columns<Heads>(kv.key_scales, places, count, scores);
  for (int h = 0; h < Heads; ++h) soften(scores[h], count, out + h * stride);
  if (is_int8) scale_columns<Heads>(kv.value_scales, places, count, scores);
  add_values<T, Heads>(scores, static_cast<const T*>(kv.values), places, count, kv.head_size, out, stride);
}

template <typename T>
void attend_part(const float* q, int heads, const KeyValues& kv, int row, int kv_head, int part,
                 float* out, int64_t stride) {
  while (heads > 0) {
    const int taken = heads >= 8 ? 8 : heads >= 4 ? 4 : heads >= 2 ? 2 : 1;
    if (taken == 8) attend_heads<T, 8>(q, kv, row, kv_head, part, out, stride);
    if (taken == 4) attend_heads<T, 4>(q, kv, row, kv_head, part, out, stride);
    if (taken == 2) attend_heads<T, 2>(q, kv, row, kv_head, part, out, stride);
    if (taken == 1) attend_heads<T, 1>(q, kv, row, kv_head, part, out, stride);
    heads -= taken;
    q += taken * kv.head_size;
    out += taken * stride;
  }
}

void attend_part_of_any(const float* q, int heads, const KeyValues& kv, int row, int kv_head, int part,
                        float* out, int64_t stride) {
  if (kv.format == kKvInt8) return attend_part<int8_t>(q, heads, kv, row, kv_head, part, out, stride);
  if (kv.format == kKvBf16) return attend_part<uint16_t>(q, heads, kv, row, kv_head, part, out, stride);
  attend_part<float>(q, heads, kv, row, kv_head, part, out, stride);
}

void join_parts(const float* parts, int count, int head_size, float* out) {
  const int64_t stride = head_size + 2;
  for (int e = 0; e < head_size; ++e) out[e] = 0.0f;
  if (count == 0) return;
  float top = parts[0], total = 0.0f;
  for (int p = 1; p < count; ++p) top = parts[p * stride] > top ? parts[p * stride] : top;
  for (int p = 0; p < count; ++p) {
    const float weight = __builtin_expf(parts[p * stride] - top);
    total += weight * parts[p * stride + 1];
    for (int e = 0; e < head_size; ++e) out[e] += weight * parts[p * stride + 2 + e];
  }
  for (int e = 0; e < head_size; ++e) out[e] /= total;
}

}  // namespace
