// Sequences together, callers at once, forked children: see together.h.
// Expects what together.h says.
// Exactness: logits are compared as bytes.
#include "replay/together.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace aboard {
namespace {

// Tokens [first, last) of a sequence.
struct Stretch {
  KvCache* cache;
  size_t first, last;
};

// Sends the stretches through the model as one batch; ends the program if a logit is another.
void Compute(const Scenario& scenario, const std::vector<Stretch>& stretches, const char* what) {
  std::vector<BatchToken> batch;
  std::vector<size_t> wanted;
  for (const Stretch& each : stretches) {
    for (size_t i = each.first; i < each.last; ++i) {
      wanted.push_back(batch.size());
      batch.push_back({scenario.tokens[i], each.cache, i});
    }
  }
  const size_t vocabulary = scenario.decoder.shape().vocabulary;
  std::vector<float> logits(batch.size() * vocabulary);
  scenario.decoder.Forward(batch, wanted, logits.data());
  for (size_t row = 0; row < batch.size(); ++row) {
    const float* expected = scenario.expected.data() + batch[row].position * vocabulary;
    if (std::memcmp(logits.data() + row * vocabulary, expected, vocabulary * sizeof(float)) != 0) {
      std::fprintf(stderr, "replay: %s: other logits at position %zu\n", what, batch[row].position);
      std::_Exit(1);
    }
  }
}

// All but the last tokens at once, then `n` one by one.
void ComputeAlone(const Scenario& scenario, size_t n, const char* what) {
  const auto cache = scenario.new_cache();
  const size_t end = scenario.tokens.size(), prompt = end - std::min(n, end);
  Compute(scenario, {{cache.get(), 0, prompt}}, what);
  for (size_t i = prompt; i < end; ++i) Compute(scenario, {{cache.get(), i, i + 1}}, what);
}

}  // namespace

void CheckTogether(const Scenario& scenario) {
  constexpr size_t kSequences = 3, kSteps = 8;
  const size_t teams[] = {scenario.threads, 1, scenario.threads + 2, 2};
  std::vector<std::unique_ptr<KvCache>> caches;
  std::vector<Stretch> next;
  for (size_t s = 0; s < kSequences; ++s) {
    caches.push_back(scenario.new_cache());
    const size_t length = scenario.tokens.size() - std::min(scenario.tokens.size(), kSteps + 7 * s);
    Compute(scenario, {{caches.back().get(), 0, length}}, "a prompt");
    next.push_back({caches.back().get(), length, length + 1});
  }
  for (size_t step = 0; step < kSteps; ++step) {
    scenario.decoder.set_threads(teams[step % std::size(teams)]);
    Compute(scenario, next, "sequences together");
    for (Stretch& each : next) each = {each.cache, each.last, each.last + 1};
  }
  scenario.decoder.set_threads(scenario.threads);
}

void CheckCallers(const Scenario& scenario) {
  std::thread other([&] { ComputeAlone(scenario, 4, "another caller"); });
  for (const size_t threads : {scenario.threads + 1, size_t{1}, scenario.threads}) {
    scenario.decoder.set_threads(threads);
    ComputeAlone(scenario, 2, "a caller beside another");
  }
  other.join();
}

void CheckFork(const Scenario& scenario) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    ComputeAlone(scenario, 2, "a forked child");
    std::_Exit(0);
  }
  ComputeAlone(scenario, 2, "the parent of a child");
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
    std::fprintf(stderr, "replay: a forked child failed, status %d\n", status);
    std::_Exit(1);
  }
}

}  // namespace aboard
