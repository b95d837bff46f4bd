// What the browser keeps for the page; where it forbids that, the page keeps it while it is open.

/** @typedef {Pick<Storage, "getItem" | "setItem" | "removeItem">} Kept */

/**
 * @param {() => Storage} open - Throws where the browser forbids it.
 * @returns {Kept}
 */
function allowed(open) {
  try {
    return open();
  } catch {
    return new Memory();
  }
}

/** @implements {Kept} */
class Memory {
  /** @type {Map<string, string>} */
  #items = new Map();

  /** @param {string} name */
  getItem(name) {
    return this.#items.get(name) ?? null;
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  setItem(name, value) {
    this.#items.set(name, value);
  }

  /** @param {string} name */
  removeItem(name) {
    this.#items.delete(name);
  }
}

/** For this tab. */
export const session = allowed(() => sessionStorage);

/** For all tabs, from one time to the next. */
export const local = allowed(() => localStorage);
