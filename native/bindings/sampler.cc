// Python's way to the sampler: checks every argument, lets the GIL go, hands back plain values.
// Expects contiguous float32 logits (V,) and int32 ids; anything else is a TypeError by nanobind.
// Exactness: adds nothing to engine/sampler.h. A refused value is a ValueError that says why.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "engine/float_environment.h"
#include "engine/philox.h"
#include "engine/sampler.h"
#include "engine/scalar_math.h"

namespace aboard {
namespace {

template <typename T>
using Vector = Array<T, 1>;
using Bias = std::pair<Vector<int32_t>, Vector<double>>;

template <typename T>
std::span<const T> AsSpan(const Vector<T>& v) {
  return {v.data(), v.shape(0)};
}

// The buffers stay with the thread: a fresh mapping per token costs more than the draw itself.
SamplerScratch& ThreadScratch() {
  thread_local SamplerScratch scratch;
  return scratch;
}

void CheckLogits(std::span<const float> logits) {
  if (logits.empty() || logits.size() > kMaxVocabulary) {
    Refuse("found " + std::to_string(logits.size()) + " logits, expected 1 to " +
           std::to_string(kMaxVocabulary));
  }
}

void CheckIds(const char* what, std::span<const int32_t> ids, size_t vocabulary) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && static_cast<size_t>(ids[i]) < vocabulary) continue;
    Refuse(std::string(what) + " holds token " + std::to_string(ids[i]) + " at " +
           std::to_string(i) + ", expected 0 to " + std::to_string(vocabulary - 1));
  }
}

void CheckBias(std::span<const int32_t> ids, std::span<const double> values, size_t vocabulary) {
  if (ids.size() != values.size()) {
    Refuse("logit_bias holds " + std::to_string(ids.size()) + " ids and " +
           std::to_string(values.size()) + " values, expected as many of both");
  }
  CheckIds("logit_bias", ids, vocabulary);
  for (const double value : values) {
    if (!(value < HUGE_VAL)) Refuse("logit_bias holds NaN or +infinity");
  }
}

// What the sampler relies on; the ranges that users meet are checked, with better words, in
// aboard.engine.sampling.
void CheckParams(const SamplerParams& p) {
  const bool sound = p.temperature >= 0.0 && p.temperature < HUGE_VAL && p.top_k >= 0 &&
                     p.top_p >= 0.0 && p.top_p <= 1.0 && p.min_p >= 0.0 && p.min_p <= 1.0 &&
                     p.repetition_penalty > 0.0 && p.repetition_penalty < HUGE_VAL &&
                     std::abs(p.presence_penalty) < HUGE_VAL &&
                     std::abs(p.frequency_penalty) < HUGE_VAL;
  if (!sound) Refuse("a sampling parameter is out of its range");
}

constexpr char kNanMessage[] = "a logit is NaN, expected numbers or -infinity";
constexpr char kMaskedMessage[] = "every token is masked (all logits are -infinity)";

std::pair<int32_t, float> SamplePy(const Vector<float>& logits, double temperature, int32_t top_k,
                                   double top_p, double min_p, double repetition_penalty,
                                   double presence_penalty, double frequency_penalty,
                                   uint64_t seed, uint64_t position,
                                   const Vector<int32_t>& context,
                                   const std::optional<Bias>& logit_bias, size_t n_prompt,
                                   bool logprob,
                                   const std::optional<Vector<uint32_t>>& allowed) {
  SamplerParams params{.allowed = {},
                       .temperature = temperature,
                       .top_k = top_k,
                       .top_p = top_p,
                       .min_p = min_p,
                       .repetition_penalty = repetition_penalty,
                       .presence_penalty = presence_penalty,
                       .frequency_penalty = frequency_penalty,
                       .seed = seed,
                       .bias_ids = {},
                       .bias_values = {},
                       .n_prompt = n_prompt,
                       .want_logprob = logprob};
  const std::span<const float> row = AsSpan(logits);
  const std::span<const int32_t> seen = AsSpan(context);
  if (logit_bias) {
    params.bias_ids = AsSpan(logit_bias->first);
    params.bias_values = AsSpan(logit_bias->second);
  }
  if (allowed) params.allowed = AsSpan(*allowed);
  Draw draw;
  {
    const nb::gil_scoped_release unlocked;
    const DefaultFloats floats;
    CheckLogits(row);
    CheckParams(params);
    CheckIds("context", seen, row.size());
    CheckBias(params.bias_ids, params.bias_values, row.size());
    if (allowed && params.allowed.size() != (row.size() + 31) / 32) {
      Refuse("found " + std::to_string(params.allowed.size()) + " words of allowed tokens, expected " +
             std::to_string((row.size() + 31) / 32));
    }
    draw = Sample(row, params, seen, position, ThreadScratch());
  }
  if (draw.token == kNanLogit) Refuse(kNanMessage);
  if (draw.token == kNothingToDraw) Refuse(kMaskedMessage);
  return {draw.token, draw.logprob};
}

std::pair<NumpyArray<int32_t, 1>, NumpyArray<float, 1>> TopLogprobsPy(const Vector<float>& logits,
                                                                  size_t n) {
  const std::span<const float> row = AsSpan(logits);
  CheckLogits(row);
  if (n > row.size()) {
    Refuse("asked for " + std::to_string(n) + " log-probabilities of " +
           std::to_string(row.size()) + " tokens");
  }
  auto tokens = NewArray<int32_t, 1>({n});
  auto logprobs = NewArray<float, 1>({n});
  bool ok = false;
  {
    const nb::gil_scoped_release unlocked;
    const DefaultFloats floats;
    ok = TopLogprobs(row, {tokens.data(), n}, {logprobs.data(), n}, ThreadScratch());
  }
  if (!ok) Refuse("the logits hold NaN, or all of them are -infinity");
  return {tokens, logprobs};
}

std::vector<double> MapScalars(const std::vector<double>& xs, double (*function)(double)) {
  std::vector<double> out(xs.size());
  std::transform(xs.begin(), xs.end(), out.begin(), function);
  return out;
}

double ExpOfOne(double x) {
  double one[] = {x};
  ExpOfNonPositive(one);
  return one[0];
}

}  // namespace

void BindSampler(nb::module_& m) {
  m.def("sample", &SamplePy, nb::arg("logits"), nb::kw_only(), nb::arg("temperature"),
        nb::arg("top_k"), nb::arg("top_p"), nb::arg("min_p"), nb::arg("repetition_penalty"),
        nb::arg("presence_penalty"), nb::arg("frequency_penalty"), nb::arg("seed"),
        nb::arg("position"), nb::arg("context"), nb::arg("logit_bias").none() = nb::none(),
        nb::arg("n_prompt") = 0, nb::arg("logprob") = true, nb::arg("allowed").none() = nb::none(),
        "(token, log-probability) drawn from (V,) float32 logits; see aboard.engine.sampling.");
  m.def("top_logprobs", &TopLogprobsPy, nb::arg("logits"), nb::arg("n"),
        "The n likeliest tokens, (n,) int32, and their log-probabilities, (n,) float32.");
  // The arithmetic below the sampler, for the tests.
  m.def(
      "philox4x32",
      [](uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0,
         uint32_t k1) {
        const PhiloxCounter out = Philox4x32({c0, c1, c2, c3}, {k0, k1});
        return std::tuple(out[0], out[1], out[2], out[3]);
      },
      "Philox4x32-10 of four counter words and two key words.");
  m.def(
      "scalar_exp", [](const std::vector<double>& xs) { return MapScalars(xs, &Exp); },
      "e^x of each, by the engine's own arithmetic.");
  m.def(
      "scalar_exp_of_non_positive",
      [](const std::vector<double>& xs) { return MapScalars(xs, &ExpOfOne); },
      "e^x of each x <= 0, as the softmax takes it (e^-700 below -700).");
  m.def(
      "scalar_log", [](const std::vector<double>& xs) { return MapScalars(xs, &Log); },
      "ln x of each, by the engine's own arithmetic.");
}

}  // namespace aboard
