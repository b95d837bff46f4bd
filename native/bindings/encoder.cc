// Python's encoder: every shape and token is checked here, once.
// Expects Matrix objects and contiguous arrays.
// Exactness: adds nothing to engine/.
#include "engine/encoder.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/checked.h"

namespace aboard {
namespace {

// An encoder and the arenas its matrices lie in. Layers are added in order.
class PyEncoder {
 public:
  PyEncoder(const Matrix& embedding, const Matrix& positions, const OptionalArray& type,
            const Array<float, 1>& norm, const Array<float, 1>& norm_bias, size_t heads,
            size_t ffn_width, float norm_eps, float score_scale, const std::string& pooling,
            size_t threads, bool floats)
      : threads_(threads), floats_(floats) {
    const size_t width = embedding.packed.cols;
    if (heads == 0 || width % heads != 0 || width / heads > kMaxHead || ffn_width == 0) {
      Refuse("the shapes of the encoder contradict each other");
    }
    if (pooling != "mean" && pooling != "first") Refuse("unknown pooling: " + pooling);
    CheckThreads(threads);
    shape_ = {.width = width,
              .heads = heads,
              .ffn_width = ffn_width,
              .vocabulary = embedding.packed.rows,
              .positions = positions.packed.rows,
              .norm_eps = norm_eps,
              .score_scale = score_scale,
              .pooling = pooling == "mean" ? Pooling::kMean : Pooling::kFirst};
    embedding_.tokens = arenas_.Keep(embedding, shape_.vocabulary, width, "embedding");
    embedding_.positions = arenas_.Keep(positions, shape_.positions, width, "positions");
    embedding_.type = CheckedVector(type, width, "token type");
    embedding_.norm = CheckedNorm(norm, norm_bias);
  }

  void AddLayer(const Matrix& query, const Matrix& key, const Matrix& value, const Matrix& output,
                const OptionalArray& query_bias, const OptionalArray& key_bias,
                const OptionalArray& value_bias, const OptionalArray& output_bias,
                const Array<float, 1>& attention_norm, const Array<float, 1>& attention_norm_bias,
                const Matrix& up, const Matrix& down, const OptionalArray& up_bias,
                const OptionalArray& down_bias, const Array<float, 1>& output_norm,
                const Array<float, 1>& output_norm_bias) {
    if (encoder_) Refuse("the encoder is in use: nothing more can be added");
    const size_t width = shape_.width, ffn = shape_.ffn_width;
    EncoderLayer layer;
    layer.query = arenas_.Keep(query, query_bias, width, width, "query");
    layer.key = arenas_.Keep(key, key_bias, width, width, "key");
    layer.value = arenas_.Keep(value, value_bias, width, width, "value");
    layer.output = arenas_.Keep(output, output_bias, width, width, "output");
    layer.attention_norm = CheckedNorm(attention_norm, attention_norm_bias);
    layer.up = arenas_.Keep(up, up_bias, ffn, width, "up");
    layer.down = arenas_.Keep(down, down_bias, width, ffn, "down");
    layer.output_norm = CheckedNorm(output_norm, output_norm_bias);
    layers_.push_back(std::move(layer));
  }

  Encoder& Ready() {
    if (!encoder_) {
      if (layers_.empty()) Refuse("the encoder has no layers");
      encoder_ = std::make_unique<Encoder>(shape_, std::move(embedding_), std::move(layers_),
                                           threads_, floats_);
    }
    return *encoder_;
  }

  void SetThreads(size_t threads) {
    CheckThreads(threads);
    Ready().set_threads(threads);  // from the next call on
  }
  size_t threads() { return Ready().threads(); }
  nb::list WeightMemory() const { return arenas_.Extents(); }

  NumpyArray<float, 2> Encode(const Array<int32_t, 1>& tokens, const std::vector<size_t>& lengths,
                              bool normalize) {
    Encoder& encoder = Ready();
    CheckTexts(tokens, lengths);
    auto out = NewArray<float, 2>({lengths.size(), shape_.width});
    const nb::gil_scoped_release unlocked;
    encoder.Encode({tokens.data(), tokens.shape(0)}, lengths, normalize, out.data());
    return out;
  }

 private:
  LayerNormWeights CheckedNorm(const Array<float, 1>& weight, const Array<float, 1>& bias) const {
    return {CheckedVector(weight, shape_.width, "norm"),
            CheckedVector(bias, shape_.width, "bias of a norm")};
  }

  void CheckTexts(const Array<int32_t, 1>& tokens, const std::vector<size_t>& lengths) const {
    size_t total = 0;
    for (const size_t length : lengths) {
      if (length == 0 || length > shape_.positions) {
        Refuse("a text has " + std::to_string(length) + " tokens, expected 1 to " +
               std::to_string(shape_.positions));
      }
      total += length;
    }
    if (total != tokens.shape(0)) Refuse("the lengths don't add up to the number of tokens");
    for (size_t i = 0; i < total; ++i) {
      const int32_t token = tokens.data()[i];
      if (token < 0 || static_cast<size_t>(token) >= shape_.vocabulary) {
        Refuse("token " + std::to_string(token) + " is not in the vocabulary of " +
               std::to_string(shape_.vocabulary));
      }
    }
  }

  EncoderShape shape_{};
  EncoderEmbedding embedding_{};
  std::vector<EncoderLayer> layers_;
  size_t threads_;
  bool floats_;
  KeptArenas arenas_;
  std::unique_ptr<Encoder> encoder_;
};

}  // namespace

void BindEncoder(nb::module_& m) {
  nb::class_<PyEncoder>(m, "Encoder", "An encoder-only transformer over packed matrices.")
      .def(nb::init<const Matrix&, const Matrix&, const OptionalArray&, const Array<float, 1>&,
                    const Array<float, 1>&, size_t, size_t, float, float, const std::string&,
                    size_t, bool>(),
           nb::kw_only(), nb::arg("embedding"), nb::arg("positions"),
           nb::arg("type") = nb::none(), nb::arg("norm"), nb::arg("norm_bias"), nb::arg("heads"),
           nb::arg("ffn_width"), nb::arg("norm_eps"), nb::arg("score_scale"),
           nb::arg("pooling") = "mean", nb::arg("threads"), nb::arg("floats") = false)
      .def("add_layer", &PyEncoder::AddLayer, nb::kw_only(), nb::arg("query"), nb::arg("key"),
           nb::arg("value"), nb::arg("output"), nb::arg("query_bias") = nb::none(),
           nb::arg("key_bias") = nb::none(), nb::arg("value_bias") = nb::none(),
           nb::arg("output_bias") = nb::none(), nb::arg("attention_norm"),
           nb::arg("attention_norm_bias"), nb::arg("up"), nb::arg("down"),
           nb::arg("up_bias") = nb::none(), nb::arg("down_bias") = nb::none(),
           nb::arg("output_norm"), nb::arg("output_norm_bias"))
      .def_prop_rw("threads", &PyEncoder::threads, &PyEncoder::SetThreads)
      .def_prop_ro("weight_memory", &PyEncoder::WeightMemory,
                   "Address and size in bytes of each piece of memory the matrices lie in.")
      .def("encode", &PyEncoder::Encode, nb::arg("tokens"), nb::arg("lengths"),
           nb::arg("normalize"),
           "(n, D) float32, one vector for each text; `tokens` are those of all. Frees the GIL.");
}

}  // namespace aboard
