// Python's KV cache: every chunk is checked here, once.
// Expects contiguous arrays.
// Exactness: copies bytes.
#include "engine/kv_cache.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "bindings/bindings.h"

namespace aboard {
namespace {

const char* NameOf(KvFormat format) {
  return format == KvFormat::kInt8 ? "int8" : format == KvFormat::kF32 ? "f32" : "f16";
}

// Chunk by chunk, for saving; keys beyond the end are zeros.
NumpyArray<uint8_t, 1> ExportChunk(const KvCache& cache, size_t chunk) {
  const KvShape& shape = cache.shape();
  if (chunk * kKeyChunk >= cache.size()) Refuse("no such chunk");
  auto out = NewArray<uint8_t, 1>({shape.chunk_bytes()});
  std::memcpy(out.data(), cache.Chunk(chunk), shape.chunk_bytes());
  const size_t n_tokens = std::min(kKeyChunk, cache.size() - chunk * kKeyChunk);
  shape.ClearUnused(out.data(), n_tokens);
  if (n_tokens < kKeyChunk && shape.keeps_ends()) {
    cache.SaveRecent(out.data() + shape.conv_offset());
  }
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
  cache.LoadRecent();
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
  if (cache.shape().state.layers != 0) Refuse("chunks don't hold the state of a delta net");
  if (cache.shape().conv.layers != 0 && n_tokens < kKeyChunk) {
    Refuse("convolutions go on from the ends of chunks only");
  }
  cache.Append(chunk.memory, n_tokens);
}

NumpyArray<uint8_t, 1> ExportState(const KvCache& cache) {
  if (cache.shape().state.layers == 0 || cache.size() == 0) Refuse("there is no state");
  auto out = NewArray<uint8_t, 1>({cache.shape().state_bytes()});
  cache.SaveState(out.data());
  return out;
}

// Behind the last token, whose chunk is there.
void ImportState(KvCache& cache, const Array<uint8_t, 1>& bytes) {
  if (cache.shape().state.layers == 0 || cache.size() == 0 ||
      bytes.shape(0) != cache.shape().state_bytes()) {
    Refuse("no state of such a KV cache");
  }
  std::vector<uint8_t> state(bytes.data(), bytes.data() + bytes.shape(0));
  cache.LoadState(state.data());
}

}  // namespace

void BindKvCache(nb::module_& m) {
  nb::class_<SharedChunk>(m, "SharedChunk", "Keys and values of 64 tokens, for many sequences.");
  nb::class_<KvCache>(m, "KvCache", "Keys and values of one sequence.")
      .def_prop_ro("format",
                   [](const KvCache& self) {
                     return NameOf(self.shape().format);
                   },
                   "'f16', 'int8' or 'f32'.")
      .def_prop_ro("size", &KvCache::size, "Tokens held.")
      .def_prop_ro("capacity", &KvCache::capacity)
      .def_prop_ro("whole_chunks",
                   [](const KvCache& self) { return self.shape().conv.layers != 0; },
                   "Whether shared chunks can only be taken over whole.")
      .def_prop_ro("shares",
                   [](const KvCache& self) { return self.shape().state.layers == 0; },
                   "Whether chunks are all that a sequence goes on from.")
      .def_prop_ro("state_bytes",
                   [](const KvCache& self) { return self.shape().state_bytes(); },
                   "Of what a sequence goes on from beside its chunks.")
      .def("export_state", &ExportState)
      .def("import_state", &ImportState, nb::arg("bytes"))
      .def_prop_ro("chunk_bytes", [](const KvCache& self) { return self.shape().chunk_bytes(); })
      .def("truncate", &KvCache::Truncate, nb::arg("n_tokens"),
           "Forgets tokens from n_tokens on, or from the beginning of that chunk on where it can't "
           "go on within it.")
      .def("export_chunk", &ExportChunk, nb::arg("chunk"))
      .def("import_chunk", &ImportChunk, nb::arg("bytes"), nb::arg("n_tokens"))
      .def("share_chunk", &ShareChunk, nb::arg("chunk"))
      .def("append_chunk", &AppendChunk, nb::arg("chunk"), nb::arg("n_tokens"));
  m.attr("KEY_CHUNK") = kKeyChunk;
}

}  // namespace aboard
