// What is asked and answered: every message shown is the answer to those above it, or asks on.

/** @import { Api } from "./api.js" */
/** @import { Conversations } from "./conversations.js" */
/** @import { Log } from "./log.js" */
/** @import { Notice } from "./notice.js" */
/** @import { Facts, Message, Options } from "./types.js" */

import { fill } from "./answering.js";
import { isWhole, wire } from "./conversations.js";
import { Invalid } from "./fields.js";

/**
 * One answer at a time. Whether one is under way is told by the event "busy", its end by "answered".
 *
 * @typedef {{
 *   api: Api,
 *   conversations: Conversations,
 *   log: Log,
 *   notice: Notice,
 *   options: () => Options,
 *   invalid: (mistake: Invalid) => void,
 * }} Parts - `options`: what the settings say; `invalid`: they can't be asked with
 */
export class Chat extends EventTarget {
  /** @param {Parts} parts */
  constructor(parts) {
    super();
    this.parts = parts;
    /** @type {AbortController | null} */
    this.running = null;
    this.where = parts.conversations.current;
    parts.conversations.addEventListener("list", () => {
      if (this.busy && !parts.conversations.all.includes(this.where))
        this.stop();
    });
  }

  /** Whether an answer is under way. */
  get busy() {
    return this.running !== null;
  }

  /** End the answer under way; what has come of it stays. */
  stop() {
    this.running?.abort();
    this.#runs(null);
  }

  /**
   * Say something and have it answered.
   *
   * @param {string} text
   * @returns {boolean} whether it was said
   */
  send(text) {
    const options = this.#options();
    if (!options) return false;
    const { conversations } = this.parts;
    const last = conversations.current.messages.at(-1);
    this.stop();
    if (last?.facts?.problem && !last.content) conversations.cut(last);
    conversations.settle();
    conversations.add({ role: "user", content: text });
    this.#answer(options);
    return true;
  }

  /**
   * Say something else in the place of a message: what followed it is gone.
   *
   * @param {Message} message
   * @param {string} text
   */
  edit(message, text) {
    const options = this.#options();
    if (!options) return;
    this.#cut(message);
    const { role } = message;
    this.parts.conversations.add({ role, content: text });
    if (role === "user") this.#answer(options);
  }

  /**
   * Another answer in the place of this one.
   *
   * @param {Message} message
   */
  regenerate(message) {
    const options = this.#options();
    if (!options) return;
    this.#cut(message);
    this.#answer(options);
  }

  /** @param {Message} message */
  remove(message) {
    const n = this.#cut(message);
    this.offerUndo(n === 1 ? "1 message deleted." : `${n} messages deleted.`);
  }

  /**
   * Go on with what the called functions gave.
   *
   * @param {Message} message
   * @param {Map<string, string>} results - by the calls' ids
   */
  results(message, results) {
    const options = this.#options();
    if (!options) return;
    const { conversations, log } = this.parts;
    this.stop();
    for (const [toolCallId, content] of results)
      conversations.add({ role: "tool", content, toolCallId });
    conversations.settle();
    log.refresh(message);
    this.#answer(options);
  }

  /**
   * Whether the calls of a message still have no results.
   *
   * @param {Message} message
   */
  waits(message) {
    const { facts, toolCalls } = message;
    const last = this.parts.conversations.current.messages.at(-1);
    const isEnded = last === message && facts?.finish !== undefined;
    return isEnded && Boolean(toolCalls?.every(isWhole));
  }

  /**
   * The messages that this one answered, as they were sent.
   *
   * @param {Message} message
   */
  asked(message) {
    const { messages } = this.parts.conversations.current;
    const before = messages.slice(0, messages.indexOf(message));
    return wire(message.facts?.system ?? "", before);
  }

  /** @param {Message} message */
  #cut(message) {
    this.stop();
    return this.parts.conversations.cut(message);
  }

  /**
   * Say what was done, with a button that takes it back.
   *
   * @param {string} words
   */
  offerUndo(words) {
    const { conversations, notice } = this.parts;
    notice.offer(words, "Undo", () => {
      this.stop();
      conversations.undo();
    });
  }

  #options() {
    try {
      return this.parts.options();
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
      this.parts.invalid(error);
      return null;
    }
  }

  /** @param {Options} options */
  async #answer(options) {
    const { api, conversations, log, notice } = this.parts;
    const { current } = conversations;
    this.where = current;
    const messages = wire(current.system, current.messages);
    /** @type {Facts} */
    const facts = { system: current.system, options };
    const answer = conversations.add({ role: "assistant", content: "", facts });
    const control = new AbortController();
    this.#runs(control);
    notice.say("Answering…");
    await fill(api, messages, answer, facts, control.signal, () =>
      log.grow(answer),
    );
    log.refresh(answer);
    if (this.running === control) this.#runs(null);
    this.dispatchEvent(new Event("answered"));
    const isThere =
      conversations.all.includes(current) && current.messages.includes(answer);
    if (this.busy || !isThere) return;
    const words = facts.problem
      ? "No answer."
      : facts.stopped
        ? "Stopped."
        : "Answered.";
    if (conversations.canUndo) this.offerUndo(words);
    else notice.say(words);
  }

  /** @param {AbortController | null} control */
  #runs(control) {
    this.running = control;
    this.dispatchEvent(new Event("busy"));
  }
}
