// The Python module `aboard._native`.
// Expects nothing.
// Exactness: see the parts.
#include "bindings/bindings.h"

NB_MODULE(_native, m) {
  m.doc() = "The engine of Aboard: kernels, packed matrices, decoder, sampler.";
  m.attr("NUMERICS_VERSION") = 1;
  aboard::BindKernels(m);
  aboard::BindMatrix(m);
  aboard::BindDecoder(m);
  aboard::BindSampler(m);
}
