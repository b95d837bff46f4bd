// Rotary position embedding (arXiv:2104.09864): angles in double precision, rotation in float32.
// Expects heads of float32; the first 2 * frequencies.size() values of a head are rotated.
// Exactness: own exp, log, sin and cos (engine/scalar_math.h): the same bits everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace aboard {

enum class RopePairs : uint8_t {
  kAdjacent,  // values 2i and 2i + 1 form a pair
  kHalves,    // values i and i + n/2
};

// base^(-2i / rotated_dims) / factors[i] * scale, for i in [0, rotated_dims / 2); no factors: 1.
std::vector<double> RopeFrequencies(double base, size_t rotated_dims,
                                    std::span<const double> factors, double scale);

// Which values of a head turn together, how far at each position, and what they grow by.
struct Rope {
  RopePairs pairs;
  std::vector<double> frequencies;
  double factor = 1.0;
};

// factor * cos and sin of position * frequency, interleaved: (frequencies.size(), 2) float32.
void RopeAngles(std::span<const double> frequencies, size_t position, double factor,
                float* angles);

// Rotates one head in place.
void Rotate(float* head, const float* angles, size_t n_pairs, RopePairs pairs);

}  // namespace aboard
