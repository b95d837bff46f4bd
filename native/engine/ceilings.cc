// Bandwidth and peak by the clock: the best of several rounds, since others only slow one down.
// Expects an idle machine for true figures.
// Exactness: measurements.
#include "engine/ceilings.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include "engine/pages.h"
#include "engine/pool.h"
#include "isa/kernels.h"

namespace aboard {
namespace {

constexpr int kReadPasses = 2;  // of each pattern: a sample takes about 60 ms
constexpr int kDotPasses = 7;
constexpr size_t kLine = 64;

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Sums a word of every cache line, kStreams stretches at once: the processor's own prefetching
// follows one stretch no faster than 10 to 20 GB/s where four or eight reach 25 (one Zen 3 core).
template <size_t kStreams, size_t kAhead>
uint64_t Sum(const uint8_t* data, size_t size_bytes) {
  const size_t stretch = size_bytes / kStreams / kLine * kLine;
  uint64_t total = 0;
  for (size_t i = 0; i < stretch; i += kLine) {
    for (size_t s = 0; s < kStreams; ++s) {
      const uint8_t* line = data + s * stretch + i;
      if constexpr (kAhead != 0) __builtin_prefetch(line + kAhead);
      uint64_t word;
      std::memcpy(&word, line, sizeof word);
      total += word;
    }
  }
  return total;
}

// The shortest time that `threads` threads took to do work(thread) together, of `passes`.
template <class F>
double BestSeconds(size_t threads, int passes, const F& work) {
  std::barrier meet(static_cast<std::ptrdiff_t>(threads));
  double best = std::numeric_limits<double>::infinity();
  const auto run = [&](size_t thread) {
    for (int pass = 0; pass < passes; ++pass) {
      meet.arrive_and_wait();
      const double began = Seconds();
      work(thread);
      meet.arrive_and_wait();
      if (thread == 0) best = std::min(best, Seconds() - began);
    }
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < threads; ++i) others.emplace_back(run, i);
  run(0);
  for (std::thread& other : others) other.join();
  return best;
}

}  // namespace

ReadProbe::ReadProbe(size_t size_bytes) : pages_(size_bytes) {
  std::memset(pages_.data(), 1, size_bytes);
}

double ReadProbe::BytesPerSecond(size_t threads) const {
  const size_t lines = pages_.size_bytes() / kLine;
  std::atomic<uint64_t> sink{0};
  double best = std::numeric_limits<double>::infinity();
  for (const auto sum : {&Sum<1, 0>, &Sum<4, 1024>, &Sum<8, 512>}) {
    best = std::min(best, BestSeconds(threads, kReadPasses, [&](size_t thread) {
      const auto [first, last] = Share::Of(lines, thread, threads);
      sink += sum(pages_.data() + first * kLine, (last - first) * kLine);
    }));
  }
  return static_cast<double>(lines * kLine) / best;
}

double DotOperationsPerSecond(size_t threads) {
  constexpr size_t kSteps = 200'000;
  const Kernels& kernels = ActiveKernels();
  uint8_t quad[64];
  std::memset(quad, 3, sizeof quad);
  std::atomic<int64_t> sink{0};
  const double best = BestSeconds(
      threads, kDotPasses, [&](size_t) { sink += kernels.dot_loop(kSteps, quad, 0x01020304); });
  return 1024.0 * kSteps * static_cast<double>(threads) / best;
}

}  // namespace aboard
