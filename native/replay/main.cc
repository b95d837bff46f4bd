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

Linear ReadLinear(Reader& reader, const Matrices& matrices) {
  const PackedMatrix& matrix = matrices[reader.Text()];
  return {matrix, reader.Values<float>()};
}

Layer ReadLayer(Reader& reader, const Matrices& matrices) {
  Layer layer;
  AttentionBlock& attention = layer.attention;
  for (Linear* each : {&attention.query, &attention.key, &attention.value, &attention.output}) {
    *each = ReadLinear(reader, matrices);
  }
  for (Vector* each : {&attention.norm, &attention.post_norm, &attention.query_norm,
                       &attention.key_norm}) {
    *each = reader.Values<float>();
  }
  attention.window = reader.Size();
  attention.rope = static_cast<int>(reader.Size()) - 1;
  FeedForwardBlock& feed_forward = layer.feed_forward;
  for (Linear* each : {&feed_forward.gate, &feed_forward.up, &feed_forward.down}) {
    *each = ReadLinear(reader, matrices);
  }
  feed_forward.norm = reader.Values<float>();
  feed_forward.post_norm = reader.Values<float>();
  feed_forward.function = reader.Size() == 0 ? GateFunction::kSilu : GateFunction::kGelu;
  return layer;
}

DecoderShape ReadShape(Reader& reader) {
  DecoderShape shape;
  for (size_t* each : {&shape.width, &shape.query_heads, &shape.kv_heads, &shape.head_dim,
                       &shape.ffn_width, &shape.vocabulary}) {
    *each = reader.Size();
  }
  for (float* each : {&shape.norm_eps, &shape.score_scale, &shape.score_cap,
                      &shape.embedding_scale, &shape.residual_scale, &shape.logit_scale,
                      &shape.logit_cap}) {
    *each = reader.Value<float>();
  }
  shape.temperature = reader.Value<double>();
  shape.temperature_context = reader.Size();
  for (size_t n = reader.Size(); n > 0; --n) {
    Rope rope;
    rope.pairs = reader.Size() == 0 ? RopePairs::kAdjacent : RopePairs::kHalves;
    rope.frequencies = reader.Values<double>();
    rope.factor = reader.Value<double>();
    shape.ropes.push_back(rope);
  }
  return shape;
}

KvFormat KvFormatOf(const std::string& name) {
  return name == "int8" ? KvFormat::kInt8 : name == "f32" ? KvFormat::kF32 : KvFormat::kF16;
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
  const DecoderShape shape = ReadShape(reader);
  const std::vector<int32_t> tokens = reader.Values<int32_t>();
  const size_t chunk = reader.Size();
  const KvFormat kv_format = KvFormatOf(reader.Text());
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
