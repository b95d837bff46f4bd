// One forward pass, as each thread of the team runs it.
// Expects a Workspace that was reserved for the batch.
// Exactness: numerics contract; see kernels/.
#pragma once

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
  size_t layer;
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

  // The steps; each is called by every thread of the team.
  void Embed(Team& team, const PackedMatrix& embedding);
  void Attend(Team& team, const AttentionBlock& block, size_t layer);
  void FeedForward(Team& team, const FeedForwardBlock& block);
  void Head(Team& team, const std::vector<float>& norm, const PackedMatrix& head,
            std::span<const size_t> wanted, float* logits);

 private:
  struct Projection {
    const PackedMatrix& matrix;
    FloatRows& out;
  };

  void NormAndQuantize(Team& team, const std::vector<float>& norm);
  const QuantizedRows& Normed(const Team& team, const std::vector<float>& norm);
  void NormToken(size_t token, const std::vector<float>& norm, float* normed,
                 const QuantizedRows& out, size_t row);
  void QuantizeAttended(Team& team);
  const QuantizedRows& Attended(const Team& team);
  void Project(Team& team, std::span<const Projection> projections,
               const std::vector<float>& norm);
  void Linear(const Team& team, const PackedMatrix& matrix, size_t first_panel, size_t last_panel,
              const QuantizedRows& x, FloatRows& out);
  template <class Rows>
  void AddToResidual(Team& team, const PackedMatrix& matrix, const Rows& x);
  void RotateAndStore(Team& team, size_t layer);
  void RotateQuery(size_t token, size_t head);
  void StoreKeyAndValue(const Team& team, size_t token, size_t kv_head, size_t layer);
  void AttendTile(const Team& team, const QueryTile& tile, size_t kv_head,
                  const LayerView& view);
  void AttendChunk(const Team& team, size_t token, size_t kv_head, size_t chunk,
                   const LayerView& view);
  void JoinChunks(size_t token, size_t head, const LayerView& view);
  ChunkQuery QueryOf(size_t token, size_t head, size_t chunk, const LayerView& view,
                     const AttentionPartial& out);
  // `queries` against a chunk, of whose keys the first n_keys are there.
  void AttendQueries(ThreadSpace& own, const KvCache& cache, size_t layer, size_t kv_head,
                     size_t chunk, size_t n_keys);
  void LoadChunk(ThreadSpace& own, const KvCache& cache, size_t layer, size_t kv_head,
                 size_t chunk, size_t n_keys);
  AttentionPartial PartialAt(float* at) const { return {at, at + 1, at + 16}; }
  float* StoredPartial(size_t token, size_t head, size_t chunk);
  size_t PartialSize() const { return 16 + padded_; }

  const DecoderShape& shape_;
  bool coded_;  // keys and values are int8
  std::span<const BatchToken> batch_;
  Workspace& space_;
  const Kernels& kernels_;
  size_t n_tokens_;
  bool alone_;     // a single token
  size_t parts_;   // of a phase, for each thread
  size_t group_, padded_, max_chunks_;
  bool by_chunk_;  // few queries: threads share out the chunks of keys, too
  std::vector<QueryTile> tiles_;
};

}  // namespace aboard
