// Where the user writes. Enter sends, Shift and Enter begin a line, Esc stops the answer.

/** @import { Chat } from "./chat.js" */

import { byId, fitHeight } from "./dom.js";

/** The text field below the messages, and its button, which sends or stops. */
export class Composer {
  /** @param {Chat} chat */
  constructor(chat) {
    this.chat = chat;
    this.form = byId("composer", HTMLFormElement);
    this.input = byId("message", HTMLTextAreaElement);
    this.send = byId("send", HTMLButtonElement);
    this.stop = byId("stop", HTMLButtonElement);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.input.addEventListener("input", () => this.#show());
    this.input.addEventListener("keydown", (event) => this.#pressed(event));
    this.stop.addEventListener("click", () => {
      chat.stop();
      this.input.focus();
    });
    chat.addEventListener("busy", () => this.#show());
    this.#show();
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    const { key, shiftKey, isComposing } = event;
    if (key !== "Enter" || shiftKey || isComposing) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const text = this.input.value;
    if (text.trim() === "" || this.chat.busy) return;
    if (!this.chat.send(text)) return;
    this.input.value = "";
    this.#show();
  }

  #show() {
    const { busy } = this.chat;
    this.send.hidden = busy;
    this.stop.hidden = !busy;
    this.send.disabled = this.input.value.trim() === "";
    fitHeight(this.input);
  }
}
