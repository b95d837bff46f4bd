// One token of one head of a gated delta net: its state decays, learns and is asked.
// Expects a state (d_key, d_value), float32, rows one after another.
// Exactness: lanes are columns of the state; a sum begins with 0 and takes the rows in order.
#pragma once

namespace aboard {
namespace {

void DeltaStep(float* state, const DeltaToken& token, size_t d_key, size_t d_value, float* out) {
  const F32x16 decay = Splat(token.decay), beta = Splat(token.beta);
  for (size_t j = 0; j < d_value; j += 16) {
    const size_t n = d_value - j;
    F32x16 known = Splat(0.0f);
    for (size_t i = 0; i < d_key; ++i) {
      float* row = state + i * d_value + j;
      const F32x16 decayed = LoadUpTo16(row, n) * decay;
      StoreUpTo16(decayed, row, n);
      known = known + decayed * Splat(token.key[i]);
    }
    const F32x16 lacking = (LoadUpTo16(token.value + j, n) - known) * beta;
    F32x16 sum = Splat(0.0f);
    for (size_t i = 0; i < d_key; ++i) {
      float* row = state + i * d_value + j;
      const F32x16 learnt = LoadUpTo16(row, n) + Splat(token.key[i]) * lacking;
      StoreUpTo16(learnt, row, n);
      sum = sum + learnt * Splat(token.query[i]);
    }
    StoreUpTo16(sum, out + j, n);
  }
}

void GateBySigmoid(float* x, const float* gate, size_t n) {
  for (size_t i = 0; i < n; i += 16) {
    const F32x16 g = LoadUpTo16(gate + i, n - i);
    const F32x16 open = Splat(1.0f) + Exp(Splat(0.0f) - g);
    StoreUpTo16(LoadUpTo16(x + i, n - i) / open, x + i, n - i);
  }
}

void Silu(float* x, size_t n) {
  for (size_t i = 0; i < n; i += 16) {
    const F32x16 g = LoadUpTo16(x + i, n - i);
    StoreUpTo16(g / (Splat(1.0f) + Exp(Splat(0.0f) - g)), x + i, n - i);
  }
}

}  // namespace
}  // namespace aboard
