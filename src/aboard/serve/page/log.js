// The messages of the current conversation, one below the other.

/** @import { Message } from "./types.js" */
/** @import { Actions } from "./message.js" */

import { MessageView } from "./message.js";

const NEAR_PX = 80;

/** Keeps a view for each message, and the end in sight while the user is there. */
export class Log {
  /**
   * @param {HTMLElement} node - scrolls
   * @param {HTMLElement} list - holds the messages
   * @param {Actions} actions
   */
  constructor(node, list, actions) {
    this.node = node;
    this.list = list;
    this.actions = actions;
    /** @type {Map<Message, MessageView>} */
    this.views = new Map();
    /** @type {Set<Message>} */
    this.grown = new Set();
    this.frame = 0;
    this.follows = true;
    this.top = 0;
    node.addEventListener("scroll", () => this.#scrolled());
    const watch = new ResizeObserver(() => this.follows && this.toEnd());
    watch.observe(node);
    watch.observe(list);
  }

  /**
   * Show these messages; views of those that were shown stay.
   *
   * @param {Message[]} messages
   */
  show(messages) {
    const wanted = new Set(messages);
    for (const [message, view] of this.views) {
      if (wanted.has(message)) continue;
      view.node.remove();
      this.views.delete(message);
    }
    let place = 0;
    for (const message of messages) {
      let view = this.views.get(message);
      if (!view) {
        view = new MessageView(message, this.actions);
        this.views.set(message, view);
      }
      const there = this.list.children[place];
      if (there !== view.node) this.list.insertBefore(view.node, there ?? null);
      place += 1;
    }
  }

  /**
   * Text was added to a message; it is drawn with the next frame.
   *
   * @param {Message} message
   */
  grow(message) {
    this.grown.add(message);
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      for (const each of this.grown) this.views.get(each)?.grow();
      this.grown.clear();
    });
  }

  /**
   * All of a message may have changed.
   *
   * @param {Message} message
   */
  refresh(message) {
    this.grown.delete(message);
    this.views.get(message)?.show();
  }

  /** Upwards is away from the end; what grows below while this is told is not. */
  #scrolled() {
    const { scrollTop } = this.node;
    if (scrollTop < this.top || this.#isAtEnd()) this.follows = this.#isAtEnd();
    this.top = scrollTop;
  }

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.node;
    return scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }

  /** Show the end, and keep it in sight until the user scrolls away. */
  toEnd() {
    this.follows = true;
    this.node.scrollTop = this.node.scrollHeight;
  }
}
