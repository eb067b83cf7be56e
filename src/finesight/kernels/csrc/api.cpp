// SPDX-License-Identifier: Apache-2.0
// The C functions of the library; `finesight.kernels.library` declares them to ctypes and checks every argument.
#include "decoder.hpp"

namespace {

bool supports_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
}

bool supports_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

const Path* best_path() {
  __builtin_cpu_init();
  return supports_avx512() ? &kAvx512Path : supports_avx2() ? &kAvx2Path : nullptr;
}

const Path* chosen = best_path();

// The team, for one call.
class Reserved {
 public:
  explicit Reserved(int threads) : team(Team::reserve(threads)) {}
  ~Reserved() { team.release(); }
  Reserved(const Reserved&) = delete;
  Reserved& operator=(const Reserved&) = delete;
  Team& team;
};

// Used by one call at a time, which holds the team.
Workspace& workspace() {
  static Workspace* kept = new Workspace;  // never destroyed: threads may still run when the process ends
  return *kept;
}

// The rows from `first` on.
Rows rows_from(const Rows& rows, int64_t first, int64_t columns) {
  const int64_t bytes = rows.is_bf16 ? sizeof(uint16_t) : sizeof(float);
  return {static_cast<char*>(rows.values) + first * columns * bytes, rows.is_bf16};
}

}  // namespace

#define FINESIGHT_API extern "C" __attribute__((visibility("default")))

// 2 for AVX-512, 1 for AVX2, 0 if the processor has neither.
FINESIGHT_API int32_t finesight_path() {
  return chosen == &kAvx512Path ? 2 : chosen == &kAvx2Path ? 1 : 0;
}

// Use another path; returns the one in use. One that the processor lacks changes nothing.
FINESIGHT_API int32_t finesight_use_path(int32_t path) {
  if (path == 2 && supports_avx512()) chosen = &kAvx512Path;
  if (path == 1 && supports_avx2()) chosen = &kAvx2Path;
  return finesight_path();
}

// out[rows, linear.rows] = x[rows, linear.columns] @ weight.T + bias, both in float32 or both in bfloat16.
FINESIGHT_API void finesight_linear(const Linear* linear, void* x, int32_t rows, void* out, int32_t is_bf16,
                                    int32_t threads) {
  const Reserved reserved(threads);
  Prepared& prepared = workspace().prepared;
  for (int32_t first = 0; first < rows; first += kLargestBatch) {
    const int32_t count = rows - first < kLargestBatch ? rows - first : kLargestBatch;
    const Activations& from =
        prepared.fill(reserved.team, *chosen, rows_from({x, is_bf16}, first, linear->columns), count,
                      linear->columns, linear->format);
    const Product product = {linear, {rows_from({out, is_bf16}, first, linear->rows), linear->rows, false}};
    multiply(reserved.team, *chosen, from, &product, 1);
  }
}

// Codes of float32 weights [rows, columns]; `out` is zero before.
FINESIGHT_API void finesight_pack(const float* weight, int32_t rows, int32_t columns, int32_t format,
                                  uint8_t* out, int32_t threads) {
  const Reserved reserved(threads);
  const int64_t tile_bytes = round_up(columns, kGroup) / kGroup * group_bytes(format);
  reserved.team.run((rows + kTileRows - 1) / kTileRows, [&](int tile, int) {
    const int first = tile * kTileRows, left = rows - first;
    chosen->pack_tile(weight + static_cast<int64_t>(first) * columns, left < kTileRows ? left : kTileRows,
                      columns, format, out + tile * tile_bytes);
  });
}

// out[rows, heads, head_size]; `q` is already scaled.
FINESIGHT_API void finesight_attend(const float* q, int32_t rows, int32_t heads, const KeyValues* kv,
                                    float* out, int32_t threads) {
  const Reserved reserved(threads);
  attend(reserved.team, *chosen, q, rows, heads, *kv, workspace().parts, out);
}

// Attention inside segments of rows in bfloat16.
FINESIGHT_API void finesight_attend_segments(const Segments* segments, int32_t threads) {
  const Reserved reserved(threads);
  attend(reserved.team, *chosen, *segments);
}

// out = row / rms(row) * weight for each row, in bfloat16.
FINESIGHT_API void finesight_rms_norm(const uint16_t* x, const float* weight, float eps, int32_t rows,
                                      int32_t columns, uint16_t* out, int32_t threads) {
  const Reserved reserved(threads);
  each_row(reserved.team, rows, [&](int row) {
    const int64_t place = static_cast<int64_t>(row) * columns;
    chosen->rms_norm_bf16(x + place, weight, eps, columns, out + place);
  });
}

// gate = silu(gate) * up, [rows, columns] in bfloat16.
FINESIGHT_API void finesight_gate(uint16_t* gate, const uint16_t* up, int32_t rows, int32_t columns,
                                  int32_t threads) {
  const Reserved reserved(threads);
  each_row(reserved.team, rows, [&](int row) {
    const int64_t place = static_cast<int64_t>(row) * columns;
    chosen->gate_bf16(gate + place, up + place, columns);
  });
}

// The heads of rows in bfloat16, rotated by the angles of their row, to out[rows, heads, size]; a row of `x` starts
// `stride` values after the one before.
FINESIGHT_API void finesight_rotate(const uint16_t* x, int64_t stride, int32_t rows, int32_t heads, int32_t size,
                                    const float* cos, const float* sin, uint16_t* out, int32_t threads) {
  const Reserved reserved(threads);
  each_row(reserved.team, rows, [&](int row) {
    const int64_t angles = static_cast<int64_t>(row) * size;
    chosen->rotate_bf16(x + row * stride, heads, cos + angles, sin + angles, size, out + angles * heads);
  });
}

FINESIGHT_API void finesight_decode(const Decoder* decoder, const Step* step, int32_t threads) {
  const Reserved reserved(threads);
  decode(reserved.team, *chosen, *decoder, *step, workspace());
}
