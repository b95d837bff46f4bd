// Runs a forward pass on the pool.
// Expects checked shapes and a checked batch.
// Exactness: see engine/forward.cc.
#include "engine/decoder.h"

#include <utility>

#include "engine/forward.h"

namespace aboard {

Decoder::Decoder(DecoderShape shape, std::vector<Layer> layers, PackedMatrix embedding,
                 std::vector<float> final_norm, PackedMatrix head, size_t threads)
    : shape_(std::move(shape)),
      layers_(std::move(layers)),
      embedding_(embedding),
      final_norm_(std::move(final_norm)),
      head_(head),
      pool_(threads) {}

void Decoder::Forward(std::span<const BatchToken> batch, std::span<const size_t> wanted,
                      float* logits) {
  const std::lock_guard lock(mutex_);
  if (batch.empty()) return;
  workspace_.threads.resize(pool_.threads());
  ForwardPass pass(shape_, batch, workspace_, pool_.threads());
  pass.Reserve(wanted.size());
  pool_.Run([&](Team& team) {
    pass.Embed(team, embedding_);
    for (size_t layer = 0; layer < layers_.size(); ++layer) {
      pass.Attend(team, layers_[layer].attention, layer);
      pass.FeedForward(team, layers_[layer].feed_forward);
    }
    pass.Head(team, final_norm_, head_, wanted, logits);
  });
  for (const BatchToken& each : batch) each.cache->set_size(each.position + 1);
}

void Decoder::set_threads(size_t threads) {
  const std::lock_guard lock(mutex_);
  pool_.Resize(threads);
}

}  // namespace aboard
