// SPDX-License-Identifier: Apache-2.0
// The same computation as `finesight.model.language.TextDecoder`, with float32 between the products.
#include "decoder.hpp"

namespace {

class Pass {
 public:
  Pass(Team& team, const Path& path, const Decoder& decoder, const Step& step, Workspace& workspace)
      : team_(team), path_(path), decoder_(decoder), step_(step), workspace_(workspace) {
    const int64_t rows = step.rows;
    const int64_t kv_width = static_cast<int64_t>(decoder.kv_heads) * decoder.head_size;
    normed_ = workspace.normed.reserve(rows * decoder.width);
    q_ = workspace.q.reserve(rows * decoder.width);
    k_ = workspace.k.reserve(rows * kv_width);
    v_ = workspace.v.reserve(rows * kv_width);
    attended_ = workspace.attended.reserve(rows * decoder.width);
    inner_ = workspace.inner.reserve(rows * decoder.inner_width);
    other_ = workspace.other.reserve(rows * decoder.inner_width);
  }

  void run() {
    for (int layer = 0; layer < decoder_.num_layers; ++layer) {
      attention(decoder_.layers[layer], layer);
      feed_forward(decoder_.layers[layer]);
    }
    norm_to(decoder_.norm, step_.states);
  }

 private:
  void attention(const Layer& layer, int index) {
    KeyValues kv = step_.kv;
    kv.keys = static_cast<char*>(kv.keys) + index * step_.layer_bytes;
    kv.values = static_cast<char*>(kv.values) + index * step_.layer_bytes;
    if (kv.format == kKvInt8) {  // a head of codes has one scale
      kv.key_scales += index * (step_.layer_bytes / kv.head_size);
      kv.value_scales += index * (step_.layer_bytes / kv.head_size);
    }
    norm_to(layer.input_norm, normed_);
    const Product products[] = {{&layer.q, {{q_, 0}, layer.q.rows, false}},
                                {&layer.k, {{k_, 0}, layer.k.rows, false}},
                                {&layer.v, {{v_, 0}, layer.v.rows, false}}};
    multiply(team_, path_, prepare(normed_, layer.q), products, 3);
    each_row(team_, step_.rows, [&](int row) { rotate_and_store(row, kv); });
    attend(team_, path_, q_, step_.rows, decoder_.heads, kv, workspace_.parts, attended_);
    const Product output = {&layer.o, {{step_.states, 0}, decoder_.width, true}};
    multiply(team_, path_, prepare(attended_, layer.o), &output, 1);
  }

  void feed_forward(const Layer& layer) {
    norm_to(layer.post_attention_norm, normed_);
    multiply_gated(team_, path_, prepare(normed_, layer.gate), layer.gate, layer.up, inner_, other_);
    const Product output = {&layer.down, {{step_.states, 0}, decoder_.width, true}};
    multiply(team_, path_, prepare(inner_, layer.down), &output, 1);
  }

  void norm_to(const float* weight, float* out) {
    each_row(team_, step_.rows, [&](int row) {
      const int64_t place = static_cast<int64_t>(row) * decoder_.width;
      path_.rms_norm(step_.states + place, weight, decoder_.eps, decoder_.width, out + place);
    });
  }

  const Activations& prepare(float* rows, const Linear& for_layer) {
    return workspace_.prepared.fill(team_, path_, {rows, 0}, step_.rows, for_layer.columns, for_layer.format);
  }

  void rotate_and_store(int row, const KeyValues& kv) {
    const int size = decoder_.head_size, heads = decoder_.heads, kv_heads = decoder_.kv_heads;
    const float *cos = step_.cos + static_cast<int64_t>(row) * size;
    const float *sin = step_.sin + static_cast<int64_t>(row) * size;
    float* q = q_ + static_cast<int64_t>(row) * heads * size;
    const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(size));
    for (int head = 0; head < heads; ++head) path_.rotate(q + head * size, cos, sin, size);
    for (int i = 0; i < heads * size; ++i) q[i] *= scale;
    float* k = k_ + static_cast<int64_t>(row) * kv_heads * size;
    for (int head = 0; head < kv_heads; ++head) path_.rotate(k + head * size, cos, sin, size);
    store_row(k, kv.keys, kv.key_scales, row, kv);
    store_row(v_ + static_cast<int64_t>(row) * kv_heads * size, kv.values, kv.value_scales, row, kv);
  }

  void store_row(const float* from, void* blocks, float* scales, int row, const KeyValues& kv) {
    const int count = kv.kv_heads * kv.head_size;
    const int64_t place = step_.slots[row] * count;
    if (kv.format == kKvInt8) {
      path_.round_heads(from, kv.kv_heads, kv.head_size, static_cast<int8_t*>(blocks) + place,
                        scales + step_.slots[row] * kv.kv_heads);
    } else if (kv.format == kKvBf16) {
      path_.round_values(from, count, static_cast<uint16_t*>(blocks) + place);
    } else {
      __builtin_memcpy(static_cast<float*>(blocks) + place, from, count * sizeof(float));
    }
  }

  Team& team_;
  const Path& path_;
  const Decoder& decoder_;
  const Step& step_;
  Workspace& workspace_;
  float *normed_, *q_, *k_, *v_, *attended_, *inner_, *other_;
};

}  // namespace

void decode(Team& team, const Path& path, const Decoder& decoder, const Step& step, Workspace& workspace) {
  Pass(team, path, decoder, step, workspace).run();
}
