// Runs a model from a flat file without Python: the engine on machines that only an emulator has,
// and under sanitizers. "together": also what sequences, callers and processes do at once, see
// replay/together.h. Usage: replay FILE THREADS [ISA [together]] > logits
// Expects the file that tools/replay.py writes; a trusted file of our own, so errors just end it.
// Exactness: the same engine; the logits must equal Python's, byte for byte.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "engine/decoder.h"
#include "engine/packing.h"
#include "engine/pages.h"
#include "isa/kernels.h"
#include "replay/together.h"

namespace aboard {
namespace {

[[noreturn]] void Fail(const std::string& message) {
  std::fprintf(stderr, "replay: %s\n", message.c_str());
  std::exit(1);
}

// Numbers are 64-bit little-endian, texts and arrays are preceded by their length.
class Reader {
 public:
  explicit Reader(const char* path) : file_(std::fopen(path, "rb")) {
    if (file_ == nullptr) Fail(std::string("can't open ") + path);
  }
  ~Reader() { std::fclose(file_); }

  void Bytes(void* out, size_t size) {
    if (size != 0 && std::fread(out, 1, size, file_) != size) Fail("the file is cut short");
  }
  template <class T>
  T Value() {
    T value;
    Bytes(&value, sizeof value);
    return value;
  }
  size_t Size() { return Value<uint64_t>(); }
  template <class T>
  std::vector<T> Values() {
    std::vector<T> values(Size());
    Bytes(values.data(), values.size() * sizeof(T));
    return values;
  }
  std::string Text() {
    const std::vector<char> text = Values<char>();
    return {text.begin(), text.end()};
  }

 private:
  std::FILE* file_;
};

// Packed matrices by name, in memory of their own.
class Matrices {
 public:
  void Read(Reader& reader) {
    const std::string name = reader.Text(), format_name = reader.Text();
    const size_t rows = reader.Size(), cols = reader.Size();
    const auto raw = reader.Values<uint8_t>();
    const auto format = FormatByName(format_name);
    if (!format) Fail("unknown format " + format_name);
    const size_t panel_bytes = PanelBytes(*format, cols), row_bytes = RowBytes(*format, cols);
    const size_t panels = (rows + kPanelRows - 1) / kPanelRows;
    pages_.push_back(std::make_unique<Pages>(panels * panel_bytes));
    for (size_t row = 0; row < rows; row += kPanelRows) {
      const size_t n = std::min(kPanelRows, rows - row);
      PackPanel(*format, raw.data() + row * row_bytes, n, cols,
                pages_.back()->data() + row / kPanelRows * panel_bytes);
    }
    matrices_[name] = {pages_.back()->data(), panel_bytes, ScalesOffset(*format, cols),
                       rows, cols, *format};
  }
  const PackedMatrix& operator[](const std::string& name) const {
    const auto found = matrices_.find(name);
    if (found == matrices_.end()) Fail("no matrix " + name);
    return found->second;
  }

 private:
  std::vector<std::unique_ptr<Pages>> pages_;
  std::map<std::string, PackedMatrix> matrices_;
};

Layer ReadLayer(Reader& reader, const Matrices& matrices) {
  Layer layer;
  AttentionBlock& attention = layer.attention;
  attention.norm = reader.Values<float>();
  for (PackedMatrix* each :
       {&attention.query, &attention.key, &attention.value, &attention.output}) {
    *each = matrices[reader.Text()];
  }
  FeedForwardBlock& feed_forward = layer.feed_forward;
  feed_forward.norm = reader.Values<float>();
  for (PackedMatrix* each : {&feed_forward.gate, &feed_forward.up, &feed_forward.down}) {
    *each = matrices[reader.Text()];
  }
  return layer;
}

// The same tokens once more, beginning with the chunks of `donor`; ends the program where a logit
// is another.
void CheckSharing(Decoder& decoder, KvCache& donor, const std::vector<int32_t>& tokens,
                  const std::vector<float>& last) {
  KvCache cache = decoder.NewCache(tokens.size());
  while (cache.size() + kKeyChunk < tokens.size()) {
    cache.Append(donor.Share(cache.size() / kKeyChunk), kKeyChunk);
  }
  if (cache.size() == 0) return;
  cache.Truncate(cache.size() - 1);  // into a shared chunk, which is to be copied
  std::vector<BatchToken> batch;
  for (size_t i = cache.size(); i < tokens.size(); ++i) batch.push_back({tokens[i], &cache, i});
  const std::vector<size_t> wanted = {batch.size() - 1};
  std::vector<float> logits(last.size());
  decoder.Forward(batch, wanted, logits.data());
  if (std::memcmp(logits.data(), last.data(), last.size() * sizeof(float)) != 0) {
    Fail("a sequence that shares chunks computes other logits");
  }
}

void Replay(const char* path, size_t threads, bool together) {
  Reader reader(path);
  DecoderShape shape;
  shape.width = reader.Size();
  shape.query_heads = reader.Size();
  shape.kv_heads = reader.Size();
  shape.head_dim = reader.Size();
  shape.ffn_width = reader.Size();
  shape.vocabulary = reader.Size();
  shape.norm_eps = reader.Value<float>();
  shape.score_scale = reader.Value<float>();
  shape.rope_pairs = reader.Size() == 0 ? RopePairs::kAdjacent : RopePairs::kHalves;
  const double base = reader.Value<double>(), scale = reader.Value<double>();
  const size_t rotated_dims = reader.Size();
  shape.rope_frequencies =
      RopeFrequencies(base, rotated_dims, reader.Values<double>(), scale);
  const std::vector<int32_t> tokens = reader.Values<int32_t>();
  const size_t chunk = reader.Size();
  const KvFormat kv_format = reader.Text() == "int8" ? KvFormat::kInt8 : KvFormat::kF16;
  Matrices matrices;
  for (size_t n = reader.Size(); n > 0; --n) matrices.Read(reader);
  const PackedMatrix embedding = matrices[reader.Text()], head = matrices[reader.Text()];
  const auto final_norm = reader.Values<float>();
  std::vector<Layer> layers(reader.Size());
  for (Layer& layer : layers) layer = ReadLayer(reader, matrices);

  Pool::AssumeCores(2 * threads + 2);  // all threads begin, however few cores an emulator has
  Decoder decoder(shape, std::move(layers), embedding, final_norm, head, threads,
                  kv_format);
  KvCache cache = decoder.NewCache(tokens.size());
  std::vector<float> all;
  for (size_t first = 0; first < tokens.size(); first += chunk) {
    std::vector<BatchToken> batch;
    std::vector<size_t> wanted;
    for (size_t i = first; i < std::min(first + chunk, tokens.size()); ++i) {
      wanted.push_back(batch.size());
      batch.push_back({tokens[i], &cache, i});
    }
    std::vector<float> logits(wanted.size() * shape.vocabulary);
    decoder.Forward(batch, wanted, logits.data());
    if (std::fwrite(logits.data(), sizeof(float), logits.size(), stdout) != logits.size()) {
      Fail("can't write the logits");
    }
    all.insert(all.end(), logits.begin(), logits.end());
  }
  const std::vector<float> last(all.end() - static_cast<ptrdiff_t>(shape.vocabulary), all.end());
  CheckSharing(decoder, cache, tokens, last);
  if (!together) return;
  const auto new_cache = [&] {
    return std::make_unique<KvCache>(decoder.NewCache(tokens.size()));
  };
  const Scenario scenario{decoder, new_cache, tokens, all, threads};
  CheckTogether(scenario);
  CheckCallers(scenario);
  CheckFork(scenario);
}

}  // namespace
}  // namespace aboard

int main(int argc, char** argv) {
  if (argc < 3) aboard::Fail("usage: replay FILE THREADS [ISA [together]] > logits");
  if (argc > 3 && !aboard::ForceIsa(argv[3])) {
    aboard::Fail(std::string("the instruction set doesn't run here: ") + argv[3]);
  }
  const bool together = argc > 4 && std::strcmp(argv[4], "together") == 0;
  aboard::Replay(argv[1], std::strtoul(argv[2], nullptr, 10), together);
}
