// The table of kernels that each instruction set fills, and how the running one is chosen.
// Expects pointers to be 64-byte aligned where a comment says so; sizes as stated.
// Exactness: every entry gives the same bits on every instruction set (numerics contract).
#pragma once

#include "kernels/layout.h"
#include "quantize/search.h"

namespace aboard {

struct Kernels {
  const char* name;

  // Rows of activations that lie side by side where there are several: QuantizedRows::tile.
  size_t tile_tokens;

  // y[t * y_stride + r] = sum over columns of w[r] * x[t], for the rows r of panels [first_panel,
  // last_panel) and the tokens t < n_tokens. Writes whole panels: y holds room for rows rounded up
  // to 16. scratch: kLinearScratchBytes, aligned, one per thread.
  void (*linear)(const PackedMatrix& w, size_t first_panel, size_t last_panel,
                 const QuantizedRows& x, size_t n_tokens, float* y, size_t y_stride,
                 uint8_t* scratch);

  // Quantises n values into blocks [first_block, ...) of row `token` of `out`.
  void (*quantize)(const float* x, size_t n, const QuantizedRows& out, size_t token,
                   size_t first_block);

  // out = (x / sqrt(mean(x^2) + eps)) * weight.
  void (*rms_norm)(const float* x, const float* weight, float eps, size_t n, float* out);

  // out = (x - mean) / sqrt(mean((x - mean)^2) + eps) * weight + bias; out may be x.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps, size_t n,
                     float* out);

  // x = x * (the share of a normal distribution below x): GELU itself.
  void (*gelu)(float* x, size_t n);

  // sqrt(sum of x^2).
  float (*length)(const float* x, size_t n);

  // gate = gate / (1 + exp(-gate)) * up.
  void (*swiglu)(float* gate, const float* up, size_t n);

  // gate = gate / (1 + exp(-2 u)) * up, u = sqrt(2 / pi) * (gate + 0.044715 gate^3): GELU as tanh
  // approximates it, of which the half of 1 + tanh(u) is written as a sigmoid.
  void (*geglu)(float* gate, const float* up, size_t n);

  // x = x / (1 + exp(-x)).
  void (*silu)(float* x, size_t n);

  // x = x / (1 + exp(-gate)).
  void (*gate_by_sigmoid)(float* x, const float* gate, size_t n);

  // state (d_key, d_value) = decay * state; state += key (beta * (value - key state)); out = query
  // state.
  void (*delta_step)(float* state, const DeltaToken& token, size_t d_key, size_t d_value,
                     float* out);

  // out = out * x.
  void (*multiply)(float* out, const float* x, size_t n);

  // out = out + x * y.
  void (*add_product)(float* out, const float* x, const float* y, size_t n);

  // out = out + x.
  void (*add)(float* out, const float* x, size_t n);

  // x = x * by.
  void (*scale)(float* x, float by, size_t n);

  // x = cap * tanh(x / cap).
  void (*soft_cap)(float* x, float cap, size_t n);

  // float32 <-> float16, n values; to float16 rounds half to even.
  void (*halves_to_floats)(const uint16_t* x, size_t n, float* out);
  void (*floats_to_halves)(const float* x, size_t n, uint16_t* out);

  // Queries (d_padded,) against a chunk: float16 keys and values are (64, d_padded); float32 keys
  // are columns, (4, d_padded, 16), values (64, d_padded); d_padded a multiple of 16. Beyond the
  // keys that a query sees they may hold anything. A cap above 0: scores are softly capped.
  void (*attend)(const ChunkQuery* queries, size_t n_queries, const float* key_columns,
                 const float* values, size_t d_padded, float scale, float cap);
  // The columns of the first n_keys of (64, d_padded) float16 keys.
  void (*halves_to_columns)(const uint16_t* keys, size_t n_keys, size_t d_padded, float* columns);
  void (*attend_halves)(const ChunkQuery* queries, size_t n_queries, const uint16_t* keys,
                        const uint16_t* values, size_t d_padded, float scale, float cap);

  // Queries against a chunk of int8 keys and values, heads of d values. Beyond the keys that a query
  // sees the chunk may hold anything.
  void (*attend_codes)(const ChunkQuery* queries, size_t n_queries, const CodedChunk& chunk,
                       size_t d, float scale, float cap);

  // n values to codes of one scale, which it returns; `codes` has room for n rounded up to 16.
  float (*quantize_head)(const float* x, size_t n, int8_t* codes);

  // Joins the partial result `next` of a later chunk to `running`.
  void (*merge)(const AttentionPartial& running, const AttentionPartial& next, size_t d_padded);

  // out = x / by (the last step of attention).
  void (*divide)(const float* x, float by, size_t n, float* out);

  // e^x, 0 below -87, e^88 above 88.
  void (*exp)(const float* x, size_t n, float* out);

  // Scales and minimums of the groups from kSearchLanes * first to before kSearchLanes * last.
  void (*search_scales)(const ScaleSearch& search, size_t first, size_t last);

  // Codes of the groups from `first` to before `last`.
  void (*nearest_codes)(const CodeSearch& search, size_t first, size_t last);

  // The peak of a row of logits.
  LogitPeak (*peak)(const float* x, size_t n);

  // Sum of e^(x - max) in double precision; no x is above max. -infinity counts as nothing.
  double (*sum_of_exps)(const float* x, float max, size_t n);

  // What their divergence is made of; both rows are finite, the maxima are theirs.
  DivergenceSums (*divergence)(const float* p, float p_max, const float* q, float q_max, size_t n);

  // 1024 * n integer operations on registers; see kernels/ceiling-inl.h.
  int32_t (*dot_loop)(size_t n, const uint8_t* quad, int32_t four);
};

// 32 blocks of 512 code bytes and 2 x 2 x 16 float scales each; see kernels/linear-inl.h.
inline constexpr size_t kUnpackBlocks = 32;
inline constexpr size_t kLinearScratchBytes = kUnpackBlocks * (kQuads * kQuadBytes + 256) + 4096;

// Names of the instruction sets that this build has and this CPU runs, the best first; at least
// "scalar". Ends with nullptr.
const char* const* SupportedIsas();

// The kernels of the named set, or nullptr.
const Kernels* FindKernels(const char* name);

// The kernels in use: the best supported set, or the one forced by ForceIsa.
const Kernels& ActiveKernels();

// False if this CPU or build doesn't have the set. nullptr goes back to the best one. Takes effect
// for every call that begins later.
bool ForceIsa(const char* name);

}  // namespace aboard
