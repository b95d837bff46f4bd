// The Python module `aboard._native`.
// Expects nothing.
// Exactness: see the parts.
#include "bindings/bindings.h"

namespace nb = nanobind;

NB_MODULE(_native, m) {
  // Threads that still hold a model when the program ends are its affair; sanitizers watch ours.
  nb::set_leak_warnings(false);
  m.doc() = "The engine of Aboard: kernels, packed matrices, decoder, encoder, sampler, quantiser.";
  m.attr("NUMERICS_VERSION") = 1;
  aboard::BindKernels(m);
  aboard::BindMatrix(m);
  aboard::BindKvCache(m);
  aboard::BindDecoder(m);
  aboard::BindEncoder(m);
  aboard::BindSampler(m);
  aboard::BindRounding(m);
  aboard::BindScaleSearch(m);
  aboard::BindScores(m);
}
