// What each layer knows of a token by itself, and how it brings it in.
// Expects a Workspace that was reserved for the batch.
// Exactness: parts are tokens' values for a layer, or rows; no sum is split over threads.
#include <algorithm>

#include "engine/forward.h"
#include "engine/packing.h"

namespace aboard {

void ForwardPass::ReadTable(size_t token, const LayerEmbedding& layers) {
  float* const row = space_.table.Row(token);
  ReadRow(layers.table, static_cast<size_t>(batch_[token].id), row);
  kernels_.scale(row, layers.table_scale, layers.table.cols);
}

void ForwardPass::EmbedLayers(Team& team, const LayerEmbedding& layers) {
  const Vector none;
  const Projection projections[] = {{layers.projection, space_.known}};
  NormAndPrepare(team, none);
  Project(team, projections, none);
  const size_t width = shape_.token_width;
  team.Phase(n_tokens_ * shape_.layers, parts_, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      const size_t token = i / shape_.layers, at = i % shape_.layers * width;
      float* const x = space_.known.Row(token) + at;
      kernels_.scale(x, layers.projection_scale, width);
      kernels_.rms_norm(x, layers.norm.data(), shape_.norm_eps, width, x);
      kernels_.add(x, space_.table.Row(token) + at, width);
      kernels_.scale(x, layers.sum_scale, width);
    }
  });
}

// Parts as in FeedForward.
void ForwardPass::AddToken(Team& team, const TokenBlock& block, size_t layer, float scale) {
  const Vector none;
  NormAndPrepare(team, none);
  const size_t width = shape_.token_width;
  const auto gated = block.function == GateFunction::kGelu ? kernels_.geglu : kernels_.swiglu;
  team.Phase(RoundUp(width, kBlock) / kBlock, parts_, [&](size_t first, size_t last) {
    const Operand& x = Normed(team, none);
    FloatRows& gate = space_.gate;
    Multiply(team, block.gate, first * 2, std::min(last * 2, PanelsOf(width)), x, gate);
    const size_t begin = first * kBlock, n = std::min(last * kBlock, width) - begin;
    for (size_t t = 0; t < n_tokens_; ++t) {
      gated(gate.Row(t) + begin, space_.known.Row(t) + layer * width + begin, n);
      Prepare(gate.Row(t) + begin, n, space_.ffn, t, first);
    }
  });
  AddToResidual(
      team, block.output, block.post_norm, [&]() -> const Operand& { return space_.ffn; }, scale);
}

}  // namespace aboard
