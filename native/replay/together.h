// What several threads, sequences, callers and processes do at once, checked against one sequence
// that was computed alone: for the sanitizers, which see only what runs.
// Expects a decoder nobody else uses, and logits (n, V) of the `tokens` in order.
// Exactness: every logit must be the same, byte for byte; the program ends where one isn't.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/decoder.h"

namespace aboard {

struct Scenario {
  Decoder& decoder;
  std::function<std::unique_ptr<KvCache>()> new_cache;  // with room for all tokens
  const std::vector<int32_t>& tokens;
  const std::vector<float>& expected;
  size_t threads;
};

// Three sequences of different lengths decode together, on a team that grows and shrinks between
// their steps.
void CheckTogether(const Scenario& scenario);

// Two callers share the decoder while the number of threads changes.
void CheckCallers(const Scenario& scenario);

// A forked child goes on with the model, and so does its parent.
void CheckFork(const Scenario& scenario);

}  // namespace aboard
