// Short convolutions: each column of a layer's inputs over the last few tokens, between two gates.
// Expects a Workspace that was reserved for the batch.
// Exactness: parts are columns; a sum begins with 0 and takes the oldest input first.
#include <algorithm>

#include "engine/forward.h"
#include "engine/packing.h"

namespace aboard {

// A part is made of blocks of 32 columns, as in FeedForward. It has its columns of all tokens to
// itself, in the caches, too: what earlier tokens left there is read before it is overwritten.
void ForwardPass::Convolve(Team& team, const ShortConvBlock& block, size_t layer) {
  NormAndPrepare(team, block.norm);
  if (EndsAt(space_.width)) return;
  const size_t width = shape_.width;
  team.Phase(RoundUp(width, kBlock) / kBlock, parts_, [&](size_t first, size_t last) {
    const Operand& x = Normed(team, block.norm);
    const size_t from = first * 2, to = std::min(last * 2, PanelsOf(width));
    Multiply(team, block.in_gate, from, to, x, space_.conv_input);
    Multiply(team, block.out_gate, from, to, x, space_.conv_gate);
    Multiply(team, block.input, from, to, x, space_.conv_output);
    const size_t begin = first * kBlock, n = std::min(last * kBlock, width) - begin;
    for (size_t t = 0; t < n_tokens_; ++t) {
      kernels_.multiply(space_.conv_input.Row(t) + begin, space_.conv_output.Row(t) + begin, n);
    }
    for (size_t t = 0; t < n_tokens_; ++t) {
      ConvolveToken(block.taps, t, layer, begin, n);
      kernels_.multiply(space_.conv_output.Row(t) + begin, space_.conv_gate.Row(t) + begin, n);
      Prepare(space_.conv_output.Row(t) + begin, n, space_.convolved, t, first);
    }
    for (size_t t = 0; t < n_tokens_; ++t) KeepInput(t, layer, begin, n);
  });
  if (EndsAt(space_.convolved)) return;
  const Vector none;
  AddToResidual(team, block.output, none,
                [&]() -> const Operand& { return space_.convolved; });
}

// The input of a token of the same sequence, so many before this one; nullptr before the first.
const float* ForwardPass::InputBefore(size_t token, size_t distance, size_t layer) const {
  const BatchToken& own = batch_[token];
  if (distance > own.position) return nullptr;
  if (distance <= token && batch_[token - distance].cache == own.cache) {
    return space_.conv_input.Row(token - distance);
  }
  return own.cache->RecentInput(layer, own.position - distance);
}

void ForwardPass::ConvolveToken(const Vector& taps, size_t token, size_t layer, size_t begin,
                                size_t n) {
  float* out = space_.conv_output.Row(token) + begin;
  std::fill_n(out, n, 0.0f);
  for (size_t tap = 0; tap < shape_.conv_taps; ++tap) {
    const float* input = InputBefore(token, shape_.conv_taps - 1 - tap, layer);
    if (input == nullptr) continue;  // zeros, which change no sum that began with 0
    kernels_.add_product(out, taps.data() + tap * shape_.conv_width + begin, input + begin, n);
  }
}

// For the tokens that come later, and at the end of a chunk for those of other sequences.
void ForwardPass::KeepInput(size_t token, size_t layer, size_t begin, size_t n) {
  const BatchToken& own = batch_[token];
  const float* input = space_.conv_input.Row(token) + begin;
  const size_t later = token + kRecentTokens;
  if (later >= n_tokens_ || batch_[later].cache != own.cache) {
    std::copy_n(input, n, own.cache->RecentInput(layer, own.position) + begin);
  }
  if (!own.cache->shape().keeps_ends()) return;
  if (own.position % kKeyChunk < kKeyChunk - (shape_.conv_taps - 1)) return;
  std::copy_n(input, n, own.cache->EndInput(layer, own.position) + begin);
}

}  // namespace aboard
