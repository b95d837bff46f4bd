// Gated delta nets: a convolution over queries, keys and values, then a state for each head, token by
// token.
// Expects a Workspace that was reserved for the batch, and caches with room for states.
// Exactness: parts are columns, then heads; a head's tokens are taken in order, by one thread.
#include <algorithm>

#include "engine/forward.h"
#include "engine/packing.h"
#include "engine/scalar_math.h"

namespace aboard {
namespace {

float Sigmoid(float x) { return static_cast<float>(1.0 / (1.0 + Exp(-static_cast<double>(x)))); }

// e^(rate * log(1 + e^x)).
float Decay(float rate, float x) {
  const double wide = x;
  const double softplus = wide > 20.0 ? wide : Log(1.0 + Exp(wide));
  return static_cast<float>(Exp(static_cast<double>(rate) * softplus));
}

}  // namespace

void ForwardPass::RecurDelta(Team& team, const DeltaNetBlock& block, size_t layer) {
  const DeltaShape& delta = shape_.delta;
  const Projection projections[] = {{block.mixed, space_.conv_input},
                                    {block.gate, space_.conv_gate},
                                    {block.alpha, space_.delta_alpha},
                                    {block.beta, space_.delta_beta}};
  NormAndPrepare(team, block.norm);
  if (EndsAt(space_.width)) return;
  Project(team, projections, block.norm);
  const size_t width = delta.mixed();
  team.Phase(RoundUp(width, kBlock) / kBlock, parts_, [&](size_t first, size_t last) {
    const size_t begin = first * kBlock, n = std::min(last * kBlock, width) - begin;
    for (size_t t = 0; t < n_tokens_; ++t) {
      ConvolveToken(block.taps, t, layer, begin, n);
      kernels_.silu(space_.conv_output.Row(t) + begin, n);
    }
    for (size_t t = 0; t < n_tokens_; ++t) KeepInput(t, layer, begin, n);
  });
  const size_t heads = delta.value_heads;
  team.Phase(runs_.size() * heads, parts_, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      RecurHead(team, block, runs_[i / heads], layer, i % heads);
    }
  });
  team.Phase(n_tokens_, parts_, [&](size_t first, size_t last) {
    for (size_t t = first; t < last; ++t) {
      Prepare(space_.conv_gate.Row(t), delta.inner(), space_.convolved, t, 0);
    }
  });
  if (EndsAt(space_.convolved)) return;
  const Vector none;
  AddToResidual(team, block.output, none,
                [&]() -> const Operand& { return space_.convolved; });
}

// The tokens of a sequence that are in this pass, through one head.
void ForwardPass::RecurHead(const Team& team, const DeltaNetBlock& block, const QueryTile& run,
                            size_t layer, size_t head) {
  const DeltaShape& delta = shape_.delta;
  const size_t d = delta.head_dim, key_head = head % delta.key_heads;
  ThreadSpace& own = space_.threads[team.thread()];
  float *query = own.delta.Row(0), *key = own.delta.Row(1), *out = own.delta.Row(2);
  float* state = batch_[run.first].cache->State(layer, head);
  const float eps = 1e-6f / static_cast<float>(d);
  for (size_t t = run.first; t < run.first + run.count; ++t) {
    const float* mixed = space_.conv_output.Row(t);
    const float* keys = mixed + delta.key_heads * d;
    kernels_.rms_norm(mixed + key_head * d, block.query_scale.data(), eps, d, query);
    kernels_.rms_norm(keys + key_head * d, block.key_scale.data(), eps, d, key);
    const DeltaToken token = {
        .query = query,
        .key = key,
        .value = keys + delta.key_heads * d + head * d,
        .decay = Decay(block.decay[head],
                       space_.delta_alpha.Row(t)[head] + block.time_step[head]),
        .beta = Sigmoid(space_.delta_beta.Row(t)[head])};
    kernels_.delta_step(state, token, d, d, out);
    kernels_.rms_norm(out, block.head_norm.data(), shape_.norm_eps, d, query);
    kernels_.swiglu(space_.conv_gate.Row(t) + head * d, query, d);
  }
}

}  // namespace aboard
