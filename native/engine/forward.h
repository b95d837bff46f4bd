// One forward pass, as each thread of the team runs it.
// Expects a Workspace that was reserved for the batch.
// Exactness: numerics contract; see kernels/.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <span>
#include <vector>

#include "engine/decoder.h"

namespace aboard {

// Consecutive tokens of one sequence whose queries share the decoded keys of a chunk.
struct QueryTile {
  size_t first, count;
};
inline constexpr size_t kTileQueries = 16;

// What attention must know of a layer.
struct LayerView {
  size_t layer;  // of the cache
  size_t kv_heads, group, head_dim, padded;
  bool gated;
  size_t window;  // a token sees itself and window - 1 before it; 0: all

  size_t FirstKey(size_t position) const {
    return window != 0 && position >= window ? position + 1 - window : 0;
  }
  size_t FirstChunk(size_t position) const { return FirstKey(position) / kKeyChunk; }
  bool Sees(size_t position, size_t chunk) const {
    return FirstChunk(position) <= chunk && chunk * kKeyChunk <= position;
  }
};

class ForwardPass {
 public:
  ForwardPass(const DecoderShape& shape, KvFormat kv_format, std::span<const BatchToken> batch,
              Workspace& workspace, size_t threads);

  // Grows the workspace; on the calling thread, before Run.
  void Reserve(size_t n_logits);
  // Makes caches ready; likewise.
  void BeginSequences();
  // Half of a layer is to end where the inputs of its first matrices are there, or of its last one,
  // and to write them, (T, K) float32, to `out`; likewise. Of a pass of several tokens.
  void TapInputs(const LayerPart& part, float* out);

  // The steps; each is called by every thread of the team.
  void Embed(Team& team, const PackedMatrix& embedding,
             const std::optional<LayerEmbedding>& layers);
  void Enter(Team& team, const float* hidden);
  void Leave(Team& team, float* hidden);
  void NormAtEnd(Team& team, const Vector& norm) { NormAndPrepare(team, norm); }
  void Attend(Team& team, const AttentionBlock& block);
  void Convolve(Team& team, const ShortConvBlock& block, size_t layer);
  void RecurDelta(Team& team, const DeltaNetBlock& block, size_t layer);
  // `scale` multiplies the residual stream behind it.
  void FeedForward(Team& team, const FeedForwardBlock& block, float scale);
  void AddToken(Team& team, const TokenBlock& block, size_t layer, float scale);
  void Head(Team& team, const Vector& norm, const PackedMatrix& head,
            std::span<const size_t> wanted, float* logits);

 private:
  struct Projection {
    const Linear& linear;
    FloatRows& out;
  };

  // forward.cc: what goes into a block and what comes out of it.
  void FindAngles(size_t token);
  void Prepare(const float* x, size_t n, Operand& out, size_t row, size_t first_block);
  void NormAndPrepare(Team& team, const Vector& norm);
  const Operand& Normed(const Team& team, const Vector& norm);
  void NormToken(size_t token, const Vector& norm, float* normed, Operand& out, size_t row);
  void Project(Team& team, std::span<const Projection> projections, const Vector& norm);
  void Multiply(const Team& team, const PackedMatrix& matrix, size_t first_panel,
                size_t last_panel, const Operand& x, size_t n, float* out, size_t stride);
  void Multiply(const Team& team, const Linear& linear, size_t first_panel, size_t last_panel,
                const Operand& x, FloatRows& out);
  template <class Rows>
  void AddToResidual(Team& team, const Linear& linear, const Vector& post_norm, const Rows& x,
                     float scale = 1.0f);
  void AddOutput(size_t token, float* x, size_t row, size_t n, float scale);
  void AddNormedOutput(const Team& team, size_t token, const Vector& post_norm, float scale);
  // Whether a block ends here, where its inputs are wanted and nothing else.
  bool EndsAt(const Operand& inputs) const { return &inputs == tapped_; }
  // Whether `n` more parts of `total` are the last ones of a phase to be finished.
  bool Completes(size_t n, size_t total);
  size_t AnglesWidth() const;
  void ReadToken(size_t token, const PackedMatrix& embedding);

  // forward_token.cc
  void ReadTable(size_t token, const LayerEmbedding& layers);
  void EmbedLayers(Team& team, const LayerEmbedding& layers);

  // forward_conv.cc
  const float* InputBefore(size_t token, size_t distance, size_t layer) const;
  void ConvolveToken(const Vector& taps, size_t token, size_t layer, size_t begin, size_t n);
  void KeepInput(size_t token, size_t layer, size_t begin, size_t n);

  // forward_delta.cc
  void RecurHead(const Team& team, const DeltaNetBlock& block, const QueryTile& run, size_t layer,
                 size_t head);

  // forward_attention.cc
  void PrepareAttended(Team& team, size_t n);
  const Operand& Attended(const Team& team, size_t n);
  LayerView ViewOf(const AttentionBlock& block) const;
  bool ByChunk(size_t kv_heads) const;
  void RotateAndStore(Team& team, const AttentionBlock& block);
  void RotateQuery(const Team& team, const AttentionBlock& block, size_t token, size_t head);
  void StoreKeyAndValue(const Team& team, const AttentionBlock& block, size_t token,
                        size_t kv_head);
  // The value of a head, kept as floats or in the thread's codes, whose scale it returns.
  float StoreValue(const Team& team, const AttentionBlock& block, size_t token, size_t kv_head);
  void NormHead(const Team& team, const float* row, const Vector& norm, size_t d, size_t head,
                size_t at, float* out);
  void Turn(float* head, size_t token, int rope);
  void AttendTile(const Team& team, const QueryTile& tile, size_t kv_head,
                  const LayerView& view);
  void AttendChunk(const Team& team, size_t token, size_t kv_head, size_t chunk,
                   const LayerView& view);
  void JoinChunks(size_t token, size_t head, const LayerView& view);
  ChunkQuery QueryOf(size_t token, size_t head, size_t chunk, const LayerView& view,
                     const AttentionPartial& out);
  // `queries` against a chunk, of whose keys the first n_keys are there.
  void AttendQueries(ThreadSpace& own, const KvCache& cache, const LayerView& view,
                     size_t kv_head, size_t chunk, size_t n_keys);
  void LoadChunk(ThreadSpace& own, const KvCache& cache, const LayerView& view, size_t kv_head,
                 size_t chunk, size_t n_keys);
  AttentionPartial PartialAt(float* at) const { return {at, at + 1, at + 16}; }
  void Divide(size_t token, size_t head, const AttentionPartial& partial, const LayerView& view);
  float* StoredPartial(size_t token, size_t head, size_t chunk);
  // Room for the largest head.
  size_t PartialSize() const { return 16 + padded_; }

  const DecoderShape& shape_;
  bool coded_;   // keys and values are int8
  bool floats_;  // activations, keys and values stay float32
  std::span<const BatchToken> batch_;
  Workspace& space_;
  const Kernels& kernels_;
  size_t n_tokens_;
  bool alone_;     // a single token
  size_t parts_;   // of a phase, for each thread
  size_t threads_, padded_, max_chunks_;
  const Operand* tapped_ = nullptr;  // what goes to taps_, (T, tap_width_), instead
  float* taps_ = nullptr;
  size_t tap_width_ = 0;
  std::vector<QueryTile> tiles_;
  std::vector<QueryTile> runs_;  // the tokens of each sequence
  std::atomic<size_t> finished_{0};  // see Completes
};

// A block's output joins the residual stream. Where a norm stands between, it needs the whole of
// it: of a single token, the thread that finishes last does the norm, and no phase is needed.
template <class Rows>
void ForwardPass::AddToResidual(Team& team, const Linear& linear, const Vector& post_norm,
                                const Rows& x, float scale) {
  const size_t panels = (linear.matrix.rows + kPanelRows - 1) / kPanelRows;
  team.Phase(panels, parts_, [&](size_t first, size_t last) {
    FloatRows& out = space_.projected;
    Multiply(team, linear, first, last, x(), out);
    if (!post_norm.empty()) {
      if (alone_ && Completes(last - first, panels)) AddNormedOutput(team, 0, post_norm, scale);
      return;
    }
    const size_t row = first * kPanelRows;
    const size_t n = std::min(last * kPanelRows, linear.matrix.rows) - row;
    for (size_t t = 0; t < n_tokens_; ++t) AddOutput(t, out.Row(t) + row, row, n, scale);
  });
  if (post_norm.empty() || alone_) return;
  team.Phase(n_tokens_, parts_, [&](size_t first, size_t last) {
    for (size_t t = first; t < last; ++t) AddNormedOutput(team, t, post_norm, scale);
  });
}

}  // namespace aboard
