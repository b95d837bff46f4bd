// A decoder-only transformer: packed weights in, tokens of any number of sequences in, logits out.
// Expects blocks whose shapes fit together (bindings/decoder.cc checks them).
// Exactness: numerics contract; a token's logits depend on its own sequence and on nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/kv_cache.h"
#include "engine/machine.h"
#include "engine/rope.h"
#include "engine/workspace.h"
#include "isa/kernels.h"
#include "kernels/layout.h"

namespace aboard {

// Vectors that a model doesn't have are empty.
using Vector = std::vector<float>;

struct Linear {
  PackedMatrix matrix = {};  // none: no rows
  Vector bias;               // (rows,)
};

struct AttentionBlock {
  size_t kv_heads = 0;           // K
  size_t head_dim = 0;           // d
  Vector norm;                   // (D,) of what goes into the block
  Linear query, key, value;      // (H * d, D), (K * d, D), (K * d, D)
  Linear output;                 // (D, H * d)
  Vector query_norm, key_norm;   // (d,): of each head; or (H * d,) and (K * d,): of all together
  Vector value_norm;             // (d,)
  Vector post_norm;              // (D,) of what comes out of it
  bool gated = false;            // the query has (H * 2 d, D): behind each head its gate
  size_t window = 0;             // tokens that a token sees, itself included; 0: all
  int rope = 0;                  // in DecoderShape::ropes; negative: none
  // An earlier layer whose keys and values it reads; it has none then, and the same K and d.
  std::optional<size_t> keys_of = {};
  size_t kv_layer = 0;           // where they are in a cache; the decoder sets it

  // Without: values are what keys are before their norm.
  bool has_value() const { return value.matrix.rows != 0; }
};

// What follows one another in a sequence, mixed by a convolution of each column for itself:
// output(out_gate x * conv(in_gate x * input x)).
struct ShortConvBlock {
  Vector norm;                        // (D,) of what goes into the block
  Linear in_gate, out_gate, input;    // (D, D) each
  Vector taps;                        // (n, D): by what the inputs are multiplied, the oldest first
  Linear output;                      // (D, D)
};

// A gated delta net: see models/decoder.py.
struct DeltaNetBlock {
  Vector norm;                     // (D,) of what goes into the block
  Linear mixed, gate, alpha, beta; // (G d + G d + H d, D), (H d, D), (H, D), (H, D)
  Vector taps;                     // (n, G d + G d + H d), the oldest first
  Vector decay, time_step;         // (H,)
  Vector query_scale, key_scale;   // (d,): 1 / d and 1 / sqrt(d), behind a norm by the mean square
  Vector head_norm;                // (d,)
  Linear output;                   // (D, H d)
};

enum class GateFunction : uint8_t { kSilu, kGelu };

// F is the layer's own.
struct FeedForwardBlock {
  Vector norm;             // (D,)
  Linear gate, up, down;   // (F, D), (F, D), (D, F)
  Vector post_norm;        // (D,)
  GateFunction function = GateFunction::kSilu;
};

// Brings in what a layer knows of the token: output(function(gate x) * the layer's part of it).
struct TokenBlock {
  Linear gate, output;  // (P, D), (D, P)
  Vector post_norm;     // (D,)
  GateFunction function = GateFunction::kGelu;
};

// Mixes tokens in one of three ways, then takes each for itself.
struct Layer {
  std::optional<AttentionBlock> attention;
  std::optional<ShortConvBlock> short_conv;
  std::optional<DeltaNetBlock> delta_net;
  FeedForwardBlock feed_forward;
  std::optional<TokenBlock> token;
  float scale = 1.0f;  // multiplies the residual stream, at the end
};

// What every layer knows of a token, P values each: the sum of a table's row and of what a matrix
// makes of the embedding, normed.
struct LayerEmbedding {
  PackedMatrix table;                       // (V, L * P)
  Linear projection;                        // (L * P, D)
  Vector norm;                              // (P,)
  float table_scale, projection_scale;      // of each, before the norm
  float sum_scale;
};

// Of delta nets.
struct DeltaShape {
  size_t key_heads = 0;    // G; 0: there are none
  size_t value_heads = 0;  // H, a multiple of it
  size_t head_dim = 0;     // d

  size_t inner() const { return value_heads * head_dim; }
  size_t mixed() const { return 2 * key_heads * head_dim + inner(); }
  bool operator==(const DeltaShape&) const = default;
};

struct DecoderShape {
  size_t width;        // D
  size_t query_heads;  // H, a multiple of every layer's K
  size_t vocabulary;   // V
  float norm_eps;
  float score_scale;
  float score_cap = 0.0f;        // of attention's scores, softly; 0: none
  float embedding_scale = 1.0f;  // multiplies embeddings
  float residual_scale = 1.0f;   // multiplies what a block adds to the residual stream
  float logit_scale = 1.0f;      // multiplies logits
  float logit_cap = 0.0f;        // of the logits, after that; 0: none
  // A query is multiplied by 1 + temperature * log(1 + position / temperature_context), the quotient
  // being an integer. 0: it is not.
  double temperature = 0.0;
  size_t temperature_context = 1;
  std::vector<Rope> ropes;
  bool gated = false;     // whether an attention is
  size_t conv_taps = 0;   // of convolutions, n; 0: there are none
  size_t conv_width = 0;  // their columns
  DeltaShape delta = {};
  // What the decoder takes from its layers: the largest d, K * d, H / K and F of any.
  size_t head_dim = 0;
  size_t kv_width = 0;
  size_t group = 0;
  size_t ffn_width = 0;
  size_t token_width = 0;  // P; 0: layers know nothing of the token
  size_t layers = 0;       // L
};

// One token of a batch. Tokens of one sequence stand in order of their positions.
struct BatchToken {
  int32_t id;
  KvCache* cache;
  size_t position;  // its keys and values are stored there
};

// The halves of a layer, and what follows the last one.
enum class LayerHalf : uint8_t { kMix, kFeed, kEnd };

// Where inputs of matrices are taken from: those of a half's first matrices, which share them, or
// of its last one.
struct LayerPart {
  LayerHalf half;
  bool inner;    // of the last matrix
  bool attends;  // whether the layer mixes tokens by attention

  size_t InputWidth(const DecoderShape& shape) const {
    if (!inner) return shape.width;
    if (half == LayerHalf::kFeed) return shape.ffn_width;
    if (attends) return shape.query_heads * shape.head_dim;
    return shape.delta.key_heads != 0 ? shape.delta.inner() : shape.width;
  }
};

class ForwardPass;

class Decoder {
 public:
  Decoder(DecoderShape shape, std::vector<Layer> layers, PackedMatrix embedding,
          Vector final_norm, PackedMatrix head, size_t threads,
          KvFormat kv_format = KvFormat::kF16,
          std::optional<LayerEmbedding> layer_embedding = std::nullopt);

  const DecoderShape& shape() const { return shape_; }
  const KvShape& kv_shape() const { return kv_shape_; }
  // An empty cache; the chunks of all caches come from one pool.
  KvCache NewCache(size_t capacity) const { return {kv_shape_, kv_pool_, capacity}; }
  const std::shared_ptr<KvPool>& kv_pool() const { return kv_pool_; }

  // Processes the batch and writes the logits of tokens `wanted` (indices into it), (n, V).
  // One call at a time works; others wait.
  void Forward(std::span<const BatchToken> batch, std::span<const size_t> wanted, float* logits);

  // Of a decoder of one layer, whose tokens' ids don't matter: half of it, from hidden states,
  // (T, D), to hidden states; T is at least 2.
  void RunHalf(std::span<const BatchToken> batch, LayerHalf half, float* hidden);
  // Likewise, but to the inputs of matrices, (T, part.InputWidth(shape())).
  void TapInputs(std::span<const BatchToken> batch, const LayerPart& part, const float* hidden,
                 float* inputs);
  bool attends() const { return layers_.front().attention.has_value(); }

  // Threads of the next calls.
  void set_threads(size_t threads) { machine_.set_threads(threads); }
  size_t threads() const { return machine_.threads(); }

 private:
  // Notes what a layer needs of a workspace and of a cache.
  void FitAttention(AttentionBlock& block);
  void FitStates(const Layer& layer);
  // prepare(pass) on this thread, then steps(pass, team) on every thread of the team.
  template <class Prepare, class Steps>
  void Run(std::span<const BatchToken> batch, size_t n_logits, const Prepare& prepare,
           const Steps& steps);
  void DoHalf(ForwardPass& pass, Team& team, LayerHalf half);

  DecoderShape shape_;
  std::vector<Layer> layers_;
  PackedMatrix embedding_;
  Vector final_norm_;
  PackedMatrix head_;
  std::optional<LayerEmbedding> layer_embedding_;
  KvShape kv_shape_;
  std::shared_ptr<KvPool> kv_pool_;

  OwnMachine<Workspace> machine_;
};

}  // namespace aboard
