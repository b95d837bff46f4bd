// Log-probabilities: the natural logarithm of the softmax of one row of float32 logits.
// Expects no NaN and the row's maximum; -infinity stands for a masked token.
// Exactness: double sums, 16 lanes and one binary tree, own exp and log: the same bits everywhere.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>

#include "engine/scalar_math.h"
#include "isa/kernels.h"

namespace aboard {

// ln(sum of exp(logits - max)) for a finite max.
inline double LogSumExp(std::span<const float> logits, float max) {
  return Log(ActiveKernels().sum_of_exps(logits.data(), max, logits.size()));
}

// Looks up log-probabilities. Logits of +infinity, where there are any, share all the probability.
class LogSoftmax {
 public:
  LogSoftmax(std::span<const float> logits, float max) : max_(max) {
    log_sum_ = max == kInfinity
                   ? Log(static_cast<double>(std::count(logits.begin(), logits.end(), max)))
                   : LogSumExp(logits, max);
  }

  float operator()(float logit) const {
    if (logit == max_) return static_cast<float>(0.0 - log_sum_);
    if (max_ == kInfinity) return -kInfinity;
    return static_cast<float>((static_cast<double>(logit) - max_) - log_sum_);
  }

 private:
  static constexpr float kInfinity = std::numeric_limits<float>::infinity();
  float max_;
  double log_sum_;
};

}  // namespace aboard
