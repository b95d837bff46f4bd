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

KvShape Decoder::kv_shape() const {
  KvShape shape{0, shape_.kv_heads, shape_.head_dim, kv_format_};
  for (const Layer& layer : layers_) {
    if (layer.attention) ++shape.layers;
    if (layer.short_conv || layer.delta_net) ++shape.conv.layers;
    if (layer.delta_net) ++shape.state.layers;
  }
  if (shape.conv.layers != 0) {
    shape.conv.rows = shape_.conv_taps - 1;
    shape.conv.width = shape_.conv_width;
  }
  if (shape.state.layers != 0) {
    shape.state.heads = shape_.delta.value_heads;
    shape.state.head_dim = shape_.delta.head_dim;
  }
  return shape;
}

template <class Prepare, class Steps>
void Decoder::Run(std::span<const BatchToken> batch, size_t n_logits, const Prepare& prepare,
                  const Steps& steps) {
  auto& machine = machine_.Get();
  const std::lock_guard lock(machine.mutex);
  if (batch.empty()) return;
  for (const BatchToken& each : batch) each.cache->Reserve(each.position + 1);
  Pool& pool = machine.pool;
  pool.Resize(machine_.threads());
  machine.workspace.threads.resize(pool.threads());
  ForwardPass pass(shape_, kv_format_, batch, machine.workspace, pool.threads());
  pass.Reserve(n_logits);
  pass.BeginSequences();
  prepare(pass);
  pool.Run([&](Team& team) { steps(pass, team); });
  for (const BatchToken& each : batch) each.cache->set_size(each.position + 1);
}

void Decoder::Forward(std::span<const BatchToken> batch, std::span<const size_t> wanted,
                      float* logits) {
  Run(batch, wanted.size(), [](ForwardPass&) {}, [&](ForwardPass& pass, Team& team) {
    pass.Embed(team, embedding_);
    size_t attentions = 0, convolutions = 0;
    for (const Layer& layer : layers_) {
      if (layer.attention) pass.Attend(team, *layer.attention, attentions++);
      if (layer.short_conv) pass.Convolve(team, *layer.short_conv, convolutions++);
      if (layer.delta_net) pass.RecurDelta(team, *layer.delta_net, convolutions++);
      pass.FeedForward(team, layer.feed_forward);
    }
    pass.Head(team, final_norm_, head_, wanted, logits);
  });
}

void Decoder::RunHalf(std::span<const BatchToken> batch, LayerHalf half, float* hidden) {
  Run(batch, 0, [](ForwardPass&) {}, [&](ForwardPass& pass, Team& team) {
    pass.Enter(team, hidden);
    DoHalf(pass, team, half);
    pass.Leave(team, hidden);
  });
}

void Decoder::TapInputs(std::span<const BatchToken> batch, const LayerPart& part,
                        const float* hidden, float* inputs) {
  Run(batch, 0, [&](ForwardPass& pass) { pass.TapInputs(part, inputs); },
      [&](ForwardPass& pass, Team& team) {
        pass.Enter(team, hidden);
        DoHalf(pass, team, part.half);
      });
}

void Decoder::DoHalf(ForwardPass& pass, Team& team, LayerHalf half) {
  const Layer& layer = layers_.front();
  if (half == LayerHalf::kEnd) {
    pass.NormAtEnd(team, final_norm_);
  } else if (half == LayerHalf::kFeed) {
    pass.FeedForward(team, layer.feed_forward);
  } else if (layer.attention) {
    pass.Attend(team, *layer.attention, 0);
  } else if (layer.short_conv) {
    pass.Convolve(team, *layer.short_conv, 0);
  } else {
    pass.RecurDelta(team, *layer.delta_net, 0);
  }
}

}  // namespace aboard
