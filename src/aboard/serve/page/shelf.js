// The list of conversations, and where they are kept: in memory, in a file, or in this browser.

/** @import { Chat } from "./chat.js" */
/** @import { Conversations } from "./conversations.js" */
/** @import { Notice } from "./notice.js" */
/** @import { Conversation } from "./types.js" */

import { entry, read, written } from "./archive.js";
import { title } from "./conversations.js";
import { button, byId, element } from "./dom.js";
import { local } from "./storage.js";

const KEPT = "aboard.conversations";

/** The left side of the page. */
export class Shelf {
  /**
   * @param {Conversations} conversations
   * @param {Chat} chat
   * @param {Notice} notice
   */
  constructor(conversations, chat, notice) {
    this.conversations = conversations;
    this.chat = chat;
    this.notice = notice;
    this.list = byId("conversation-list", HTMLUListElement);
    this.keep = byId("keep", HTMLInputElement);
    /** @type {Map<string, string>} What this tab has last read or written, by keys, as JSON. */
    this.known = new Map();
    this.file = byId("import-file", HTMLInputElement);
    byId("export", HTMLButtonElement).onclick = () => this.#export();
    byId("import", HTMLButtonElement).onclick = () => this.file.click();
    this.file.onchange = () => this.#import();
    this.keep.onchange = () => this.#keepOrForget();
    conversations.addEventListener("list", () => this.#show());
    chat.addEventListener("answered", () => this.save());
    addEventListener("storage", ({ key }) => {
      if (key !== KEPT && key !== null) return; // null: of all keys
      this.keep.checked = local.getItem(KEPT) !== null;
      if (!this.keep.checked) this.known.clear();
    });
    addEventListener("pagehide", () => this.save()); // what has come of an answer, too
    addEventListener("beforeunload", (event) => {
      if (conversations.anything && !this.keep.checked) event.preventDefault();
    });
    this.#restore();
    this.#show();
  }

  /** Write all of it to this browser's storage, if the user wants that. */
  save() {
    if (!this.keep.checked) return;
    try {
      local.setItem(KEPT, written(this.#merged()));
    } catch {
      this.keep.checked = false;
      this.notice.say("This browser has no room for them: export them.");
    }
  }

  /**
   * What is to be kept: this tab's conversations where it changed them, and else what other tabs
   * have made of them since, which may be nothing.
   */
  #merged() {
    const kept = new Map(this.#stored().map((each) => [each.key, each]));
    const merged = [];
    for (const conversation of this.#said()) {
      const { key } = conversation;
      const mine = { key, ...entry(conversation) };
      const text = JSON.stringify(mine);
      const isChanged = this.known.get(key) !== text;
      const latest = isChanged ? mine : kept.get(key);
      if (latest) merged.push(latest);
      if (isChanged) this.known.set(key, text);
      kept.delete(key);
    }
    const ofOthers = [...kept.values()].filter(
      ({ key }) => !key || !this.known.has(key),
    );
    const there = new Set(merged.map(({ key }) => key));
    for (const key of this.known.keys())
      if (!there.has(key)) this.known.delete(key); // should it be brought back, it is new
    return [...merged, ...ofOthers];
  }

  #stored() {
    return read(local.getItem(KEPT) ?? written([]));
  }

  #said() {
    return this.conversations.all.filter(({ messages }) => messages.length > 0);
  }

  #restore() {
    if (local.getItem(KEPT) === null) return;
    try {
      this.conversations.take(this.#stored());
    } catch (error) {
      // It stays as it is, for a page that can read it.
      this.notice.say(`What this browser keeps can't be read: ${words(error)}`);
      return;
    }
    for (const each of this.#said())
      this.known.set(
        each.key,
        JSON.stringify({ key: each.key, ...entry(each) }),
      );
    this.keep.checked = true;
  }

  #keepOrForget() {
    if (!this.keep.checked) this.#forget();
    try {
      this.#stored();
    } catch {
      this.#forget(); // it can't be read, and the user has something to keep in its place
    }
    this.save();
  }

  #forget() {
    local.removeItem(KEPT);
    this.known.clear();
  }

  #show() {
    const { all } = this.conversations;
    this.list.replaceChildren(...all.map((each) => this.#item(each)));
    this.save();
  }

  /** @param {Conversation} conversation */
  #item(conversation) {
    const { conversations } = this;
    const isCurrent = conversation === conversations.current;
    const name = title(conversation);
    return element(
      "li",
      {},
      button(name, () => conversations.choose(conversation), {
        class: "choose",
        "aria-current": isCurrent ? "true" : null,
      }),
      conversation.messages.length > 0 &&
        button("✕", () => this.#remove(conversation), {
          class: "icon",
          "aria-label": `Remove “${name}”`,
          title: "Remove",
        }),
    );
  }

  /** @param {Conversation} conversation */
  #remove(conversation) {
    this.conversations.remove(conversation);
    this.chat.offerUndo("1 conversation removed.");
  }

  #export() {
    const text = written(this.#said().map(entry));
    const blob = new Blob([text], { type: "application/json" });
    const address = URL.createObjectURL(blob);
    element("a", { href: address, download: "conversations.json" }).click();
    setTimeout(() => URL.revokeObjectURL(address));
  }

  async #import() {
    const file = this.file.files?.[0];
    if (!file) return;
    try {
      const found = read(await file.text());
      this.conversations.take(found.map(({ key, ...each }) => each));
      this.notice.say(`${file.name} was read.`);
    } catch (error) {
      this.notice.say(`${file.name} can't be read: ${words(error)}`);
    }
    this.file.value = "";
  }
}

/** @param {unknown} error */
function words(error) {
  return error instanceof Error ? error.message : String(error);
}
