// Texts together, each alone, and callers at once: see encoder.h.
// Expects what encoder.h says.
// Exactness: vectors are compared as bytes.
#include "replay/encoder.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/encoder.h"
#include "engine/pool.h"
#include "replay/flat.h"

namespace aboard {
namespace {

// Texts, one after the other, and how long each is.
struct Texts {
  std::vector<int32_t> tokens;
  std::vector<size_t> lengths;
};

EncoderShape ReadShape(Reader& reader) {
  EncoderShape shape;
  for (size_t* each : {&shape.width, &shape.heads, &shape.ffn_width, &shape.vocabulary,
                       &shape.positions}) {
    *each = reader.Size();
  }
  shape.norm_eps = reader.Value<float>();
  shape.score_scale = reader.Value<float>();
  shape.pooling = reader.Size() == 0 ? Pooling::kMean : Pooling::kFirst;
  return shape;
}

LayerNormWeights ReadNorm(Reader& reader) {
  LayerNormWeights norm;
  norm.weight = reader.Values<float>();
  norm.bias = reader.Values<float>();
  return norm;
}

EncoderLayer ReadLayer(Reader& reader, const Matrices& matrices) {
  EncoderLayer layer;
  for (Linear* each : {&layer.query, &layer.key, &layer.value, &layer.output, &layer.up,
                       &layer.down}) {
    *each = ReadLinear(reader, matrices);
  }
  layer.attention_norm = ReadNorm(reader);
  layer.output_norm = ReadNorm(reader);
  return layer;
}

std::vector<float> Encode(Encoder& encoder, std::span<const int32_t> tokens,
                          std::span<const size_t> lengths) {
  std::vector<float> vectors(lengths.size() * encoder.shape().width);
  encoder.Encode(tokens, lengths, true, vectors.data());
  return vectors;
}

// Each text on its own; ends the program where its vector is another than that in `expected`.
void CheckAlone(Encoder& encoder, const Texts& texts, const std::vector<float>& expected,
                const char* what) {
  const size_t width = encoder.shape().width;
  size_t first = 0;
  for (size_t i = 0; i < texts.lengths.size(); ++i) {
    const std::span<const int32_t> tokens(texts.tokens.data() + first, texts.lengths[i]);
    const auto alone = Encode(encoder, tokens, {&texts.lengths[i], 1});
    if (std::memcmp(alone.data(), expected.data() + i * width, width * sizeof(float)) != 0) {
      Fail(std::string(what) + ": another vector of text " + std::to_string(i));
    }
    first += texts.lengths[i];
  }
}

// Two callers share the encoder while the number of threads changes.
void CheckCallers(Encoder& encoder, const Texts& texts, const std::vector<float>& expected,
                  size_t threads) {
  std::thread other([&] {
    for (int i = 0; i < 4; ++i) CheckAlone(encoder, texts, expected, "another caller");
  });
  for (const size_t n : {threads + 1, size_t{1}, threads}) {
    encoder.set_threads(n);
    CheckAlone(encoder, texts, expected, "a caller beside another");
  }
  other.join();
}

}  // namespace

void ReplayEncoder(const char* path, size_t threads) {
  Reader reader(path);
  const EncoderShape shape = ReadShape(reader);
  const bool floats = reader.Size() != 0;
  Texts texts{reader.Values<int32_t>(), {}};
  for (const uint64_t length : reader.Values<uint64_t>()) texts.lengths.push_back(length);
  Matrices matrices;
  for (size_t n = reader.Size(); n > 0; --n) matrices.Read(reader);
  EncoderEmbedding embedding;
  embedding.tokens = matrices[reader.Text()];
  embedding.positions = matrices[reader.Text()];
  embedding.type = reader.Values<float>();
  embedding.norm = ReadNorm(reader);
  std::vector<EncoderLayer> layers(reader.Size());
  for (EncoderLayer& layer : layers) layer = ReadLayer(reader, matrices);

  Pool::AssumeCores(2 * threads + 2);  // all threads begin, however few cores an emulator has
  Encoder encoder(shape, std::move(embedding), std::move(layers), threads, floats);
  const auto vectors = Encode(encoder, texts.tokens, texts.lengths);
  if (std::fwrite(vectors.data(), sizeof(float), vectors.size(), stdout) != vectors.size()) {
    Fail("can't write the vectors");
  }
  CheckAlone(encoder, texts, vectors, "a text alone");
  if (threads > 1) CheckCallers(encoder, texts, vectors, threads);
}

}  // namespace aboard
