// Runs the phases of an encoder on the pool.
// Expects checked shapes and checked texts.
// Exactness: see engine/encoder_pass.cc.
#include "engine/encoder.h"

#include <utility>

namespace aboard {

Encoder::Encoder(EncoderShape shape, EncoderEmbedding embedding, std::vector<EncoderLayer> layers,
                 size_t threads, bool floats)
    : shape_(shape),
      embedding_(std::move(embedding)),
      layers_(std::move(layers)),
      floats_(floats),
      machine_(threads) {}

void Encoder::Encode(std::span<const int32_t> tokens, std::span<const size_t> lengths,
                     bool normalize, float* out) {
  auto& machine = machine_.Get();
  const std::lock_guard lock(machine.mutex);
  if (lengths.empty()) return;
  machine.pool.Resize(machine_.threads());
  EncoderPass pass(shape_, tokens, lengths, floats_, machine.workspace);
  pass.Reserve(machine.pool.threads());
  machine.pool.Run([&](Team& team) {
    pass.Embed(team, embedding_);
    for (const EncoderLayer& layer : layers_) {
      pass.Attend(team, layer);
      pass.FeedForward(team, layer);
    }
    pass.PoolTexts(team, normalize, out);
  });
}

}  // namespace aboard
