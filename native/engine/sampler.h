// Chooses the next token from one row of logits, and reports log-probabilities.
// Expects: logits (V,) float32 with V <= 2^20, -infinity where a token is masked.
// Exactness: the same bits on every CPU and compiler. Weights are fixed point (42 bits), so that
// their sums are integers and exact in any order; ties go to the lower id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace aboard {

inline constexpr size_t kMaxVocabulary = size_t{1} << 20;

// Applied in this order (each field's neutral value switches its step off):
//   0. tokens that aren't `allowed` are masked
//   1. logit + bias                                     (bias -infinity forbids a token)
//   2. repetition penalty, every token in the context: l < 0 ? l * penalty : l / penalty
//   3. l - count * frequency - (count > 0) * presence, counts over the context after the prompt
//   4. temperature: 0 takes the highest logit; else w = exp((l - max) / temperature)
//   5. top_k: the k highest logits
//   6. top_p: of those, the fewest highest whose weights reach top_p of their sum (at least one)
//   7. min_p: weights of at least min_p times the highest
//   8. draw: one random integer below the sum, walked over what is left in order of token id
struct SamplerParams {
  std::span<const uint32_t> allowed;  // V bits, token t in word t / 32 from the lowest; empty: all
  double temperature = 0.0;
  int32_t top_k = 0;  // 0: off
  double top_p = 1.0;
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  double presence_penalty = 0.0;
  double frequency_penalty = 0.0;
  uint64_t seed = 0;
  std::span<const int32_t> bias_ids;    // in [0, V), as many as bias_values
  std::span<const double> bias_values;  // finite or -infinity
  size_t n_prompt = 0;                  // leading context tokens that steps 3 doesn't count
  bool want_logprob = true;             // costs one exp per token of the vocabulary
};

inline constexpr int32_t kNanLogit = -1;       // Draw.token where a logit is NaN
inline constexpr int32_t kNothingToDraw = -2;  // Draw.token where every token is masked

struct Draw {
  int32_t token;   // or one of the two above
  float logprob;   // ln of the softmax of the raw logits at `token`; NaN unless wanted
};

// Buffers that grow to the vocabulary and are reused; one per thread, of no meaning between calls.
struct SamplerScratch {
  struct Candidate {
    uint64_t rank;  // see token_order.h
    uint64_t weight;
  };
  std::vector<float> adjusted, block_max, block_sorted, pool_logits;
  std::vector<int32_t> counts, pool_ids;  // counts is all zero between calls
  std::vector<uint64_t> ranks, weights;
  std::vector<Candidate> candidates;
};

// The token at `position` (its index in the sequence, the prompt included). `context`: the tokens
// before it, all in [0, V); the penalties alone look at it. The draw depends on the arguments only.
Draw Sample(std::span<const float> logits, const SamplerParams& params,
            std::span<const int32_t> context, uint64_t position, SamplerScratch& scratch);

// The tokens.size() <= V most likely tokens (ties: lower id first) and the natural logarithms of
// their softmax; tokens and logprobs are of one size. False where a logit is NaN or all are masked.
bool TopLogprobs(std::span<const float> logits, std::span<int32_t> tokens,
                 std::span<float> logprobs, SamplerScratch& scratch);

}  // namespace aboard
