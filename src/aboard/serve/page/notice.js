// What has just happened, in a line that is read out, too.

import { button, element } from "./dom.js";

/** The line below the messages. */
export class Notice {
  /** @param {HTMLElement} node - a live region */
  constructor(node) {
    this.node = node;
  }

  /** @param {string} words */
  say(words) {
    this.node.replaceChildren(element("span", {}, words));
  }

  /**
   * Say something that can be answered.
   *
   * @param {string} words
   * @param {string} label
   * @param {() => void} act
   */
  offer(words, label, act) {
    const answer = button(label, () => {
      this.node.replaceChildren();
      act();
    });
    this.node.replaceChildren(element("span", {}, words), answer);
  }
}
