// Runs a forward pass on the pool.
// Expects checked shapes and a checked batch.
// Exactness: see engine/forward.cc.
#include "engine/decoder.h"

#include <memory>
#include <utility>

#include "engine/forward.h"

namespace aboard {

Decoder::Decoder(DecoderShape shape, std::vector<Layer> layers, PackedMatrix embedding,
                 Vector final_norm, PackedMatrix head, size_t threads,
                 KvFormat kv_format)
    : shape_(std::move(shape)),
      layers_(std::move(layers)),
      embedding_(embedding),
      final_norm_(std::move(final_norm)),
      head_(head),
      kv_format_(kv_format),
      kv_pool_(KvPool::Make(kv_shape().chunk_bytes())),
      machine_(threads) {}

void Decoder::Forward(std::span<const BatchToken> batch, std::span<const size_t> wanted,
                      float* logits) {
  auto& machine = machine_.Get();
  const std::lock_guard lock(machine.mutex);
  if (batch.empty()) return;
  for (const BatchToken& each : batch) each.cache->Reserve(each.position + 1);
  Pool& pool = machine.pool;
  pool.Resize(machine_.threads());
  machine.workspace.threads.resize(pool.threads());
  ForwardPass pass(shape_, kv_format_, batch, machine.workspace, pool.threads());
  pass.Reserve(wanted.size());
  pool.Run([&](Team& team) {
    pass.Embed(team, embedding_);
    for (size_t layer = 0; layer < layers_.size(); ++layer) {
      pass.Attend(team, layers_[layer].attention, layer);
      pass.FeedForward(team, layers_[layer].feed_forward);
    }
    pass.Head(team, final_norm_, head_, wanted, logits);
  });
  for (const BatchToken& each : batch) each.cache->set_size(each.position + 1);
}

}  // namespace aboard
