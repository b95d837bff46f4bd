// Python's way to the scores of rows of logits.
// Expects contiguous float32 rows and int32 tokens.
// Exactness: adds nothing to engine/row_scores.h.
#include <string>

#include "bindings/bindings.h"
#include "engine/float_environment.h"
#include "engine/row_scores.h"

namespace aboard {
namespace {

void CheckTokens(const Array<int32_t, 1>& tokens, size_t rows, size_t vocabulary) {
  if (tokens.shape(0) != rows) {
    Refuse(std::to_string(tokens.shape(0)) + " tokens for " + std::to_string(rows) + " rows");
  }
  for (size_t i = 0; i < rows; ++i) {
    const int32_t token = tokens.data()[i];
    if (token < 0 || static_cast<size_t>(token) >= vocabulary) {
      Refuse("token " + std::to_string(token) + " is not in the vocabulary of " +
             std::to_string(vocabulary));
    }
  }
}

// (losses, top tokens).
nb::tuple ScoreRows(const Array<float, 2>& logits, const Array<int32_t, 1>& tokens) {
  const size_t rows = logits.shape(0), n = logits.shape(1);
  CheckTokens(tokens, rows, n);
  auto losses = NewArray<double, 1>({rows});
  auto tops = NewArray<int32_t, 1>({rows});
  {
    const nb::gil_scoped_release unlocked;
    const DefaultFloats floats;
    const Kernels& kernels = ActiveKernels();
    for (size_t i = 0; i < rows; ++i) {
      const RowScore score = ScoreRow(kernels, logits.data() + i * n, n, tokens.data()[i]);
      losses.data()[i] = score.loss;
      tops.data()[i] = score.top;
    }
  }
  return nb::make_tuple(losses, tops);
}

// (losses and top tokens of the reference, those of the model, KL divergences).
nb::tuple CompareRows(const Array<float, 2>& reference, const Array<float, 2>& logits,
                      const Array<int32_t, 1>& tokens) {
  const size_t rows = logits.shape(0), n = logits.shape(1);
  if (reference.shape(0) != rows || reference.shape(1) != n) {
    Refuse("the logits of reference and model differ in shape");
  }
  CheckTokens(tokens, rows, n);
  auto p_losses = NewArray<double, 1>({rows}), q_losses = NewArray<double, 1>({rows});
  auto divergences = NewArray<double, 1>({rows});
  auto p_tops = NewArray<int32_t, 1>({rows}), q_tops = NewArray<int32_t, 1>({rows});
  {
    const nb::gil_scoped_release unlocked;
    const DefaultFloats floats;
    const Kernels& kernels = ActiveKernels();
    for (size_t i = 0; i < rows; ++i) {
      const PairScore score = ScorePair(kernels, reference.data() + i * n, logits.data() + i * n,
                                        n, tokens.data()[i]);
      p_losses.data()[i] = score.p.loss;
      q_losses.data()[i] = score.q.loss;
      divergences.data()[i] = score.divergence;
      p_tops.data()[i] = score.p.top;
      q_tops.data()[i] = score.q.top;
    }
  }
  return nb::make_tuple(p_losses, p_tops, q_losses, q_tops, divergences);
}

}  // namespace

void BindScores(nb::module_& m) {
  m.def("score_rows", &ScoreRows, nb::arg("logits"), nb::arg("tokens"),
        "Losses in nats of (T,) tokens by (T, V) logits, (T,) float64, and top tokens, (T,) int32. "
        "NaN and -1 where a logit isn't finite.");
  m.def("compare_rows", &CompareRows, nb::arg("reference"), nb::arg("logits"), nb::arg("tokens"),
        "Losses and top tokens by (T, V) logits of a reference, those of a model, and the KL "
        "divergences of the model from the reference in nats, (T,) float64.");
}

}  // namespace aboard
