// What rows of logits say of the tokens that followed: losses in nats, top tokens, KL divergence.
// Expects rows of one vocabulary and tokens within it.
// Exactness: kernels/scoring-inl.h and own log: the same bits everywhere; equal rows diverge by 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "engine/scalar_math.h"
#include "isa/kernels.h"

namespace aboard {

// The loss is NaN and the top token -1 where a logit isn't finite.
struct RowScore {
  double loss = std::numeric_limits<double>::quiet_NaN();
  int32_t top = -1;
};

inline double LossOf(float logit, float max, double log_sum) {
  return log_sum - (static_cast<double>(logit) - max);
}

inline RowScore ScoreRow(const Kernels& kernels, const float* logits, size_t n, int32_t token) {
  const LogitPeak peak = kernels.peak(logits, n);
  if (peak.at < 0) return {};
  const double log_sum = Log(kernels.sum_of_exps(logits, peak.max, n));
  return {LossOf(logits[token], peak.max, log_sum), peak.at};
}

// Of a reference p and a model q; the divergence is KL(p || q) in nats.
struct PairScore {
  RowScore p, q;
  double divergence = std::numeric_limits<double>::quiet_NaN();
};

inline PairScore ScorePair(const Kernels& kernels, const float* p, const float* q, size_t n,
                           int32_t token) {
  const LogitPeak p_peak = kernels.peak(p, n), q_peak = kernels.peak(q, n);
  PairScore score;
  score.p.top = p_peak.at;
  score.q.top = q_peak.at;
  if (p_peak.at < 0 || q_peak.at < 0) return score;
  const DivergenceSums sums = kernels.divergence(p, p_peak.max, q, q_peak.max, n);
  const double p_log = Log(sums.p), q_log = Log(sums.q);
  score.p.loss = LossOf(p[token], p_peak.max, p_log);
  score.q.loss = LossOf(q[token], q_peak.max, q_log);
  score.divergence = sums.distance / sums.p - (p_log - q_log);
  return score;
}

}  // namespace aboard
