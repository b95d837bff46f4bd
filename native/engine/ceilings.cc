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

constexpr int kRounds = 7;

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Sums in eight chains, which the compiler makes vectors of: as fast as the memory.
uint64_t Sum(const uint8_t* data, size_t size_bytes) {
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 64 <= size_bytes; i += 64) {
    uint64_t words[8];
    std::memcpy(words, data + i, 64);
    for (int c = 0; c < 8; ++c) sums[c] += words[c];
  }
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

// The shortest time that `threads` threads took to do work(thread) together.
template <class F>
double BestSeconds(size_t threads, const F& work) {
  std::barrier meet(static_cast<std::ptrdiff_t>(threads));
  double best = std::numeric_limits<double>::infinity();
  const auto run = [&](size_t thread) {
    for (int round = 0; round < kRounds; ++round) {
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

double ReadBytesPerSecond(size_t threads, size_t size_bytes) {
  const Pages pages(size_bytes);
  std::memset(pages.data(), 1, size_bytes);
  std::atomic<uint64_t> sink{0};
  const double best = BestSeconds(threads, [&](size_t thread) {
    const auto [first, last] = Share::Of(size_bytes / 64, thread, threads);
    sink += Sum(pages.data() + first * 64, (last - first) * 64);
  });
  return static_cast<double>(size_bytes) / best;
}

double DotOperationsPerSecond(size_t threads) {
  constexpr size_t kSteps = 200'000;
  const Kernels& kernels = ActiveKernels();
  uint8_t quad[64];
  std::memset(quad, 3, sizeof quad);
  std::atomic<int64_t> sink{0};
  const double best = BestSeconds(
      threads, [&](size_t) { sink += kernels.dot_loop(kSteps, quad, 0x01020304); });
  return 1024.0 * kSteps * static_cast<double>(threads) / best;
}

}  // namespace aboard
