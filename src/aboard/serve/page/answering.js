// An answer as it is made: events of the stream become a message's text, calls, tokens and facts.

/** @import { Api } from "./api.js" */
/** @import { Chunk, Facts, Message, ToolCall, WireMessage } from "./types.js" */

import { Failure } from "./api.js";

/**
 * Ask, and fill in the message until the answer is complete, stopped or refused.
 *
 * @param {Api} api
 * @param {WireMessage[]} messages
 * @param {Message} answer
 * @param {Facts} facts - of this answer; what it is asked with stands there
 * @param {AbortSignal} signal - stops it
 * @param {() => void} changed - called for each event
 */
export async function fill(api, messages, answer, facts, signal, changed) {
  const clock = new Clock();
  const body = {
    ...facts.options,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  };
  try {
    for await (const chunk of api.answer(body, signal)) {
      if (take(answer, facts, chunk)) clock.tick();
      facts.firstTokenS = clock.firstS;
      changed();
    }
  } catch (error) {
    if (signal.aborted) facts.stopped = true;
    else if (error instanceof Failure) facts.problem = error.problem;
    else throw error;
  }
  facts.tokensPerS = clock.rate(facts.usage?.completion_tokens ?? 0);
}

/** When an answer's tokens came. */
class Clock {
  #begin = performance.now();
  /** @type {number | null} */
  #first = null;
  #last = 0;

  tick() {
    this.#last = performance.now();
    this.#first ??= this.#last;
  }

  /** Seconds until the first token, if one has come. */
  get firstS() {
    if (this.#first === null) return undefined;
    return (this.#first - this.#begin) / 1000;
  }

  /**
   * Tokens a second after the first, if there were enough to tell.
   *
   * @param {number} n
   */
  rate(n) {
    const spanMs = this.#last - (this.#first ?? this.#last);
    return n > 1 && spanMs > 0 ? ((n - 1) * 1000) / spanMs : undefined;
  }
}

/**
 * Add to an answer what an event tells.
 *
 * @param {Message} answer
 * @param {Facts} facts
 * @param {Chunk} chunk
 * @returns {boolean} whether tokens came with it
 */
function take(answer, facts, chunk) {
  facts.fingerprint = chunk.system_fingerprint ?? facts.fingerprint;
  facts.usage = chunk.usage ?? facts.usage;
  const choice = chunk.choices[0];
  if (!choice) return false;
  const { delta } = choice;
  answer.content += delta.content ?? "";
  for (const part of delta.tool_calls ?? []) takeCall(answer, part);
  const tokens = choice.logprobs?.content ?? [];
  if (tokens.length) (answer.tokens ??= []).push(...tokens);
  facts.finish = choice.finish_reason ?? facts.finish;
  return Boolean(delta.content || delta.tool_calls?.length || tokens.length);
}

/**
 * @param {Message} answer
 * @param {NonNullable<Chunk["choices"][0]["delta"]["tool_calls"]>[0]} part
 */
function takeCall(answer, part) {
  answer.toolCalls ??= [];
  /** @type {ToolCall} */
  const call = (answer.toolCalls[part.index] ??= {
    id: "",
    type: "function",
    function: { name: "", arguments: "" },
  });
  call.id = part.id ?? call.id;
  call.function.name += part.function?.name ?? "";
  call.function.arguments += part.function?.arguments ?? "";
}
