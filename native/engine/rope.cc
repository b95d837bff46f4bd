// Rotary position embedding, see the header.
// Expects finite frequencies.
// Exactness: +, -, * in a fixed order; no contraction to FMA (-ffp-contract=off).
#include "engine/rope.h"

#include "engine/scalar_math.h"

namespace aboard {

std::vector<double> RopeFrequencies(double base, size_t rotated_dims,
                                    std::span<const double> factors, double scale) {
  std::vector<double> frequencies(rotated_dims / 2);
  const double step = -2.0 * Log(base) / static_cast<double>(rotated_dims);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double plain = Exp(static_cast<double>(i) * step);
    frequencies[i] = (factors.empty() ? plain : plain / factors[i]) * scale;
  }
  return frequencies;
}

void RopeAngles(std::span<const double> frequencies, size_t position, double factor,
                float* angles) {
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const SinCos both = SinAndCos(static_cast<double>(position) * frequencies[i]);
    angles[2 * i] = static_cast<float>(factor * both.cos);
    angles[2 * i + 1] = static_cast<float>(factor * both.sin);
  }
}

void Rotate(float* head, const float* angles, size_t n_pairs, RopePairs pairs) {
  const size_t step = pairs == RopePairs::kAdjacent ? 2 : 1;
  const size_t apart = pairs == RopePairs::kAdjacent ? 1 : n_pairs;
  for (size_t i = 0; i < n_pairs; ++i) {
    const float cos = angles[2 * i], sin = angles[2 * i + 1];
    const float a = head[i * step], b = head[i * step + apart];
    head[i * step] = a * cos - b * sin;
    head[i * step + apart] = a * sin + b * cos;
  }
}

}  // namespace aboard
