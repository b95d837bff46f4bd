// Bandwidth and peak by the clock: the best of several rounds, since others only slow one down.
// Expects an idle machine for true figures.
// Exactness: measurements.
#include "engine/ceilings.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>

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

}  // namespace

double ReadBytesPerSecond(size_t threads, size_t size_bytes) {
  const Pages pages(size_bytes);
  std::memset(pages.data(), 1, size_bytes);
  Pool pool(threads);
  std::atomic<uint64_t> sink{0};
  double best = 0.0;
  for (int round = 0; round < kRounds; ++round) {
    double elapsed = 0.0;
    pool.Run([&](const Team& team) {
      const auto [first, last] = team.Share(size_bytes / 64);
      team.Meet();
      const double began = Seconds();
      sink += Sum(pages.data() + first * 64, (last - first) * 64);
      team.Meet();
      if (team.thread() == 0) elapsed = Seconds() - began;
    });
    best = std::max(best, static_cast<double>(size_bytes) / elapsed);
  }
  return best;
}

double DotOperationsPerSecond(size_t threads) {
  constexpr size_t kSteps = 200'000;
  const Kernels& kernels = ActiveKernels();
  uint8_t quad[64];
  std::memset(quad, 3, sizeof quad);
  Pool pool(threads);
  std::atomic<int64_t> sink{0};
  double best = 0.0;
  for (int round = 0; round < kRounds; ++round) {
    double elapsed = 0.0;
    pool.Run([&](const Team& team) {
      team.Meet();
      const double began = Seconds();
      sink += kernels.dot_loop(kSteps, quad, 0x01020304);
      team.Meet();
      if (team.thread() == 0) elapsed = Seconds() - began;
    });
    best = std::max(best, 1024.0 * kSteps * static_cast<double>(threads) / elapsed);
  }
  return best;
}

}  // namespace aboard
