// The list of conversations, and where they are kept: in memory, in a file, or in this browser.

/** @import { Chat } from "./chat.js" */
/** @import { Conversations } from "./conversations.js" */
/** @import { Notice } from "./notice.js" */
/** @import { Conversation } from "./types.js" */

import { read, written } from "./archive.js";
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
    this.file = byId("import-file", HTMLInputElement);
    byId("export", HTMLButtonElement).onclick = () => this.#export();
    byId("import", HTMLButtonElement).onclick = () => this.file.click();
    this.file.onchange = () => this.#import();
    this.keep.onchange = () => this.#keepOrForget();
    conversations.addEventListener("list", () => this.#show());
    chat.addEventListener("answered", () => this.save());
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
      local.setItem(KEPT, written(this.conversations.all));
    } catch {
      this.keep.checked = false;
      this.notice.say("This browser has no room for them: export them.");
    }
  }

  #restore() {
    const text = local.getItem(KEPT);
    if (text === null) return;
    this.keep.checked = true;
    try {
      this.conversations.take(read(text));
    } catch (error) {
      this.notice.say(`What this browser keeps can't be read: ${words(error)}`);
    }
  }

  #keepOrForget() {
    if (this.keep.checked) this.save();
    else local.removeItem(KEPT);
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
    const text = written(this.conversations.all);
    const blob = new Blob([text], { type: "application/json" });
    const address = URL.createObjectURL(blob);
    element("a", { href: address, download: "conversations.json" }).click();
    setTimeout(() => URL.revokeObjectURL(address));
  }

  async #import() {
    const file = this.file.files?.[0];
    if (!file) return;
    try {
      this.conversations.take(read(await file.text()));
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
