// Markdown, drawn: only what changed since the last time is drawn anew.

/** @import { Block } from "./blocks.js" */

import { parse } from "./blocks.js";
import { copyButton } from "./copying.js";
import { element } from "./dom.js";
import { inline } from "./inline.js";

/** A growing text of Markdown and its node. */
export class Markdown {
  constructor() {
    this.node = element("div", { class: "markdown" });
    /** @type {{ block: Block, node: HTMLElement }[]} */
    this.shown = [];
  }

  /** @param {string} text */
  show(text) {
    const blocks = parse(text);
    let same = 0;
    while (
      same < blocks.length &&
      this.shown[same]?.block.source === blocks[same].source
    )
      same += 1;
    if (same === blocks.length - 1 && this.#grow(same, blocks[same])) return;
    for (const old of this.shown.splice(same)) old.node.remove();
    for (const block of blocks.slice(same)) {
      const node = draw(block);
      this.node.append(node);
      this.shown.push({ block, node });
    }
  }

  /**
   * Add to a block of code what it has got, so that a selection in it stays.
   *
   * @param {number} place
   * @param {Block} block
   */
  #grow(place, block) {
    const old = this.shown[place];
    if (!old || this.shown.length > place + 1) return false;
    if (block.kind !== "code" || old.block.kind !== "code") return false;
    const text = old.node.querySelector("code")?.firstChild;
    if (!(text instanceof Text) || block.language !== old.block.language)
      return false;
    if (!block.text.startsWith(old.block.text)) return false;
    text.appendData(block.text.slice(old.block.text.length));
    old.block = block;
    return true;
  }
}

/**
 * @param {Block} block
 * @returns {HTMLElement}
 */
function draw(block) {
  switch (block.kind) {
    case "heading":
      return element(headingTag(block.level), {}, ...inline(block.text));
    case "code":
      return code(block.text, block.language);
    case "quote":
      return element("blockquote", {}, ...block.blocks.map(draw));
    case "list":
      return list(block);
    case "table":
      return table(block);
    case "rule":
      return element("hr");
    case "paragraph":
      return element("p", {}, ...inline(block.text));
  }
}

/**
 * Headings of answers stand below those of the page.
 *
 * @param {number} level
 */
function headingTag(level) {
  return /** @type {"h3" | "h4" | "h5" | "h6"} */ (
    `h${Math.min(6, level + 2)}`
  );
}

/**
 * A block of code and a button that copies it.
 *
 * @param {string} text
 * @param {string} language
 */
export function code(text, language) {
  const inner = element("code");
  inner.append(document.createTextNode(text));
  return element(
    "div",
    { class: "code" },
    element(
      "div",
      { class: "code-head" },
      element("span", {}, language),
      copyButton("Copy", () => inner.textContent ?? ""),
    ),
    element(
      "pre",
      { tabindex: 0, role: "group", "aria-label": `Code ${language}`.trim() },
      inner,
    ),
  );
}

/** @param {import("./blocks.js").List} block */
function list({ ordered, start, items }) {
  const drawn = items.map((blocks) => element("li", {}, ...item(blocks)));
  return ordered
    ? element("ol", { start: start === 1 ? null : start }, ...drawn)
    : element("ul", {}, ...drawn);
}

/**
 * An item's one paragraph stands without space around it.
 *
 * @param {Block[]} blocks
 */
function item(blocks) {
  return blocks.flatMap((block, place) =>
    place === 0 && block.kind === "paragraph"
      ? [element("span", { class: "line" }, ...inline(block.text))]
      : [draw(block)],
  );
}

/** @param {import("./blocks.js").Table} block */
function table({ head, rows, aligns }) {
  /** @type {(tag: "th" | "td") => (text: string, column: number) => HTMLElement} */
  const cell = (tag) => (text, column) =>
    element(tag, { class: `align-${aligns[column]}` }, ...inline(text));
  const headRow = element("tr", {}, ...head.map(cell("th")));
  const bodyRows = rows.map((row) => element("tr", {}, ...row.map(cell("td"))));
  return element(
    "div",
    { class: "table", tabindex: 0, role: "group", "aria-label": "Table" },
    element(
      "table",
      {},
      element("thead", {}, headRow),
      element("tbody", {}, ...bodyRows),
    ),
  );
}
