// Python's decoder and KV cache: every shape, token and position is checked here, once.
// Expects Matrix objects and contiguous arrays.
// Exactness: adds nothing to engine/.
#include "engine/decoder.h"

#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "engine/packing.h"

namespace aboard {
namespace {

std::vector<float> CheckedVector(const Array<float, 1>& values, size_t size, const char* what) {
  if (values.shape(0) != size) {
    Refuse(std::string(what) + " has " + std::to_string(values.shape(0)) + " values, expected " +
           std::to_string(size));
  }
  return {values.data(), values.data() + size};
}

// A decoder and the arenas its matrices lie in.
class PyDecoder {
 public:
  PyDecoder(const Matrix& embedding, const Array<float, 1>& final_norm, const Matrix& head,
            size_t query_heads, size_t kv_heads, size_t head_dim, size_t ffn_width, float norm_eps,
            float score_scale, const std::string& rope_pairs,
            const std::vector<double>& rope_frequencies, size_t threads, const std::string& kv) {
    const size_t width = embedding.packed.cols;
    if (query_heads == 0 || kv_heads == 0 || query_heads % kv_heads != 0 || head_dim == 0 ||
        head_dim > kMaxHead || ffn_width == 0 || 2 * rope_frequencies.size() > head_dim) {
      Refuse("the shapes of the decoder contradict each other");
    }
    if (rope_pairs != "adjacent" && rope_pairs != "halves") Refuse("unknown pairs: " + rope_pairs);
    shape_ = {.width = width,
              .query_heads = query_heads,
              .kv_heads = kv_heads,
              .head_dim = head_dim,
              .ffn_width = ffn_width,
              .vocabulary = embedding.packed.rows,
              .norm_eps = norm_eps,
              .score_scale = score_scale,
              .rope_pairs = rope_pairs == "adjacent" ? RopePairs::kAdjacent : RopePairs::kHalves,
              .rope_frequencies = rope_frequencies};
    embedding_ = Keep(embedding, shape_.vocabulary, width, "embedding");
    head_ = Keep(head, shape_.vocabulary, width, "head");
    final_norm_ = CheckedVector(final_norm, width, "final norm");
    CheckThreads(threads);
    threads_ = threads;
    if (kv != "f16" && kv != "int8") Refuse("unknown KV format: " + kv);
    kv_format_ = kv == "int8" ? KvFormat::kInt8 : KvFormat::kF16;
  }

  void AddLayer(const Array<float, 1>& attention_norm, const Matrix& query, const Matrix& key,
                const Matrix& value, const Matrix& output, const Array<float, 1>& ffn_norm,
                const Matrix& gate, const Matrix& up, const Matrix& down, size_t window) {
    if (decoder_) Refuse("the decoder is in use: no more layers");
    const size_t width = shape_.width, ffn = shape_.ffn_width;
    const size_t heads = shape_.query_heads * shape_.head_dim;
    const size_t kv = shape_.kv_heads * shape_.head_dim;
    layers_.push_back({{CheckedVector(attention_norm, width, "attention norm"),
                        Keep(query, heads, width, "query"), Keep(key, kv, width, "key"),
                        Keep(value, kv, width, "value"), Keep(output, width, heads, "output"),
                        window},
                       {CheckedVector(ffn_norm, width, "feed-forward norm"),
                        Keep(gate, ffn, width, "gate"), Keep(up, ffn, width, "up"),
                        Keep(down, width, ffn, "down")}});
  }

  Decoder& Ready() {
    if (!decoder_) {
      if (layers_.empty()) Refuse("the decoder has no layers");
      decoder_ = std::make_unique<Decoder>(shape_, std::move(layers_), embedding_,
                                           std::move(final_norm_), head_, threads_, kv_format_);
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

  nb::list WeightMemory() const {
    nb::list extents;
    for (const auto& arena : arenas_) extents.append(ExtentOf(arena->pages()));
    return extents;
  }

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

 private:
  static void CheckThreads(size_t threads) {
    if (threads == 0 || threads > 1024) Refuse("threads must be 1 to 1024");
  }

  PackedMatrix Keep(const Matrix& matrix, size_t rows, size_t cols, const char* what) {
    const PackedMatrix& m = matrix.packed;
    if (m.rows != rows || m.cols != cols) {
      Refuse(std::string(what) + " is " + std::to_string(m.rows) + " x " + std::to_string(m.cols) +
             ", expected " + std::to_string(rows) + " x " + std::to_string(cols));
    }
    if (std::find(arenas_.begin(), arenas_.end(), matrix.arena) == arenas_.end()) {
      arenas_.push_back(matrix.arena);
    }
    return m;
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
  std::vector<float> final_norm_;
  size_t threads_;
  KvFormat kv_format_;
  std::vector<std::shared_ptr<Arena>> arenas_;
  std::unique_ptr<Decoder> decoder_;
};

// Chunk by chunk, for saving; keys beyond the end are zeros.
NumpyArray<uint8_t, 1> ExportChunk(const KvCache& cache, size_t chunk) {
  const KvShape& shape = cache.shape();
  if (chunk * kKeyChunk >= cache.size()) Refuse("no such chunk");
  auto out = NewArray<uint8_t, 1>({shape.chunk_bytes()});
  std::memcpy(out.data(), cache.Chunk(chunk), shape.chunk_bytes());
  shape.ClearUnused(out.data(), std::min(kKeyChunk, cache.size() - chunk * kKeyChunk));
  return out;
}

void CheckNextChunk(const KvCache& cache, size_t n_tokens) {
  if (cache.size() % kKeyChunk != 0 || n_tokens == 0 || n_tokens > kKeyChunk ||
      cache.size() + n_tokens > cache.capacity()) {
    Refuse("the chunk doesn't fit the KV cache");
  }
}

// The next chunk, with the number of tokens it holds.
void ImportChunk(KvCache& cache, const Array<uint8_t, 1>& bytes, size_t n_tokens) {
  if (bytes.shape(0) != cache.shape().chunk_bytes()) Refuse("no chunk of such a KV cache");
  CheckNextChunk(cache, n_tokens);
  cache.Reserve(cache.size() + n_tokens);
  uint8_t* chunk = cache.Chunk(cache.size() / kKeyChunk);
  std::memcpy(chunk, bytes.data(), bytes.shape(0));
  cache.shape().ClearUnused(chunk, n_tokens);  // others may get this memory after it
  cache.set_size(cache.size() + n_tokens);
}

// A full chunk of a cache, which other caches of the same decoder may take over.
struct SharedChunk {
  std::shared_ptr<KvPool> pool;
  KvChunk memory;
};

SharedChunk ShareChunk(KvCache& cache, size_t chunk) {
  if (chunk >= cache.size() / kKeyChunk) Refuse("no such full chunk");
  return {cache.pool(), cache.Share(chunk)};
}

void AppendChunk(KvCache& cache, const SharedChunk& chunk, size_t n_tokens) {
  if (chunk.pool != cache.pool()) Refuse("a chunk of a foreign KV cache");
  CheckNextChunk(cache, n_tokens);
  cache.Append(chunk.memory, n_tokens);
}

}  // namespace

void BindDecoder(nb::module_& m) {
  nb::class_<SharedChunk>(m, "SharedChunk", "Keys and values of 64 tokens, for many sequences.");
  nb::class_<KvCache>(m, "KvCache", "Keys and values of one sequence.")
      .def_prop_ro("format",
                   [](const KvCache& self) {
                     return self.shape().format == KvFormat::kInt8 ? "int8" : "f16";
                   },
                   "'f16' or 'int8'.")
      .def_prop_ro("size", &KvCache::size, "Tokens held.")
      .def_prop_ro("capacity", &KvCache::capacity)
      .def_prop_ro("chunk_bytes", [](const KvCache& self) { return self.shape().chunk_bytes(); })
      .def("truncate", &KvCache::Truncate, nb::arg("n_tokens"))
      .def("export_chunk", &ExportChunk, nb::arg("chunk"))
      .def("import_chunk", &ImportChunk, nb::arg("bytes"), nb::arg("n_tokens"))
      .def("share_chunk", &ShareChunk, nb::arg("chunk"))
      .def("append_chunk", &AppendChunk, nb::arg("chunk"), nb::arg("n_tokens"));
  m.attr("KEY_CHUNK") = kKeyChunk;
  nb::class_<PyDecoder>(m, "Decoder", "A decoder-only transformer over packed matrices.")
      .def(nb::init<const Matrix&, const Array<float, 1>&, const Matrix&, size_t, size_t, size_t,
                    size_t, float, float, const std::string&, const std::vector<double>&,
                    size_t, const std::string&>(),
           nb::kw_only(), nb::arg("embedding"), nb::arg("final_norm"), nb::arg("head"),
           nb::arg("query_heads"), nb::arg("kv_heads"), nb::arg("head_dim"), nb::arg("ffn_width"),
           nb::arg("norm_eps"), nb::arg("score_scale"), nb::arg("rope_pairs"),
           nb::arg("rope_frequencies"), nb::arg("threads"), nb::arg("kv") = "f16")
      .def("add_layer", &PyDecoder::AddLayer, nb::kw_only(), nb::arg("attention_norm"),
           nb::arg("query"), nb::arg("key"), nb::arg("value"), nb::arg("output"),
           nb::arg("ffn_norm"), nb::arg("gate"), nb::arg("up"), nb::arg("down"),
           nb::arg("window") = 0)
      .def("new_cache", &PyDecoder::NewCache, nb::arg("capacity"))
      .def("kv_memory", &PyDecoder::KvMemory)
      .def_prop_rw("threads", &PyDecoder::threads, &PyDecoder::SetThreads)
      .def_prop_ro("weight_memory", &PyDecoder::WeightMemory,
                   "Address and size in bytes of each piece of memory the matrices lie in.")
      .def("forward", &PyDecoder::Forward, nb::arg("tokens"), nb::arg("caches"),
           nb::arg("wanted"), "(n, V) float32 logits of the wanted tokens. Frees the GIL.");
}

}  // namespace aboard
