// Python's decoder: every shape, token and position is checked here, once.
// Expects Matrix objects and contiguous arrays.
// Exactness: adds nothing to engine/.
#include "engine/decoder.h"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/checked.h"
#include "engine/packing.h"

namespace aboard {
namespace {

KvFormat CheckedKvFormat(const std::string& name) {
  if (name == "f16") return KvFormat::kF16;
  if (name == "int8") return KvFormat::kInt8;
  if (name == "f32") return KvFormat::kF32;
  Refuse("unknown KV format: " + name);
}

using WritableStates = nb::ndarray<float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

// A decoder and the arenas its matrices lie in. Ropes and blocks are added in order.
class PyDecoder {
 public:
  PyDecoder(const Matrix& embedding, const Array<float, 1>& final_norm, const Matrix& head,
            size_t query_heads, float norm_eps, float score_scale, float score_cap,
            float embedding_scale, float residual_scale, float logit_scale, float logit_cap,
            std::pair<double, size_t> temperature, size_t threads, const std::string& kv) {
    const size_t width = embedding.packed.cols;
    if (query_heads == 0 || temperature.second == 0) {
      Refuse("the shapes of the decoder contradict each other");
    }
    shape_ = {.width = width,
              .query_heads = query_heads,
              .vocabulary = embedding.packed.rows,
              .norm_eps = norm_eps,
              .score_scale = score_scale,
              .score_cap = score_cap,
              .embedding_scale = embedding_scale,
              .residual_scale = residual_scale,
              .logit_scale = logit_scale,
              .logit_cap = logit_cap,
              .temperature = temperature.first,
              .temperature_context = temperature.second,
              .ropes = {}};
    embedding_ = arenas_.Keep(embedding, shape_.vocabulary, width, "embedding");
    head_ = arenas_.Keep(head, shape_.vocabulary, width, "head");
    final_norm_ = CheckedVector(final_norm, width, "final norm");
    CheckThreads(threads);
    threads_ = threads;
    kv_format_ = CheckedKvFormat(kv);
  }

  // Its index, for blocks.
  size_t AddRope(const std::string& pairs, const std::vector<double>& frequencies, double factor) {
    CheckUnused();
    if (pairs != "adjacent" && pairs != "halves") Refuse("unknown pairs: " + pairs);
    shape_.ropes.push_back({pairs == "adjacent" ? RopePairs::kAdjacent : RopePairs::kHalves,
                            frequencies, factor});
    return shape_.ropes.size() - 1;
  }

  void AddAttention(size_t kv_heads, size_t head_dim, const Matrix& query, const Matrix* key,
                    const Matrix* value, const Matrix& output, const OptionalArray& query_bias,
                    const OptionalArray& key_bias, const OptionalArray& value_bias,
                    const OptionalArray& output_bias, const OptionalArray& norm,
                    const OptionalArray& post_norm, const OptionalArray& query_norm,
                    const OptionalArray& key_norm, bool norm_values, bool gated, size_t window,
                    std::optional<size_t> rope, std::optional<size_t> keys_of) {
    CheckUnused();
    if (layers_.size() != feed_forwards_) Refuse("the last layer has no feed-forward block");
    CheckHeads(kv_heads, head_dim, rope);
    if (keys_of ? key || value || !HasKeys(*keys_of, kv_heads, head_dim) : !key) {
      Refuse("a layer has either keys, or those of an earlier layer with the same heads");
    }
    const size_t width = shape_.width, d = head_dim;
    const size_t heads = shape_.query_heads * d, kv = kv_heads * d;
    AttentionBlock block;
    block.kv_heads = kv_heads;
    block.head_dim = head_dim;
    block.keys_of = keys_of;
    block.norm = CheckedVector(norm, width, "attention norm");
    block.gated = gated;
    shape_.gated = shape_.gated || gated;
    block.query = arenas_.Keep(query, query_bias, gated ? 2 * heads : heads, width, "query");
    if (key) block.key = arenas_.Keep(*key, key_bias, kv, width, "key");
    if (value) block.value = arenas_.Keep(*value, value_bias, kv, width, "value");
    if (norm_values) block.value_norm.assign(d, 1.0f);
    block.output = arenas_.Keep(output, output_bias, width, heads, "output");
    const bool by_head = query_norm && query_norm->shape(0) == d;
    block.query_norm = CheckedVector(query_norm, by_head ? d : heads, "query norm");
    block.key_norm = CheckedVector(key_norm, by_head ? d : kv, "key norm");
    block.post_norm = CheckedVector(post_norm, width, "norm after attention");
    block.window = window;
    block.rope = rope ? static_cast<int>(*rope) : -1;
    layers_.emplace_back().attention = std::move(block);
  }

  void AddShortConv(const Matrix& in_gate, const Matrix& out_gate, const Matrix& input,
                    const Array<float, 2>& taps, const Matrix& output,
                    const OptionalArray& norm) {
    CheckUnused();
    if (layers_.size() != feed_forwards_) Refuse("the last layer has no feed-forward block");
    if (shape_.delta.key_heads != 0) Refuse("a decoder has either delta nets or convolutions");
    const size_t width = shape_.width;
    ShortConvBlock block;
    block.norm = CheckedVector(norm, width, "convolution norm");
    block.in_gate = {arenas_.Keep(in_gate, width, width, "gate before a convolution"), {}};
    block.out_gate = {arenas_.Keep(out_gate, width, width, "gate behind a convolution"), {}};
    block.input = {arenas_.Keep(input, width, width, "input of a convolution"), {}};
    block.taps = CheckedTaps(taps, width);
    block.output = {arenas_.Keep(output, width, width, "output of a convolution"), {}};
    layers_.emplace_back().short_conv = std::move(block);
  }

  void AddDeltaNet(const Matrix& mixed, const Matrix& gate, const Matrix& alpha,
                   const Matrix& beta, const Array<float, 2>& taps, const Array<float, 1>& decay,
                   const Array<float, 1>& time_step, const Array<float, 1>& head_norm,
                   const Matrix& output, size_t key_heads, const OptionalArray& norm) {
    CheckUnused();
    if (layers_.size() != feed_forwards_) Refuse("the last layer has no feed-forward block");
    if (shape_.conv_taps != 0 && shape_.delta.key_heads == 0) {
      Refuse("a decoder has either delta nets or convolutions");
    }
    const DeltaShape delta{key_heads, decay.shape(0), head_norm.shape(0)};
    const size_t width = shape_.width, heads = delta.value_heads, d = delta.head_dim;
    if (key_heads == 0 || heads == 0 || heads % key_heads != 0 || d == 0 || d > kMaxHead ||
        (shape_.delta.key_heads != 0 && !(shape_.delta == delta))) {
      Refuse("the shapes of a delta net contradict each other");
    }
    shape_.delta = delta;
    DeltaNetBlock block;
    block.taps = CheckedTaps(taps, delta.mixed());
    block.norm = CheckedVector(norm, width, "delta net norm");
    block.mixed = {arenas_.Keep(mixed, delta.mixed(), width, "queries, keys and values"), {}};
    block.gate = {arenas_.Keep(gate, delta.inner(), width, "gate of a delta net"), {}};
    block.alpha = {arenas_.Keep(alpha, heads, width, "alpha"), {}};
    block.beta = {arenas_.Keep(beta, heads, width, "beta"), {}};
    block.decay = CheckedVector(decay, heads, "decay");
    block.time_step = CheckedVector(time_step, heads, "time step");
    block.head_norm = CheckedVector(head_norm, d, "norm of a delta net's heads");
    block.query_scale.assign(d, 1.0f / static_cast<float>(d));
    block.key_scale.assign(d, 1.0f / std::sqrt(static_cast<float>(d)));
    block.output = {arenas_.Keep(output, width, delta.inner(), "output of a delta net"), {}};
    layers_.emplace_back().delta_net = std::move(block);
  }

  void AddFeedForward(const Matrix& gate, const Matrix& up, const Matrix& down,
                      const OptionalArray& gate_bias, const OptionalArray& up_bias,
                      const OptionalArray& down_bias, const OptionalArray& norm,
                      const OptionalArray& post_norm, const std::string& function,
                      float scale) {
    CheckUnused();
    if (layers_.size() != feed_forwards_ + 1) {
      Refuse("a layer begins with attention or a convolution");
    }
    const size_t width = shape_.width, ffn = gate.packed.rows;
    FeedForwardBlock& block = layers_.back().feed_forward;
    block.norm = CheckedVector(norm, width, "feed-forward norm");
    block.gate = arenas_.Keep(gate, gate_bias, ffn, width, "gate");
    block.up = arenas_.Keep(up, up_bias, ffn, width, "up");
    block.down = arenas_.Keep(down, down_bias, width, ffn, "down");
    block.post_norm = CheckedVector(post_norm, width, "norm after feed-forward");
    block.function = CheckedFunction(function);
    layers_.back().scale = scale;
    ++feed_forwards_;
  }

  // What layers know of a token.
  void AddLayerEmbedding(const Matrix& table, const Matrix& projection,
                         const Array<float, 1>& norm, float table_scale, float projection_scale,
                         float sum_scale) {
    CheckUnused();
    const size_t rows = projection.packed.rows, width = norm.shape(0);
    if (layer_embedding_ || width == 0 || rows % width != 0) {
      Refuse("the shapes of a layers' embedding contradict each other");
    }
    layer_embedding_ = {
        .table = arenas_.Keep(table, shape_.vocabulary, rows, "table of the layers"),
        .projection = {arenas_.Keep(projection, rows, shape_.width, "projection for layers"), {}},
        .norm = CheckedVector(norm, width, "norm of the layers' embedding"),
        .table_scale = table_scale,
        .projection_scale = projection_scale,
        .sum_scale = sum_scale};
  }

  // Behind the feed-forward block of the last layer.
  void AddTokenBlock(const Matrix& gate, const Matrix& output, const OptionalArray& post_norm,
                     const std::string& function) {
    CheckUnused();
    if (!layer_embedding_ || layers_.empty() || layers_.size() != feed_forwards_ ||
        layers_.back().token) {
      Refuse("what a layer knows of a token comes behind its feed-forward block");
    }
    const size_t known = layer_embedding_->norm.size(), width = shape_.width;
    TokenBlock block;
    block.gate = {arenas_.Keep(gate, known, width, "gate of the token"), {}};
    block.output = {arenas_.Keep(output, width, known, "output of the token"), {}};
    block.post_norm = CheckedVector(post_norm, width, "norm after the token");
    block.function = CheckedFunction(function);
    layers_.back().token = std::move(block);
  }

  Decoder& Ready() {
    if (!decoder_) {
      if (layers_.empty() || layers_.size() != feed_forwards_) Refuse("the decoder has no layers");
      if (layer_embedding_ && layer_embedding_->table.cols !=
                                  layers_.size() * layer_embedding_->norm.size()) {
        Refuse("the layers' embedding is one of another number of layers");
      }
      n_layers_ = layers_.size();
      decoder_ = std::make_unique<Decoder>(shape_, std::move(layers_), embedding_,
                                           std::move(final_norm_), head_, threads_, kv_format_,
                                           std::move(layer_embedding_));
    }
    return *decoder_;
  }

  std::shared_ptr<KvCache> NewCache(size_t capacity) {
    if (capacity == 0 || capacity > (size_t{1} << 31)) Refuse("a context must have 1 to 2^31 tokens");
    return std::make_shared<KvCache>(Ready().NewCache(capacity));
  }

  void SetThreads(size_t threads) {
    CheckThreads(threads);
    Ready().set_threads(threads);  // from the next call on
  }
  size_t threads() { return Ready().threads(); }

  // Bytes of keys and values of all caches, and of free chunks that are kept for the next; address
  // and size of the address space that all of them lie in.
  nb::dict KvMemory() {
    const KvPool& pool = *Ready().kv_pool();
    nb::dict memory;
    memory["used_bytes"] = pool.used_bytes();
    memory["free_bytes"] = pool.free_bytes();
    nb::list extents;
    for (const auto& [address, size_bytes] : pool.Extents()) {
      extents.append(nb::make_tuple(address, size_bytes));
    }
    memory["extents"] = extents;
    return memory;
  }

  nb::list WeightMemory() const { return arenas_.Extents(); }

  // tokens[i] continues caches[i]; several of one cache follow each other. `wanted`: whose logits.
  NumpyArray<float, 2> Forward(const Array<int32_t, 1>& tokens,
                               const std::vector<std::shared_ptr<KvCache>>& caches,
                               const std::vector<size_t>& wanted) {
    Decoder& decoder = Ready();
    const std::vector<BatchToken> batch = CheckedBatch(decoder, tokens, caches);
    for (const size_t index : wanted) {
      if (index >= batch.size()) Refuse("logits wanted of a token beyond the batch");
    }
    auto logits = NewArray<float, 2>({wanted.size(), shape_.vocabulary});
    const nb::gil_scoped_release unlocked;
    decoder.Forward(batch, wanted, logits.data());
    return logits;
  }

  // Half of the only layer, "mix" or "feed": hidden states, (B, T, D), in place; each of B is a
  // sequence of its own.
  void RunHalf(const std::string& half, const WritableStates& hidden) {
    const LayerHalf which = CheckedHalf(half, hidden);
    Sequences sequences(decoder_.get(), hidden.shape(0), hidden.shape(1));
    const nb::gil_scoped_release unlocked;
    decoder_->RunHalf(sequences.tokens(), which, hidden.data());
  }

  // The inputs of the first matrices of a half ("end": of the head), or of its last one (`inner`),
  // (B T, K).
  NumpyArray<float, 2> TapInputs(const std::string& half, bool inner,
                                 const Array<float, 3>& hidden) {
    const LayerHalf which = CheckedHalf(half, hidden);
    if (inner && which == LayerHalf::kEnd) Refuse("nothing follows the head");
    const LayerPart part{which, inner, decoder_->attends()};
    Sequences sequences(decoder_.get(), hidden.shape(0), hidden.shape(1));
    auto inputs = NewArray<float, 2>({sequences.tokens().size(), part.InputWidth(decoder_->shape())});
    const nb::gil_scoped_release unlocked;
    decoder_->TapInputs(sequences.tokens(), part, hidden.data(), inputs.data());
    return inputs;
  }

 private:
  // Sequences of a pass whose tokens have no ids.
  class Sequences {
   public:
    Sequences(Decoder* decoder, size_t count, size_t n_tokens) {
      caches_.reserve(count);
      for (size_t b = 0; b < count; ++b) {
        caches_.push_back(decoder->NewCache(n_tokens));
        for (size_t t = 0; t < n_tokens; ++t) tokens_.push_back({0, &caches_.back(), t});
      }
    }
    std::span<const BatchToken> tokens() const { return tokens_; }

   private:
    std::vector<KvCache> caches_;
    std::vector<BatchToken> tokens_;
  };

  template <class States>
  LayerHalf CheckedHalf(const std::string& half, const States& hidden) {
    Ready();
    if (n_layers_ != 1) Refuse("halves are those of a decoder of one layer");
    if (hidden.shape(2) != shape_.width || hidden.shape(0) * hidden.shape(1) < 2) {
      Refuse("hidden states must be (B, T, " + std::to_string(shape_.width) +
             "), of two tokens or more");
    }
    if (half == "mix") return LayerHalf::kMix;
    if (half == "feed") return LayerHalf::kFeed;
    if (half == "end") return LayerHalf::kEnd;
    Refuse("unknown half: " + half);
  }

  void CheckUnused() const {
    if (decoder_) Refuse("the decoder is in use: nothing more can be added");
  }

  void CheckHeads(size_t kv_heads, size_t head_dim, std::optional<size_t> rope) const {
    if (kv_heads == 0 || shape_.query_heads % kv_heads != 0 || head_dim == 0 ||
        head_dim > kMaxHead) {
      Refuse("the heads of a layer contradict each other");
    }
    if (!rope) return;
    if (*rope >= shape_.ropes.size()) Refuse("no such rope");
    if (2 * shape_.ropes[*rope].frequencies.size() > head_dim) {
      Refuse("a rope is wider than a head");
    }
  }

  // Whether an earlier layer has such heads of keys and values, of its own.
  bool HasKeys(size_t layer, size_t kv_heads, size_t head_dim) const {
    if (layer >= layers_.size() || !layers_[layer].attention) return false;
    const AttentionBlock& block = *layers_[layer].attention;
    return !block.keys_of && block.kv_heads == kv_heads && block.head_dim == head_dim;
  }

  static GateFunction CheckedFunction(const std::string& function) {
    if (function != "silu" && function != "gelu") Refuse("unknown function: " + function);
    return function == "gelu" ? GateFunction::kGelu : GateFunction::kSilu;
  }

  // Notes their number and width: it is the same in all layers.
  Vector CheckedTaps(const Array<float, 2>& taps, size_t width) {
    const size_t n = taps.shape(0);
    const bool other = shape_.conv_taps != 0 &&
                       (shape_.conv_taps != n || shape_.conv_width != width);
    if (n < 2 || n > kMaxConvRows + 1 || taps.shape(1) != width || other) {
      Refuse("convolutions must all have the same 2 to 17 taps and one width");
    }
    shape_.conv_taps = n;
    shape_.conv_width = width;
    return {taps.data(), taps.data() + n * width};
  }

  std::vector<BatchToken> CheckedBatch(
      Decoder& decoder, const Array<int32_t, 1>& tokens,
      const std::vector<std::shared_ptr<KvCache>>& caches) const {
    if (caches.size() != 1 && caches.size() != tokens.shape(0)) {
      Refuse("there must be one cache, or one for each token");
    }
    std::vector<std::pair<KvCache*, size_t>> ends;
    std::vector<BatchToken> batch;
    for (size_t i = 0; i < tokens.shape(0); ++i) {
      KvCache* cache = caches[caches.size() == 1 ? 0 : i].get();
      if (tokens.data()[i] < 0 || static_cast<size_t>(tokens.data()[i]) >= shape_.vocabulary) {
        Refuse("token " + std::to_string(tokens.data()[i]) + " is not in the vocabulary of " +
               std::to_string(shape_.vocabulary));
      }
      if (cache == nullptr || cache->shape() != decoder.kv_shape()) Refuse("a foreign KV cache");
      const bool follows = !batch.empty() && batch.back().cache == cache;
      if (!follows) {
        for (const auto& [other, end] : ends) {
          if (other == cache) Refuse("the tokens of one cache must follow each other");
        }
        ends.emplace_back(cache, cache->size());
      }
      if (ends.back().second >= cache->capacity()) {
        Refuse("the KV cache is full: it holds " + std::to_string(cache->capacity()));
      }
      batch.push_back({tokens.data()[i], cache, ends.back().second++});
    }
    return batch;
  }

  DecoderShape shape_;
  std::vector<Layer> layers_;
  PackedMatrix embedding_, head_;
  Vector final_norm_;
  std::optional<LayerEmbedding> layer_embedding_;
  size_t feed_forwards_ = 0;
  size_t n_layers_ = 0;
  size_t threads_;
  KvFormat kv_format_;
  KeptArenas arenas_;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace

void BindDecoder(nb::module_& m) {
  nb::class_<PyDecoder>(m, "Decoder", "A decoder-only transformer over packed matrices.")
      .def(nb::init<const Matrix&, const Array<float, 1>&, const Matrix&, size_t, float, float,
                    float, float, float, float, float, std::pair<double, size_t>, size_t,
                    const std::string&>(),
           nb::kw_only(), nb::arg("embedding"), nb::arg("final_norm"), nb::arg("head"),
           nb::arg("query_heads"), nb::arg("norm_eps"), nb::arg("score_scale"), nb::arg("score_cap") = 0.0f,
           nb::arg("embedding_scale") = 1.0f, nb::arg("residual_scale") = 1.0f,
           nb::arg("logit_scale") = 1.0f, nb::arg("logit_cap") = 0.0f,
           nb::arg("temperature") = std::pair<double, size_t>{0.0, 1}, nb::arg("threads"),
           nb::arg("kv") = "f16")
      .def("add_rope", &PyDecoder::AddRope, nb::kw_only(), nb::arg("pairs"),
           nb::arg("frequencies"), nb::arg("factor") = 1.0)
      .def("add_attention", &PyDecoder::AddAttention, nb::kw_only(), nb::arg("kv_heads"),
           nb::arg("head_dim"), nb::arg("query"), nb::arg("key").none(), nb::arg("value").none(),
           nb::arg("output"), nb::arg("query_bias") = nb::none(),
           nb::arg("key_bias") = nb::none(), nb::arg("value_bias") = nb::none(),
           nb::arg("output_bias") = nb::none(), nb::arg("norm") = nb::none(),
           nb::arg("post_norm") = nb::none(), nb::arg("query_norm") = nb::none(),
           nb::arg("key_norm") = nb::none(), nb::arg("norm_values") = false,
           nb::arg("gated") = false, nb::arg("window") = 0, nb::arg("rope") = nb::none(),
           nb::arg("keys_of") = nb::none())
      .def("add_short_conv", &PyDecoder::AddShortConv, nb::kw_only(), nb::arg("in_gate"),
           nb::arg("out_gate"), nb::arg("input"), nb::arg("taps"), nb::arg("output"),
           nb::arg("norm") = nb::none())
      .def("add_delta_net", &PyDecoder::AddDeltaNet, nb::kw_only(), nb::arg("mixed"),
           nb::arg("gate"), nb::arg("alpha"), nb::arg("beta"), nb::arg("taps"), nb::arg("decay"),
           nb::arg("time_step"), nb::arg("head_norm"), nb::arg("output"), nb::arg("key_heads"),
           nb::arg("norm") = nb::none())
      .def("add_feed_forward", &PyDecoder::AddFeedForward, nb::kw_only(), nb::arg("gate"),
           nb::arg("up"), nb::arg("down"), nb::arg("gate_bias") = nb::none(),
           nb::arg("up_bias") = nb::none(), nb::arg("down_bias") = nb::none(),
           nb::arg("norm") = nb::none(), nb::arg("post_norm") = nb::none(),
           nb::arg("function") = "silu", nb::arg("scale") = 1.0f)
      .def("add_layer_embedding", &PyDecoder::AddLayerEmbedding, nb::kw_only(), nb::arg("table"),
           nb::arg("projection"), nb::arg("norm"), nb::arg("table_scale"),
           nb::arg("projection_scale"), nb::arg("sum_scale"))
      .def("add_token_block", &PyDecoder::AddTokenBlock, nb::kw_only(), nb::arg("gate"),
           nb::arg("output"), nb::arg("post_norm") = nb::none(), nb::arg("function") = "gelu")
      .def("new_cache", &PyDecoder::NewCache, nb::arg("capacity"))
      .def("kv_memory", &PyDecoder::KvMemory)
      .def_prop_rw("threads", &PyDecoder::threads, &PyDecoder::SetThreads)
      .def_prop_ro("weight_memory", &PyDecoder::WeightMemory,
                   "Address and size in bytes of each piece of memory the matrices lie in.")
      .def("forward", &PyDecoder::Forward, nb::arg("tokens"), nb::arg("caches"),
           nb::arg("wanted"), "(n, V) float32 logits of the wanted tokens. Frees the GIL.")
      .def("run_half", &PyDecoder::RunHalf, nb::arg("half"), nb::arg("hidden"),
           "Half of the only layer, \"mix\" or \"feed\", on (B, T, D) float32 in place.")
      .def("tap_inputs", &PyDecoder::TapInputs, nb::arg("half"), nb::arg("inner"),
           nb::arg("hidden"),
           "(B T, K) float32: what goes into the first matrices of a half, or into its last one.");
}

}  // namespace aboard
