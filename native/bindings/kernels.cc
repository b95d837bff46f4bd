// Python's way to the kernels themselves, for tests and measurements, and to the choice of the
// instruction set.
// Expects contiguous float32.
// Exactness: adds nothing to kernels/.
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bindings/bindings.h"
#include "engine/ceilings.h"
#include "engine/float_environment.h"
#include "engine/kv_cache.h"
#include "engine/rope.h"
#include "engine/workspace.h"
#include "isa/kernels.h"

namespace aboard {
namespace {

std::vector<std::string> SupportedNames() {
  std::vector<std::string> names;
  for (const char* const* name = SupportedIsas(); *name != nullptr; ++name) {
    names.emplace_back(*name);
  }
  return names;
}

void Force(const std::string& name) {
  if (name.empty()) {
    ForceIsa(nullptr);
  } else if (!ForceIsa(name.c_str())) {
    std::string known;
    for (const std::string& each : SupportedNames()) known += (known.empty() ? "" : ", ") + each;
    Refuse("the instruction set '" + name + "' is not one of those that run here: " + known);
  }
}

NumpyArray<float, 2> Multiply(const Matrix& matrix, const Array<float, 2>& x) {
  const DefaultFloats floats;
  const PackedMatrix& w = matrix.packed;
  const size_t n_tokens = x.shape(0);
  if (x.shape(1) != w.cols) {
    Refuse("x has " + std::to_string(x.shape(1)) + " columns, the matrix " +
           std::to_string(w.cols));
  }
  auto out = NewArray<float, 2>({n_tokens, w.rows});
  const Kernels& kernels = ActiveKernels();
  QuantizedBuffer quantized;
  FloatRows y;
  ThreadSpace own;
  quantized.Reserve(n_tokens, w.cols, kernels.tile_tokens);
  y.Reserve(n_tokens, w.rows);
  own.linear.resize(kLinearScratchBytes + 64);
  const nb::gil_scoped_release unlocked;
  for (size_t t = 0; t < n_tokens; ++t) {
    kernels.quantize(x.data() + t * w.cols, w.cols, quantized.rows(), t, 0);
  }
  if (n_tokens > 0) {
    kernels.linear(w, 0, y.stride() / kPanelRows, quantized.rows(), n_tokens, y.Row(0),
                   y.stride(), own.LinearScratch());
  }
  for (size_t t = 0; t < n_tokens; ++t) {
    std::copy_n(y.Row(t), w.rows, out.data() + t * w.rows);
  }
  return out;
}

// (codes, scales) of one row, blocks of 32.
nb::tuple QuantizeRow(const Array<float, 1>& x) {
  const DefaultFloats floats;
  QuantizedBuffer quantized;
  quantized.Reserve(1, x.shape(0), ActiveKernels().tile_tokens);
  const QuantizedRows& rows = quantized.rows();
  ActiveKernels().quantize(x.data(), x.shape(0), rows, 0, 0);
  auto codes = NewArray<int8_t, 1>({rows.blocks * kBlock});
  auto scales = NewArray<float, 1>({rows.blocks});
  std::copy_n(rows.codes, rows.blocks * kBlock, codes.data());
  std::copy_n(rows.scales, rows.blocks, scales.data());
  return nb::make_tuple(codes, scales);
}

NumpyArray<float, 1> RmsNormOf(const Array<float, 1>& x, const Array<float, 1>& weight,
                               float eps) {
  const DefaultFloats floats;
  if (x.shape(0) != weight.shape(0)) Refuse("x and weight differ in size");
  auto out = NewArray<float, 1>({x.shape(0)});
  ActiveKernels().rms_norm(x.data(), weight.data(), eps, x.shape(0), out.data());
  return out;
}

NumpyArray<float, 1> ProductOf(const Array<float, 1>& x, const Array<float, 1>& y) {
  const DefaultFloats floats;
  if (x.shape(0) != y.shape(0)) Refuse("x and y differ in size");
  auto out = NewArray<float, 1>({x.shape(0)});
  std::copy_n(x.data(), x.shape(0), out.data());
  ActiveKernels().multiply(out.data(), y.data(), x.shape(0));
  return out;
}

NumpyArray<float, 1> AddProductTo(const Array<float, 1>& sum, const Array<float, 1>& x,
                                  const Array<float, 1>& y) {
  const DefaultFloats floats;
  const size_t n = sum.shape(0);
  if (x.shape(0) != n || y.shape(0) != n) Refuse("sum, x and y differ in size");
  auto out = NewArray<float, 1>({n});
  std::copy_n(sum.data(), n, out.data());
  ActiveKernels().add_product(out.data(), x.data(), y.data(), n);
  return out;
}

NumpyArray<float, 1> SiluOf(const Array<float, 1>& x) {
  const DefaultFloats floats;
  auto out = NewArray<float, 1>({x.shape(0)});
  std::copy_n(x.data(), x.shape(0), out.data());
  ActiveKernels().silu(out.data(), x.shape(0));
  return out;
}

NumpyArray<float, 1> GatedBySigmoid(const Array<float, 1>& x, const Array<float, 1>& gate) {
  const DefaultFloats floats;
  if (gate.shape(0) != x.shape(0)) Refuse("x and gate differ in size");
  auto out = NewArray<float, 1>({x.shape(0)});
  std::copy_n(x.data(), x.shape(0), out.data());
  ActiveKernels().gate_by_sigmoid(out.data(), gate.data(), x.shape(0));
  return out;
}

// The new state and the output.
nb::tuple StepOfDeltaNet(const Array<float, 2>& state, const Array<float, 1>& query,
                         const Array<float, 1>& key, const Array<float, 1>& value, float decay,
                         float beta) {
  const DefaultFloats floats;
  const size_t d_key = state.shape(0), d_value = state.shape(1);
  if (query.shape(0) != d_key || key.shape(0) != d_key || value.shape(0) != d_value) {
    Refuse("state, query, key and value differ in size");
  }
  auto next = NewArray<float, 2>({d_key, d_value});
  auto out = NewArray<float, 1>({d_value});
  std::copy_n(state.data(), d_key * d_value, next.data());
  const DeltaToken token{query.data(), key.data(), value.data(), decay, beta};
  ActiveKernels().delta_step(next.data(), token, d_key, d_value, out.data());
  return nb::make_tuple(next, out);
}

NumpyArray<float, 1> LayerNormOf(const Array<float, 1>& x, const Array<float, 1>& weight,
                                 const Array<float, 1>& bias, float eps) {
  const DefaultFloats floats;
  const size_t n = x.shape(0);
  if (n != weight.shape(0) || n != bias.shape(0)) Refuse("x, weight and bias differ in size");
  auto out = NewArray<float, 1>({n});
  ActiveKernels().layer_norm(x.data(), weight.data(), bias.data(), eps, n, out.data());
  return out;
}

NumpyArray<float, 1> GeluOf(const Array<float, 1>& x) {
  const DefaultFloats floats;
  auto out = NewArray<float, 1>({x.shape(0)});
  std::copy_n(x.data(), x.shape(0), out.data());
  ActiveKernels().gelu(out.data(), x.shape(0));
  return out;
}

float LengthOf(const Array<float, 1>& x) {
  const DefaultFloats floats;
  return ActiveKernels().length(x.data(), x.shape(0));
}

NumpyArray<float, 1> SwiGluOf(const Array<float, 1>& gate, const Array<float, 1>& up) {
  const DefaultFloats floats;
  if (gate.shape(0) != up.shape(0)) Refuse("gate and up differ in size");
  auto out = NewArray<float, 1>({gate.shape(0)});
  std::copy_n(gate.data(), gate.shape(0), out.data());
  ActiveKernels().swiglu(out.data(), up.data(), gate.shape(0));
  return out;
}

NumpyArray<float, 1> GeGluOf(const Array<float, 1>& gate, const Array<float, 1>& up) {
  const DefaultFloats floats;
  if (gate.shape(0) != up.shape(0)) Refuse("gate and up differ in size");
  auto out = NewArray<float, 1>({gate.shape(0)});
  std::copy_n(gate.data(), gate.shape(0), out.data());
  ActiveKernels().geglu(out.data(), up.data(), gate.shape(0));
  return out;
}

NumpyArray<float, 1> SoftCapOf(const Array<float, 1>& x, float cap) {
  const DefaultFloats floats;
  auto out = NewArray<float, 1>({x.shape(0)});
  std::copy_n(x.data(), x.shape(0), out.data());
  ActiveKernels().soft_cap(out.data(), cap, x.shape(0));
  return out;
}

NumpyArray<float, 1> ExpsOf(const Array<float, 1>& x) {
  const DefaultFloats floats;
  auto out = NewArray<float, 1>({x.shape(0)});
  ActiveKernels().exp(x.data(), x.shape(0), out.data());
  return out;
}

NumpyArray<uint16_t, 1> HalvesOf(const Array<float, 1>& x) {
  const DefaultFloats floats;
  auto out = NewArray<uint16_t, 1>({x.shape(0)});
  ActiveKernels().floats_to_halves(x.data(), x.shape(0), out.data());
  return out;
}

NumpyArray<float, 1> FloatsOf(const Array<uint16_t, 1>& x) {
  const DefaultFloats floats;
  auto out = NewArray<float, 1>({x.shape(0)});
  ActiveKernels().halves_to_floats(x.data(), x.shape(0), out.data());
  return out;
}

// Copies of one query against (n, d) keys and values, chunk by chunk: softmax(scale * keys q)
// values.
// The query sees the last `window` keys (0: all); `halves`: keys and values become float16 first.
NumpyArray<float, 1> AttendTo(const Array<float, 1>& query, const Array<float, 2>& keys,
                              const Array<float, 2>& values, float scale, size_t window,
                              size_t copies, bool halves, float cap) {
  const DefaultFloats floats;
  const size_t d = query.shape(0), n = keys.shape(0);
  if (d == 0 || n == 0 || copies == 0 || keys.shape(1) != d || values.shape(1) != d ||
      values.shape(0) != n) {
    Refuse("query, keys and values don't fit together");
  }
  const Kernels& kernels = ActiveKernels();
  const size_t padded = RoundUp(d, 16);
  const size_t first_key = window != 0 && window < n ? n - window : 0;
  FloatRows rows, states;
  rows.Reserve(2 * kKeyChunk, padded);
  states.Reserve(2 * copies, 16 + padded);
  std::vector<uint16_t> half_rows(2 * kKeyChunk * padded);
  std::vector<float> padded_query(padded), columns(kKeyChunk * padded);
  std::copy_n(query.data(), d, padded_query.data());
  const auto partial = [&](size_t row) {
    float* own = states.Row(row);
    return AttentionPartial{own, own + 1, own + 16};
  };
  for (size_t begin = first_key / kKeyChunk * kKeyChunk; begin < n; begin += kKeyChunk) {
    const size_t count = std::min(kKeyChunk, n - begin);
    const bool begins = begin <= first_key;
    for (size_t j = 0; j < count; ++j) {
      std::copy_n(keys.data() + (begin + j) * d, d, rows.Row(j));
      std::copy_n(values.data() + (begin + j) * d, d, rows.Row(kKeyChunk + j));
      for (size_t i = 0; i < d; ++i) {
        columns[j / 16 * 16 * padded + i * 16 + j % 16] = rows.Row(j)[i];
      }
    }
    std::vector<ChunkQuery> queries;
    for (size_t q = 0; q < copies; ++q) {
      queries.push_back({.query = padded_query.data(),
                         .coded = {},
                         .first = static_cast<int32_t>(std::max(first_key, begin) - begin),
                         .last = static_cast<int32_t>(count),
                         .out = partial(begins ? q : copies + q)});
    }
    if (halves) {
      kernels.floats_to_halves(rows.Row(0), half_rows.size(), half_rows.data());
      kernels.attend_halves(queries.data(), copies, half_rows.data(),
                            half_rows.data() + kKeyChunk * padded, padded, scale, cap);
    } else {
      kernels.attend(queries.data(), copies, columns.data(), rows.Row(kKeyChunk), padded, scale,
                     cap);
    }
    for (size_t q = 0; q < copies && !begins; ++q) {
      kernels.merge(partial(q), partial(copies + q), padded);
    }
  }
  auto out = NewArray<float, 1>({d});
  kernels.divide(partial(copies - 1).out, *partial(copies - 1).sum, d, out.data());
  return out;
}

// Queries (Q, d) against (n, d) keys and values that become int8; query i sees the keys [first, last)
// of spans[i].
NumpyArray<float, 2> AttendToCodes(const Array<float, 2>& queries, const Array<float, 2>& keys,
                                   const Array<float, 2>& values, float scale,
                                   const std::vector<std::pair<size_t, size_t>>& spans,
                                   float cap) {
  const DefaultFloats floats;
  const size_t d = queries.shape(1), n = keys.shape(0), n_queries = queries.shape(0);
  bool fits = d > 0 && d <= kMaxHead && keys.shape(1) == d && values.shape(1) == d &&
              values.shape(0) == n &&
              spans.size() == n_queries;
  for (const auto& [first, last] : spans) fits = fits && first < last && last <= n;
  if (!fits) Refuse("queries, keys, values and spans don't fit together");
  const Kernels& kernels = ActiveKernels();
  KvShape shape{KvFormat::kInt8};
  shape.AddLayer(1, d);
  const HeadShape& head = shape.layers[0].head;
  const size_t padded = head.padded_dim();
  KvCache cache(shape, KvPool::Make(shape.chunk_bytes()), n);
  cache.Reserve(n);
  QuantizedBuffer row, coded;
  row.Reserve(1, d, 1);
  std::vector<int8_t> value(padded);
  for (size_t j = 0; j < n; ++j) {
    kernels.quantize(keys.data() + j * d, d, row.rows(), 0, 0);
    const float value_scale = kernels.quantize_head(values.data() + j * d, d, value.data());
    StoreCodes(head, cache.Coded(0, 0, j / kKeyChunk), j % kKeyChunk, row.rows(), value.data(),
               value_scale);
  }
  coded.Reserve(n_queries, d, 1);
  for (size_t q = 0; q < n_queries; ++q) {
    kernels.quantize(queries.data() + q * d, d, coded.rows(), q, 0);
  }
  FloatRows states;
  states.Reserve(2 * n_queries, 16 + padded);
  const auto partial = [&](size_t row) {
    float* own = states.Row(row);
    return AttentionPartial{own, own + 1, own + 16};
  };
  for (size_t begin = 0; begin < n; begin += kKeyChunk) {
    std::vector<ChunkQuery> seeing;
    std::vector<size_t> joined;
    for (size_t q = 0; q < n_queries; ++q) {
      const auto [first, last] = spans[q];
      if (first >= begin + kKeyChunk || last <= begin) continue;
      const bool begins = first >= begin;
      if (!begins) joined.push_back(q);
      seeing.push_back(
          {.query = nullptr,
           .coded = coded.Row(q),
           .first = static_cast<int32_t>(std::max(first, begin) - begin),
           .last = static_cast<int32_t>(std::min(last - begin, kKeyChunk)),
           .out = partial(begins ? q : n_queries + q)});
    }
    kernels.attend_codes(seeing.data(), seeing.size(), cache.Coded(0, 0, begin / kKeyChunk), d,
                         scale, cap);
    for (const size_t q : joined) kernels.merge(partial(q), partial(n_queries + q), padded);
  }
  auto out = NewArray<float, 2>({n_queries, d});
  for (size_t q = 0; q < n_queries; ++q) {
    kernels.divide(partial(q).out, *partial(q).sum, d, out.data() + q * d);
  }
  return out;
}

NumpyArray<float, 2> AnglesOf(const std::vector<double>& frequencies, size_t position,
                              double factor) {
  const DefaultFloats floats;
  auto out = NewArray<float, 2>({frequencies.size(), 2});
  RopeAngles(frequencies, position, factor, out.data());
  return out;
}

}  // namespace

void BindKernels(nb::module_& m) {
  m.def("supported_isas", &SupportedNames, "Instruction sets that run here, the best first.");
  m.def("active_isa", [] { return std::string(ActiveKernels().name); },
        "The instruction set in use.");
  m.def("use_isa", &Force, nb::arg("name"),
        "Makes all later calls use this instruction set; '' is the best one.");
  m.def("multiply", &Multiply, nb::arg("matrix"), nb::arg("x"),
        "(T, cols) float32, quantised to 8 bits, times the matrix: (T, rows) float32.");
  m.def("quantize", &QuantizeRow, nb::arg("x"),
        "(n,) float32 -> codes (n to whole blocks,) int8 and scales (blocks,) float32.");
  m.def("rms_norm", &RmsNormOf, nb::arg("x"), nb::arg("weight"), nb::arg("eps"));
  m.def("product", &ProductOf, nb::arg("x"), nb::arg("y"), "x * y, value by value.");
  m.def("add_product", &AddProductTo, nb::arg("sum"), nb::arg("x"), nb::arg("y"),
        "sum + x * y, value by value.");
  m.def("silu", &SiluOf, nb::arg("x"), "x / (1 + e^-x).");
  m.def("gate_by_sigmoid", &GatedBySigmoid, nb::arg("x"), nb::arg("gate"),
        "x / (1 + e^-gate).");
  m.def("delta_step", &StepOfDeltaNet, nb::arg("state"), nb::arg("query"), nb::arg("key"),
        nb::arg("value"), nb::arg("decay"), nb::arg("beta"),
        "(d_key, d_value) the state behind a token, and (d_value,) what it gives.");
  m.def("layer_norm", &LayerNormOf, nb::arg("x"), nb::arg("weight"), nb::arg("bias"),
        nb::arg("eps"));
  m.def("gelu", &GeluOf, nb::arg("x"), "x times the share of a normal distribution below it.");
  m.def("length", &LengthOf, nb::arg("x"), "The square root of the sum of squares.");
  m.def("swiglu", &SwiGluOf, nb::arg("gate"), nb::arg("up"));
  m.def("geglu", &GeGluOf, nb::arg("gate"), nb::arg("up"));
  m.def("soft_cap", &SoftCapOf, nb::arg("x"), nb::arg("cap"), "cap * tanh(x / cap).");
  m.def("exp", &ExpsOf, nb::arg("x"), "e^x in float32 as the softmax and the gate take it.");
  m.def("to_halves", &HalvesOf, nb::arg("x"), "float32 -> float16 bits.");
  m.def("from_halves", &FloatsOf, nb::arg("x"), "float16 bits -> float32.");
  m.def("attend", &AttendTo, nb::arg("query"), nb::arg("keys"), nb::arg("values"),
        nb::arg("scale"), nb::arg("window") = 0, nb::arg("copies") = 1, nb::arg("halves") = false,
        nb::arg("cap") = 0.0f,
        "(d,) attention over (n, d) keys and values, float32, of the last of `copies` of a query.");
  m.def("attend_codes", &AttendToCodes, nb::arg("queries"), nb::arg("keys"), nb::arg("values"),
        nb::arg("scale"), nb::arg("spans"), nb::arg("cap") = 0.0f,
        "(Q, d) attention over (n, d) keys and values, which become int8; query i sees the keys "
        "[first, last) of spans[i].");
  nb::class_<ReadProbe>(m, "ReadProbe", "A buffer on 2 MiB pages, to read from.")
      .def(nb::init<size_t>(), nb::arg("size_bytes"))
      .def_prop_ro("memory", [](const ReadProbe& self) { return ExtentOf(self.pages()); },
                   "Its address and size in bytes.")
      .def("bytes_per_s", &ReadProbe::BytesPerSecond, nb::arg("threads"),
           nb::call_guard<nb::gil_scoped_release>(),
           "Bytes a second that the threads read together.");
  m.def("dot_ops_per_s", &DotOperationsPerSecond, nb::arg("threads"),
        nb::call_guard<nb::gil_scoped_release>(),
        "8-bit multiplications and additions a second of the instruction set in use.");
  m.def("rope_frequencies",
        [](double base, size_t rotated_dims, const std::vector<double>& factors, double scale) {
          if (!factors.empty() && factors.size() != rotated_dims / 2) {
            Refuse("there must be one factor for each pair");
          }
          const DefaultFloats floats;
          return RopeFrequencies(base, rotated_dims, factors, scale);
        },
        nb::arg("base"), nb::arg("rotated_dims"), nb::arg("factors") = std::vector<double>{},
        nb::arg("scale") = 1.0, "Radians a position, one for each pair of values of a head.");
  m.def("rope_angles", &AnglesOf, nb::arg("frequencies"), nb::arg("position"),
        nb::arg("factor") = 1.0, "(pairs, 2) float32: factor times cosine and sine.");
}

}  // namespace aboard
