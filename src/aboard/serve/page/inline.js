// Markdown within a line: code, emphasis, links. A text becomes nodes; no text becomes markup.

import { element } from "./dom.js";

const ESCAPED = /\\([!-/:-@[-`{-~])/y;
const CODE = /`+/y;
const MARK = /\*\*\*?|\*|__|_|~~/y;
const LINK =
  /!?\[([^[\]\n]{1,500})\]\(\s*((?:[^()\s]|\([^()\s]*\)){1,2000})\s*\)/y;
const ADDRESS = /https?:\/\/[^\s<>"'`\])]{1,2000}/y;
const PLAIN = /[^\\`*_~[!h]+/y;
const ALLOWED = /^(?:https?:\/\/|mailto:)/i;

/** @type {Record<string, "strong" | "em" | "del">} */
const TAGS = { "**": "strong", __: "strong", "*": "em", _: "em", "~~": "del" };

/**
 * The nodes of a text.
 *
 * @param {string} text
 * @returns {Node[]}
 */
export function inline(text) {
  return new Inline(text).nodes();
}

class Inline {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
    /** @type {Node[]} */
    this.done = [];
    /** @type {{ mark: string, index: number }[]} Emphasis that is not closed yet. */
    this.open = [];
    /** @type {Set<number>} Lengths of runs of backticks that no later run closes. */
    this.unclosed = new Set();
  }

  /** @returns {Node[]} */
  nodes() {
    while (this.at < this.text.length) {
      const took =
        this.plain() ||
        this.escaped() ||
        this.code() ||
        this.emphasis() ||
        this.link() ||
        this.address();
      if (!took) this.letters(this.text[this.at]);
    }
    return this.done;
  }

  /**
   * What the pattern finds here and now, if anything.
   *
   * @param {RegExp} pattern
   */
  match(pattern) {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text);
  }

  /**
   * Take a piece of the text as it stands.
   *
   * @param {string} letters
   */
  letters(letters) {
    this.at += letters.length;
    this.say(letters);
  }

  /** @param {string} letters */
  say(letters) {
    const last = this.done.at(-1);
    const isMark = this.open.at(-1)?.index === this.done.length - 1;
    if (last instanceof Text && !isMark) last.appendData(letters);
    else this.done.push(document.createTextNode(letters));
  }

  plain() {
    const found = this.match(PLAIN);
    if (found) this.letters(found[0]);
    return found !== null;
  }

  escaped() {
    const found = this.match(ESCAPED);
    if (!found) return false;
    this.at += 2;
    this.say(found[1]);
    return true;
  }

  code() {
    const run = this.match(CODE)?.[0];
    if (!run) return false;
    const begin = this.at + run.length;
    const end = this.unclosed.has(run.length) ? -1 : this.closing(run, begin);
    if (end < 0) {
      this.unclosed.add(run.length);
      this.letters(run);
      return true;
    }
    const inside = this.text.slice(begin, end).replaceAll("\n", " ");
    const padded =
      inside.startsWith(" ") && inside.endsWith(" ") && inside.trim() !== "";
    this.done.push(element("code", {}, padded ? inside.slice(1, -1) : inside));
    this.at = end + run.length;
    return true;
  }

  /**
   * Where the next run of just as many backticks is.
   *
   * @param {string} run
   * @param {number} from
   */
  closing(run, from) {
    for (const found of this.text.slice(from).matchAll(/`+/g))
      if (found[0].length === run.length) return from + found.index;
    return -1;
  }

  emphasis() {
    const found = this.match(MARK)?.[0];
    if (!found) return false;
    const inner = this.open.at(-1)?.mark;
    const mark = found === "***" ? (inner === "**" ? "**" : "*") : found;
    const before = this.text[this.at - 1] ?? " ";
    const after = this.text[this.at + mark.length] ?? " ";
    const inWord = mark[0] === "_" && /\w/.test(before) && /\w/.test(after);
    if (!inWord && /\S/.test(before) && this.close(mark)) {
      this.at += mark.length;
    } else if (!inWord && /\S/.test(after)) {
      this.done.push(document.createTextNode(mark));
      this.open.push({ mark, index: this.done.length - 1 });
      this.at += mark.length;
    } else {
      this.letters(mark);
    }
    return true;
  }

  /**
   * Wrap what was said since the mark was opened.
   *
   * @param {string} mark
   */
  close(mark) {
    const place = this.open.findLastIndex((each) => each.mark === mark);
    if (place < 0) return false;
    const { index } = this.open[place];
    if (index === this.done.length - 1) return false;
    this.open.length = place;
    const inside = this.done.splice(index);
    this.done.push(element(TAGS[mark], {}, ...inside.slice(1)));
    return true;
  }

  link() {
    const found = this.match(LINK);
    if (!found || !ALLOWED.test(found[2])) return false;
    this.at += found[0].length;
    this.done.push(anchor(found[2], inline(found[1])));
    return true;
  }

  address() {
    if (/\w/.test(this.text[this.at - 1] ?? " ")) return false;
    const found = this.match(ADDRESS)?.[0].replace(/[.,:;!?*_~]+$/, "");
    if (!found) return false;
    this.at += found.length;
    this.done.push(anchor(found, [document.createTextNode(found)]));
    return true;
  }
}

/**
 * A link that tells the other site nothing of this page. Images are links, too: none is loaded.
 *
 * @param {string} address
 * @param {Node[]} nodes
 */
function anchor(address, nodes) {
  const attributes = {
    href: address,
    title: address,
    target: "_blank",
    rel: "noopener noreferrer",
  };
  return element("a", attributes, ...nodes);
}
