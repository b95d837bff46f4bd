// Philox4x32-10, a counter-based random function: 128 counter bits and 64 key bits give 128 random
// bits, no state (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// Exactness: integers only; equals the known-answer vectors published with Random123.
#pragma once

#include <array>
#include <cstdint>

namespace aboard {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

inline constexpr PhiloxCounter Philox4x32(PhiloxCounter c, PhiloxKey key) noexcept {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * c[0];
    const uint64_t b = uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ key[0], static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ c[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return c;
}

// What a random number is for: its own counter word, so that a later use of the same seed and
// position (speculation, say) never repeats the numbers of another.
enum class RandomPurpose : uint32_t { kDraw = 0 };

// 64 random bits that depend on the three arguments and nothing else.
inline constexpr uint64_t RandomBits(uint64_t seed, uint64_t position,
                                     RandomPurpose purpose = RandomPurpose::kDraw) noexcept {
  const PhiloxCounter words =
      Philox4x32({static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32),
                  static_cast<uint32_t>(purpose), 0},
                 {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return uint64_t{words[1]} << 32 | words[0];
}

}  // namespace aboard
