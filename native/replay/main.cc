// Runs a model from a flat file without Python: the engine on machines that only an emulator has,
// and under sanitizers. "together": also what sequences, callers and processes do at once, see
// replay/together.h. "encoder": the file is an encoder's. Usage:
//   replay FILE THREADS [ISA [together|encoder]] > logits, or vectors
// Expects what replay/flat.h says.
// Exactness: the same engine; what it writes must equal Python's, byte for byte.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "engine/decoder.h"
#include "isa/kernels.h"
#include "replay/encoder.h"
#include "replay/flat.h"
#include "replay/together.h"

namespace aboard {
namespace {

ShortConvBlock ReadShortConv(Reader& reader, const Matrices& matrices) {
  ShortConvBlock block;
  for (Linear* each : {&block.in_gate, &block.out_gate, &block.input, &block.output}) {
    *each = ReadLinear(reader, matrices);
  }
  block.norm = reader.Values<float>();
  block.taps = reader.Values<float>();
  return block;
}

// And its shape, which `shape` is given.
DeltaNetBlock ReadDeltaNet(Reader& reader, const Matrices& matrices, DecoderShape& shape) {
  DeltaNetBlock block;
  for (Linear* each : {&block.mixed, &block.gate, &block.alpha, &block.beta, &block.output}) {
    *each = ReadLinear(reader, matrices);
  }
  for (Vector* each : {&block.norm, &block.taps, &block.decay, &block.time_step,
                       &block.head_norm}) {
    *each = reader.Values<float>();
  }
  const size_t d = block.head_norm.size();
  block.query_scale.assign(d, 1.0f / static_cast<float>(d));
  block.key_scale.assign(d, 1.0f / std::sqrt(static_cast<float>(d)));
  shape.delta = {reader.Size(), block.decay.size(), d};
  shape.conv_width = shape.delta.mixed();
  shape.conv_taps = block.taps.size() / shape.conv_width;
  return block;
}

AttentionBlock ReadAttention(Reader& reader, const Matrices& matrices) {
  AttentionBlock attention;
  attention.kv_heads = reader.Size();
  attention.head_dim = reader.Size();
  // 0 for none, so that all are sizes.
  const size_t keys_of = reader.Size();
  if (keys_of != 0) attention.keys_of = keys_of - 1;
  for (Linear* each : {&attention.query, &attention.key, &attention.value, &attention.output}) {
    *each = ReadLinear(reader, matrices);
  }
  for (Vector* each : {&attention.norm, &attention.post_norm, &attention.query_norm,
                       &attention.key_norm, &attention.value_norm}) {
    *each = reader.Values<float>();
  }
  attention.gated = reader.Size() != 0;
  attention.window = reader.Size();
  attention.rope = static_cast<int>(reader.Size()) - 1;
  return attention;
}

GateFunction FunctionOf(size_t number) {
  return number == 0 ? GateFunction::kSilu : GateFunction::kGelu;
}

// What it says of the shape, `shape` is given.
Layer ReadLayer(Reader& reader, const Matrices& matrices, DecoderShape& shape) {
  Layer layer;
  const size_t kind = reader.Size();
  if (kind == 0) {
    layer.attention = ReadAttention(reader, matrices);
    shape.gated = shape.gated || layer.attention->gated;
  } else if (kind == 1) {
    layer.short_conv = ReadShortConv(reader, matrices);
    shape.conv_width = shape.width;
    shape.conv_taps = layer.short_conv->taps.size() / shape.width;
  } else {
    layer.delta_net = ReadDeltaNet(reader, matrices, shape);
  }
  FeedForwardBlock& feed_forward = layer.feed_forward;
  for (Linear* each : {&feed_forward.gate, &feed_forward.up, &feed_forward.down}) {
    *each = ReadLinear(reader, matrices);
  }
  feed_forward.norm = reader.Values<float>();
  feed_forward.post_norm = reader.Values<float>();
  feed_forward.function = FunctionOf(reader.Size());
  layer.scale = reader.Value<float>();
  if (reader.Size() != 0) {
    TokenBlock& token = layer.token.emplace();
    token.gate = ReadLinear(reader, matrices);
    token.output = ReadLinear(reader, matrices);
    token.post_norm = reader.Values<float>();
    token.function = FunctionOf(reader.Size());
  }
  return layer;
}

std::optional<LayerEmbedding> ReadLayerEmbedding(Reader& reader, const Matrices& matrices) {
  if (reader.Size() == 0) return std::nullopt;
  LayerEmbedding layers;
  layers.table = matrices[reader.Text()];
  layers.projection = ReadLinear(reader, matrices);
  layers.norm = reader.Values<float>();
  for (float* each : {&layers.table_scale, &layers.projection_scale, &layers.sum_scale}) {
    *each = reader.Value<float>();
  }
  return layers;
}

DecoderShape ReadShape(Reader& reader) {
  DecoderShape shape;
  for (size_t* each : {&shape.width, &shape.query_heads, &shape.vocabulary}) {
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
  if (donor.shape().state.layers != 0) return;  // chunks are not all that it goes on from
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
  DecoderShape shape = ReadShape(reader);
  const std::vector<int32_t> tokens = reader.Values<int32_t>();
  const size_t chunk = reader.Size();
  const KvFormat kv_format = KvFormatOf(reader.Text());
  Matrices matrices;
  for (size_t n = reader.Size(); n > 0; --n) matrices.Read(reader);
  const PackedMatrix embedding = matrices[reader.Text()], head = matrices[reader.Text()];
  const auto final_norm = reader.Values<float>();
  std::vector<Layer> layers(reader.Size());
  for (Layer& layer : layers) layer = ReadLayer(reader, matrices, shape);
  const auto layer_embedding = ReadLayerEmbedding(reader, matrices);

  Pool::AssumeCores(2 * threads + 2);  // all threads begin, however few cores an emulator has
  Decoder decoder(shape, std::move(layers), embedding, final_norm, head, threads,
                  kv_format, layer_embedding);
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
  if (argc < 3) aboard::Fail("usage: replay FILE THREADS [ISA [together|encoder]] > logits");
  if (argc > 3 && !aboard::ForceIsa(argv[3])) {
    aboard::Fail(std::string("the instruction set doesn't run here: ") + argv[3]);
  }
  const std::string option = argc > 4 ? argv[4] : "";
  const size_t threads = std::strtoul(argv[2], nullptr, 10);
  if (option == "encoder") {
    aboard::ReplayEncoder(argv[1], threads);
  } else {
    aboard::Replay(argv[1], threads, option == "together");
  }
}
