// What is served: the choice of a model, and how much of its context a conversation fills.

/** @import { Conversation, Props, ServedModel } from "./types.js" */

import { byId, element } from "./dom.js";
import { count } from "./facts.js";

/** The choice of a model, and the bar beside it. */
export class ServedChoice {
  constructor() {
    this.select = byId("model", HTMLSelectElement);
    this.bar = byId("context", HTMLMeterElement);
    this.words = byId("context-words", HTMLSpanElement);
    /** @type {ServedModel[]} */
    this.models = [];
  }

  /**
   * Those that answer; encoders don't.
   *
   * @param {Props} props
   */
  offer({ models }) {
    this.models = models.filter(({ kind }) => kind === "text");
    this.select.replaceChildren(
      ...this.models.map(({ id }) => element("option", { value: id }, id)),
    );
    this.select.disabled = this.models.length < 2;
  }

  /** @returns {ServedModel | undefined} */
  get chosen() {
    return this.models.find(({ id }) => id === this.select.value);
  }

  /**
   * Show how much of the context the last answer and all before it fill.
   *
   * @param {Conversation} conversation
   */
  measure({ messages }) {
    const length = this.chosen?.context_length ?? 0;
    const last = messages.findLast(({ facts }) => facts?.usage !== undefined);
    const used = last?.facts?.usage?.total_tokens ?? 0;
    this.bar.max = length || 1;
    this.bar.high = 0.8 * length;
    this.bar.value = used;
    const told = length ? `${count(used)} of ${count(length)}` : "";
    const unit = element("span", { class: "unit" }, length ? " tokens" : "");
    this.words.replaceChildren(told, unit);
  }
}
