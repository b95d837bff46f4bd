// A message on the page: its text, what can be done with it, and the facts of an answer.

/** @import { Message } from "./types.js" */
/** @import { Again } from "./facts.js" */

import { callsView, tidied } from "./calls.js";
import { copyButton } from "./copying.js";
import { append, button, element, fitHeight } from "./dom.js";
import { factsView, problemView } from "./facts.js";
import { likelihood } from "./likelihood.js";
import { Markdown, code } from "./markdown.js";

/**
 * @typedef {{
 *   edit: (message: Message, text: string) => void,
 *   regenerate: (message: Message) => void,
 *   remove: (message: Message) => void,
 *   results: (message: Message, results: Map<string, string>) => void,
 *   again: (message: Message) => Again,
 *   waits: (message: Message) => boolean,
 * }} Actions - `waits`: whether the calls of this message still have no results
 */

const SPEAKERS = { user: "You", assistant: "Answer", tool: "Result" };

/** A message and its node. */
export class MessageView {
  /**
   * @param {Message} message
   * @param {Actions} actions
   */
  constructor(message, actions) {
    this.message = message;
    this.actions = actions;
    this.markdown = new Markdown();
    this.body = element("div", { class: "body" });
    this.foot = element("div", { class: "foot" });
    this.node = element(
      "article",
      {
        class: `message ${message.role}`,
        "aria-label": SPEAKERS[message.role],
      },
      element("h2", {}, this.#speaker()),
      this.body,
      this.foot,
    );
    this.show();
  }

  #speaker() {
    const { role, facts, toolCallId } = this.message;
    if (role === "assistant") return facts?.options.model ?? "Answer";
    return role === "tool" ? `Result of ${toolCallId}` : "You";
  }

  /** Show the message as it is. */
  show() {
    this.body.replaceChildren(...this.#content());
    this.#showFoot();
  }

  /** Show what has been added to its text; the rest waits for `show`. */
  grow() {
    if (!this.markdown.node.isConnected)
      this.body.replaceChildren(this.markdown.node);
    this.markdown.show(this.message.content);
  }

  /** @returns {Node[]} */
  #content() {
    const { role, content, facts, toolCalls } = this.message;
    if (role !== "assistant")
      return [element("div", { class: "said" }, content)];
    const nodes = [];
    if (isJson(this.message)) nodes.push(code(tidied(content), "json"));
    else if (content) {
      this.markdown.show(content);
      nodes.push(this.markdown.node);
    }
    if (toolCalls?.length) {
      /** @param {Map<string, string>} results */
      const answer = (results) => this.actions.results(this.message, results);
      const waits = this.actions.waits(this.message);
      nodes.push(callsView(toolCalls, waits ? answer : null));
    }
    if (facts?.problem) nodes.push(problemView(facts.problem));
    else if (!nodes.length && facts && ended(facts))
      nodes.push(element("p", { class: "hint" }, "An empty answer."));
    return nodes;
  }

  #showFoot() {
    const { message, actions } = this;
    const { facts } = message;
    this.foot.replaceChildren();
    if (facts && !ended(facts)) return;
    append(
      this.foot,
      facts && !facts.problem && factsView(facts, actions.again(message)),
      element(
        "div",
        { class: "actions" },
        copyButton("Copy", () => message.content),
        message.role !== "tool" && button("Edit", () => this.#edit()),
        facts &&
          button(facts.problem ? "Try again" : "Regenerate", () =>
            actions.regenerate(message),
          ),
        message.tokens && this.#tokensButton(),
        button("Delete", () => actions.remove(message), {
          title: "Delete this message and what follows",
        }),
      ),
    );
  }

  #tokensButton() {
    const toggle = button(
      "Tokens",
      () => {
        const shown = toggle.getAttribute("aria-pressed") === "true";
        toggle.setAttribute("aria-pressed", String(!shown));
        const { tokens } = this.message;
        if (shown || !tokens) this.body.replaceChildren(...this.#content());
        else this.body.replaceChildren(likelihood(tokens));
      },
      { "aria-pressed": "false" },
    );
    return toggle;
  }

  #edit() {
    const { message, actions } = this;
    const label = message.role === "user" ? "Ask again" : "Keep";
    const area = element("textarea", { "aria-label": "Message", rows: 1 });
    area.value = message.content;
    const keep = () => actions.edit(message, area.value);
    const leave = () => this.show();
    area.addEventListener("input", () => fitHeight(area));
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") leave();
      else if (event.key === "Enter" && !event.shiftKey && !event.isComposing)
        keep();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    this.foot.replaceChildren(
      element(
        "div",
        { class: "actions" },
        button(label, keep, { class: "primary" }),
        button("Cancel", leave),
      ),
    );
    this.body.replaceChildren(area);
    fitHeight(area);
    area.focus();
  }
}

/**
 * Whether an answer is complete, or will not be.
 *
 * @param {NonNullable<Message["facts"]>} facts
 */
function ended(facts) {
  return Boolean(facts.finish || facts.stopped || facts.problem);
}

/**
 * Whether an answer is JSON that was asked for.
 *
 * @param {Message} message
 */
function isJson({ content, facts }) {
  const format = /** @type {{ type?: string } | undefined} */ (
    facts?.options.response_format
  );
  if (!facts || !ended(facts) || !format?.type?.startsWith("json"))
    return false;
  try {
    JSON.parse(content);
    return true;
  } catch {
    return false;
  }
}
