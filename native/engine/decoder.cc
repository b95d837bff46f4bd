// Runs a forward pass on the pool.
// Expects checked shapes and a checked batch.
// Exactness: see engine/forward.cc.
#include "engine/decoder.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/forward.h"

namespace aboard {

Decoder::Decoder(DecoderShape shape, std::vector<Layer> layers, PackedMatrix embedding,
                 Vector final_norm, PackedMatrix head, size_t threads, KvFormat kv_format,
                 std::optional<LayerEmbedding> layer_embedding)
    : shape_(std::move(shape)),
      layers_(std::move(layers)),
      embedding_(embedding),
      final_norm_(std::move(final_norm)),
      head_(head),
      layer_embedding_(std::move(layer_embedding)),
      kv_shape_{kv_format},
      machine_(threads) {
  if (layer_embedding_) shape_.token_width = layer_embedding_->norm.size();
  shape_.layers = layers_.size();
  for (Layer& layer : layers_) {
    if (layer.attention) FitAttention(*layer.attention);
    FitStates(layer);
    shape_.ffn_width = std::max(shape_.ffn_width, layer.feed_forward.gate.matrix.rows);
  }
  kv_pool_ = KvPool::Make(kv_shape_.chunk_bytes());
}

void Decoder::FitAttention(AttentionBlock& block) {
  const size_t heads = block.kv_heads, d = block.head_dim;
  shape_.head_dim = std::max(shape_.head_dim, d);
  shape_.kv_width = std::max(shape_.kv_width, heads * d);
  shape_.group = std::max(shape_.group, shape_.query_heads / heads);
  if (block.keys_of) {
    block.kv_layer = layers_[*block.keys_of].attention->kv_layer;
  } else {
    block.kv_layer = kv_shape_.layers.size();
    kv_shape_.AddLayer(heads, d);
  }
}

void Decoder::FitStates(const Layer& layer) {
  if (layer.short_conv || layer.delta_net) {
    ++kv_shape_.conv.layers;
    kv_shape_.conv.rows = shape_.conv_taps - 1;
    kv_shape_.conv.width = shape_.conv_width;
  }
  if (layer.delta_net) {
    ++kv_shape_.state.layers;
    kv_shape_.state.heads = shape_.delta.value_heads;
    kv_shape_.state.head_dim = shape_.delta.head_dim;
  }
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
  ForwardPass pass(shape_, kv_shape_.format, batch, machine.workspace, pool.threads());
  pass.Reserve(n_logits);
  pass.BeginSequences();
  prepare(pass);
  pool.Run([&](Team& team) { steps(pass, team); });
  for (const BatchToken& each : batch) each.cache->set_size(each.position + 1);
}

void Decoder::Forward(std::span<const BatchToken> batch, std::span<const size_t> wanted,
                      float* logits) {
  Run(batch, wanted.size(), [](ForwardPass&) {}, [&](ForwardPass& pass, Team& team) {
    pass.Embed(team, embedding_, layer_embedding_);
    size_t convolutions = 0;
    for (size_t i = 0; i < layers_.size(); ++i) {
      const Layer& layer = layers_[i];
      if (layer.attention) pass.Attend(team, *layer.attention);
      if (layer.short_conv) pass.Convolve(team, *layer.short_conv, convolutions++);
      if (layer.delta_net) pass.RecurDelta(team, *layer.delta_net, convolutions++);
      pass.FeedForward(team, layer.feed_forward, layer.token ? 1.0f : layer.scale);
      if (layer.token) pass.AddToken(team, *layer.token, i, layer.scale);
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
    pass.FeedForward(team, layer.feed_forward, layer.scale);
  } else if (layer.attention) {
    pass.Attend(team, *layer.attention);
  } else if (layer.short_conv) {
    pass.Convolve(team, *layer.short_conv, 0);
  } else {
    pass.RecurDelta(team, *layer.delta_net, 0);
  }
}

}  // namespace aboard
