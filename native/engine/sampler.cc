// Chooses the next token from one row of logits: see sampler.h for the steps and their order.
// Expects arguments that the binding has checked (ids within V, V <= 2^20, V > 0).
// Exactness: integer sums, own exp and log, one total order: the same bits everywhere.
#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>

#include "engine/log_softmax.h"
#include "engine/philox.h"
#include "engine/scalar_math.h"
#include "engine/token_order.h"

namespace aboard {
namespace {

using Candidate = SamplerScratch::Candidate;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The weight of the highest logit. 2^20 weights of 2^42 stay within 62 bits.
constexpr double kUnit = 0x1p42;

// High half of the 128-bit product.
uint64_t MultiplyHigh(uint64_t a, uint64_t b) {
  const uint64_t a_low = a & 0xffffffffu, a_high = a >> 32;
  const uint64_t b_low = b & 0xffffffffu, b_high = b >> 32;
  const uint64_t middle = a_high * b_low + ((a_low * b_low) >> 32);
  const uint64_t carry = a_low * b_high + (middle & 0xffffffffu);
  return a_high * b_high + (middle >> 32) + (carry >> 32);
}

bool ChangesLogits(const SamplerParams& params, std::span<const int32_t> context) {
  return !params.allowed.empty() || !params.bias_ids.empty() ||
         (!context.empty() &&
          (params.repetition_penalty != 1.0 || params.presence_penalty != 0.0 ||
           params.frequency_penalty != 0.0));
}

void ApplyRepetition(std::span<float> logits, double penalty, std::span<const int32_t> context,
                     std::vector<int32_t>& counts) {
  for (const int32_t id : context) {
    if (counts[id]++ > 0) continue;
    const double l = logits[id];
    logits[id] = static_cast<float>(l < 0.0 ? l * penalty : l / penalty);
  }
  for (const int32_t id : context) counts[id] = 0;
}

void ApplyOccurrence(std::span<float> logits, double frequency, double presence,
                     std::span<const int32_t> generated, std::vector<int32_t>& counts) {
  for (const int32_t id : generated) ++counts[id];
  for (const int32_t id : generated) {
    if (counts[id] == 0) continue;  // seen already
    logits[id] = static_cast<float>((logits[id] - counts[id] * frequency) - presence);
    counts[id] = 0;
  }
}

void KeepAllowed(std::span<const uint32_t> allowed, std::span<float> logits) {
  for (size_t i = 0; i < logits.size(); i += 32) {
    const uint32_t word = allowed[i / 32];
    const size_t n = std::min<size_t>(32, logits.size() - i);
    for (size_t j = 0; j < n; ++j) {
      logits[i + j] = (word >> j & 1) != 0 ? logits[i + j] : -kInfinity;
    }
  }
}

// Steps 0 to 3 of sampler.h, on a copy.
void Adjust(std::span<const float> raw, const SamplerParams& params,
            std::span<const int32_t> context, SamplerScratch& scratch) {
  std::vector<float>& logits = scratch.adjusted;
  logits.assign(raw.begin(), raw.end());
  if (!params.allowed.empty()) KeepAllowed(params.allowed, logits);
  for (size_t i = 0; i < params.bias_ids.size(); ++i) {
    float& l = logits[params.bias_ids[i]];
    // A forbidden token is masked even at +infinity, but NaN stays NaN.
    const bool forbidden = params.bias_values[i] == -kInfinity && l == l;
    l = forbidden ? -kInfinity : static_cast<float>(l + params.bias_values[i]);
  }
  if (scratch.counts.size() < raw.size()) scratch.counts.resize(raw.size(), 0);
  if (params.repetition_penalty != 1.0) {
    ApplyRepetition(logits, params.repetition_penalty, context, scratch.counts);
  }
  if (params.presence_penalty != 0.0 || params.frequency_penalty != 0.0) {
    ApplyOccurrence(logits, params.frequency_penalty, params.presence_penalty,
                    context.subspan(std::min(params.n_prompt, context.size())), scratch.counts);
  }
}

// round(2^42 * exp((logit - max) / temperature)).
void ComputeWeights(std::span<const float> logits, float max, double temperature,
                    std::vector<uint64_t>& weights) {
  constexpr size_t kLanes = 16;
  weights.resize(logits.size());
  for (size_t i = 0; i < logits.size(); i += kLanes) {
    double x[kLanes];
    const size_t n = std::min(kLanes, logits.size() - i);
    std::fill(x + n, x + kLanes, 0.0);
    for (size_t j = 0; j < n; ++j) {
      x[j] = (static_cast<double>(logits[i + j]) - max) / temperature;
    }
    ExpOfNonPositive(x);
    for (size_t j = 0; j < n; ++j) {
      // Adding 2^52 rounds to an integer (half to even) in the mantissa, where it is read.
      weights[i + j] =
          std::bit_cast<uint64_t>(x[j] * kUnit + 0x1p52) - std::bit_cast<uint64_t>(0x1p52);
    }
  }
}

uint64_t Sum(const std::vector<uint64_t>& weights) {
  uint64_t sum = 0;
  for (const uint64_t w : weights) sum += w;
  return sum;
}

uint64_t CeilToInteger(double x) {  // 0 <= x < 2^63
  const auto whole = static_cast<int64_t>(x);
  return static_cast<uint64_t>(whole) + (static_cast<double>(whole) < x ? 1 : 0);
}

// The rank at which the weights, taken from the first candidate on, reach `need`: a quickselect
// that sums the upper half and goes on in the half where the answer lies.
uint64_t RankAtMass(std::vector<Candidate>& candidates, uint64_t need) {
  const auto first = [](const Candidate& a, const Candidate& b) { return a.rank > b.rank; };
  size_t low = 0, high = candidates.size();
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    std::nth_element(candidates.begin() + low, candidates.begin() + middle,
                     candidates.begin() + high, first);
    uint64_t mass = 0;
    for (size_t i = low; i < middle; ++i) mass += candidates[i].weight;
    if (mass >= need) {
      high = middle;
    } else {
      need -= mass;
      low = middle;
    }
  }
  return candidates[low].rank;
}

// Sets to 0 the weights outside the nucleus. Tokens that are out for certain are never ordered:
// all those of weight below (1 - top_p) * total / n weigh less than 1 - top_p together. (A half of
// that bound, as two neighbours in the order may round to weights that differ by one.)
void KeepNucleus(std::span<const float> logits, double top_p, std::vector<uint64_t>& weights,
                 std::vector<Candidate>& candidates) {
  const auto total = static_cast<double>(static_cast<int64_t>(Sum(weights)));
  const uint64_t need = std::max<uint64_t>(1, CeilToInteger(top_p * total));
  const double share = (1.0 - top_p) * total / static_cast<double>(weights.size());
  const uint64_t bound = std::max<uint64_t>(1, static_cast<uint64_t>(share / 2));
  candidates.clear();
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] < bound) continue;
    candidates.push_back({Rank(logits[i], static_cast<uint32_t>(i)), weights[i]});
  }
  const uint64_t last = RankAtMass(candidates, need);
  const uint32_t last_id = IdOfRank(last);
  const float last_logit = logits[last_id];
  for (size_t i = 0; i < weights.size(); ++i) {
    const bool out = logits[i] < last_logit || (logits[i] == last_logit && i > last_id);
    weights[i] = out ? 0 : weights[i];
  }
}

void DropBelow(uint64_t bound, std::vector<uint64_t>& weights) {
  for (uint64_t& w : weights) w = w < bound ? 0 : w;
}

size_t PickByWeight(const std::vector<uint64_t>& weights, uint64_t random) {
  uint64_t left = MultiplyHigh(random, Sum(weights));
  size_t i = 0;
  while (left >= weights[i]) left -= weights[i++];
  return i;
}

// Steps 4 to 8 at a temperature above 0. `logits` has a finite maximum.
int32_t DrawWeighted(std::span<const float> logits, float max, const SamplerParams& params,
                     uint64_t position, SamplerScratch& scratch) {
  std::span<const float> pool = logits;
  std::vector<int32_t>& ids = scratch.pool_ids;
  ids.clear();
  if (params.top_k > 0 && static_cast<size_t>(params.top_k) < logits.size()) {
    SelectTop(logits, scratch.block_max, static_cast<size_t>(params.top_k), scratch.block_sorted,
              scratch.ranks);
    for (const uint64_t rank : scratch.ranks) ids.push_back(static_cast<int32_t>(IdOfRank(rank)));
    std::sort(ids.begin(), ids.end());
    scratch.pool_logits.clear();
    for (const int32_t id : ids) scratch.pool_logits.push_back(logits[id]);
    pool = scratch.pool_logits;
  }
  ComputeWeights(pool, max, params.temperature, scratch.weights);
  if (params.top_p < 1.0) KeepNucleus(pool, params.top_p, scratch.weights, scratch.candidates);
  if (params.min_p > 0.0) DropBelow(CeilToInteger(params.min_p * kUnit), scratch.weights);
  const size_t at = PickByWeight(scratch.weights, RandomBits(params.seed, position));
  return ids.empty() ? static_cast<int32_t>(at) : ids[at];
}

// Where logits of +infinity stand, they alone can be drawn, each alike.
Peak ReplaceInfinities(std::span<const float> logits, SamplerScratch& scratch) {
  if (scratch.adjusted.data() != logits.data()) {
    scratch.adjusted.assign(logits.begin(), logits.end());
  }
  for (float& l : scratch.adjusted) l = l == kInfinity ? 0.0f : -kInfinity;
  return FindPeak(scratch.adjusted, scratch.block_max);
}

}  // namespace

Draw Sample(std::span<const float> raw, const SamplerParams& params,
            std::span<const int32_t> context, uint64_t position, SamplerScratch& scratch) {
  constexpr float kNotWanted = std::numeric_limits<float>::quiet_NaN();
  std::span<const float> logits = raw;
  float raw_max = 0.0f;
  if (ChangesLogits(params, context)) {
    const Peak raw_peak = FindPeak(raw, scratch.block_max);
    if (raw_peak.has_nan) return {kNanLogit, kNotWanted};
    raw_max = raw_peak.max;
    Adjust(raw, params, context, scratch);
    logits = scratch.adjusted;
  }
  Peak peak = FindPeak(logits, scratch.block_max);
  if (peak.has_nan) return {kNanLogit, kNotWanted};
  if (peak.max == -kInfinity) return {kNothingToDraw, kNotWanted};
  if (logits.data() == raw.data()) raw_max = peak.max;

  Draw draw{0, kNotWanted};
  if (!(params.temperature > 0.0)) {
    draw.token = FirstAt(logits, scratch.block_max, peak.max);
  } else {
    if (peak.max == kInfinity) {
      peak = ReplaceInfinities(logits, scratch);
      logits = scratch.adjusted;
    }
    draw.token = DrawWeighted(logits, peak.max, params, position, scratch);
  }
  if (params.want_logprob) draw.logprob = LogSoftmax(raw, raw_max)(raw[draw.token]);
  return draw;
}

bool TopLogprobs(std::span<const float> logits, std::span<int32_t> tokens,
                 std::span<float> logprobs, SamplerScratch& scratch) {
  const Peak peak = FindPeak(logits, scratch.block_max);
  if (peak.has_nan || peak.max == -kInfinity) return false;
  if (tokens.empty()) return true;
  SelectTop(logits, scratch.block_max, tokens.size(), scratch.block_sorted, scratch.ranks);
  std::sort(scratch.ranks.begin(), scratch.ranks.end(), std::greater<>());
  const LogSoftmax log_softmax(logits, peak.max);
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<int32_t>(IdOfRank(scratch.ranks[i]));
    logprobs[i] = log_softmax(logits[tokens[i]]);
  }
  return true;
}

}  // namespace aboard
