// The kernel of every format: a line for each, in the order of Format.
// Expects linear-inl.h and float-linear-inl.h.
// Exactness: see there.
#pragma once

namespace aboard {
namespace {

using LinearFunction = void (*)(const PackedMatrix&, size_t, size_t, const QuantizedRows&, size_t,
                                float*, size_t, uint8_t*);

// In the order of Format.
constexpr LinearFunction kLinear[kFormats] = {
    LinearOfFloats<StoredF32>,
    LinearOfFloats<StoredF16>,
    LinearOfFloats<StoredBF16>,
    LinearOf<Codes4<8>, HalfScale>,                // Q4_0
    LinearOf<Codes4<0>, HalfScaleMinimum>,         // Q4_1
    LinearOf<Codes5<16>, HalfScale>,               // Q5_0
    LinearOf<Codes5<0>, HalfScaleMinimum>,         // Q5_1
    LinearOf<Codes8, HalfScale>,                   // Q8_0
    LinearOf<Codes2, SuperScaleMinimum16>,         // Q2_K
    LinearOf<Codes3, SuperScale16>,                // Q3_K
    LinearOf<Codes4<0>, SuperScaleMinimum>,        // Q4_K
    LinearOf<Codes5<0>, SuperScaleMinimum>,        // Q5_K
    LinearOf<Codes6, SuperScale16>,                // Q6_K
    LinearOf<CodesOfTable<kNonLinear>, HalfScale>,     // IQ4_NL
    LinearOf<CodesOfTable<kNonLinear>, SuperScale>,    // IQ4_XS
    LinearOf<CodesOfTable<kDoubledE2M1>, ExponentScale>,  // MXFP4
};

void Linear(const PackedMatrix& w, size_t first_panel, size_t last_panel, const QuantizedRows& x,
            size_t n_tokens, float* y, size_t y_stride, uint8_t* scratch) {
  kLinear[(size_t)w.format](w, first_panel, last_panel, x, n_tokens, y, y_stride, scratch);
}

}  // namespace
}  // namespace aboard
