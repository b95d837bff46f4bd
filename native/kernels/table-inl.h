// Makes the table of kernels of the instruction set whose file includes this one, last.
// Expects lanes-inl.h and the set's own primitives; ABOARD_ISA_TABLE and ABOARD_ISA_NAME.
// Exactness: see each body.
#pragma once

#include "isa/kernels.h"
// The bodies, each over what stands above it.
#include "kernels/scales-inl.h"
#include "kernels/codes-inl.h"
#include "kernels/linear-inl.h"
#include "kernels/float-linear-inl.h"
#include "kernels/formats-inl.h"
#include "kernels/vectors-inl.h"
#include "kernels/encoder-inl.h"
#include "kernels/attention-inl.h"
#include "kernels/coded-attention-inl.h"
#include "kernels/delta-inl.h"
#include "kernels/scoring-inl.h"
#include "kernels/ceiling-inl.h"
#include "quantize/search-inl.h"

namespace aboard {

extern const Kernels ABOARD_ISA_TABLE;
const Kernels ABOARD_ISA_TABLE = {
    .name = ABOARD_ISA_NAME,
    .tile_tokens = kTileTokens,
    .linear = Linear,
    .quantize = Quantize,
    .rms_norm = RmsNorm,
    .layer_norm = LayerNorm,
    .gelu = GeluAll,
    .length = Length,
    .swiglu = SwiGlu,
    .geglu = GeGlu,
    .silu = Silu,
    .gate_by_sigmoid = GateBySigmoid,
    .delta_step = DeltaStep,
    .multiply = MultiplyBy,
    .add_product = AddProduct,
    .add = Add,
    .scale = Scale,
    .soft_cap = SoftCapAll,
    .halves_to_floats = HalvesToFloats,
    .floats_to_halves = FloatsToHalves,
    .attend = Attend<FloatElements>,
    .halves_to_columns = HalvesToColumns,
    .attend_halves = Attend<HalfElements>,
    .attend_codes = AttendCodes,
    .quantize_head = QuantizeHead,
    .merge = Merge,
    .divide = Divide,
    .exp = ExpOf,
    .search_scales = SearchScales,
    .nearest_codes = NearestCodes,
    .peak = PeakOf,
    .sum_of_exps = SumOfExps,
    .divergence = DivergenceOf,
    .dot_loop = DotLoop,
};

}  // namespace aboard
