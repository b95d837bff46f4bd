// The two sides of the page, which open and close; on narrow windows they lie over the messages.

import { byId } from "./dom.js";

const WIDE = matchMedia("(min-width: 72rem)");

/** A side and the button that opens it. */
export class Side {
  /**
   * @param {string} id - of the side; its button's is the same with "-toggle"
   */
  constructor(id) {
    this.node = byId(id, HTMLElement);
    this.toggle = byId(`${id}-toggle`, HTMLButtonElement);
    this.toggle.addEventListener("click", () =>
      this.show(this.node.hidden !== false),
    );
    WIDE.addEventListener("change", () => this.show(WIDE.matches));
    this.show(WIDE.matches);
  }

  /** Whether it lies over the messages. */
  get covers() {
    return !this.node.hidden && !WIDE.matches;
  }

  /** @param {boolean} open */
  show(open) {
    this.node.hidden = !open;
    this.toggle.setAttribute("aria-expanded", String(open));
  }

  /** Close it if it lies over the messages; its button has the focus then. */
  uncover() {
    if (!this.covers) return false;
    this.show(false);
    this.toggle.focus();
    return true;
  }
}
