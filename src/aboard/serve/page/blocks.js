// Markdown's blocks: a text is cut into paragraphs, lists, tables and so on. Nothing is drawn here.

/**
 * @typedef {{ items: Block[][], ordered: boolean, start: number }} List
 * @typedef {{ head: string[], rows: string[][], aligns: string[] }} Table
 * @typedef {{ kind: "paragraph", text: string }
 *   | { kind: "heading", level: number, text: string }
 *   | { kind: "code", language: string, text: string }
 *   | { kind: "quote", blocks: Block[] }
 *   | { kind: "list" } & List
 *   | { kind: "table" } & Table
 *   | { kind: "rule" }} Content
 * @typedef {Content & { source: string }} Block - with the lines that it was read from
 * @typedef {{ content: Content, end: number }} Read - `end`: the first line behind it
 */

const DEEPEST = 6; // of quotes and lists within each other; below that a text is a paragraph
const FENCE = /^( {0,3})(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|(\d{1,9})[.)])( {1,4}|$)/;
const DIVIDER =
  /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

/**
 * @param {string} text
 * @returns {Block[]}
 */
export function parse(text) {
  return blocks(text.split("\n"), 0);
}

/**
 * @param {string[]} lines
 * @param {number} depth
 * @returns {Block[]}
 */
function blocks(lines, depth) {
  const found = [];
  let at = 0;
  while (at < lines.length) {
    if (isBlank(lines[at])) {
      at += 1;
      continue;
    }
    const { content, end } = read(lines, at, depth);
    found.push({ ...content, source: lines.slice(at, end).join("\n") });
    at = end;
  }
  return found;
}

/**
 * @param {string[]} lines
 * @param {number} at
 * @param {number} depth
 * @returns {Read}
 */
function read(lines, at, depth) {
  const line = lines[at];
  const heading = HEADING.exec(line);
  if (heading) {
    const level = heading[1].length;
    const text = heading[2].trim().replace(/ #+$/, "");
    return { content: { kind: "heading", level, text }, end: at + 1 };
  }
  if (FENCE.test(line)) return readCode(lines, at);
  if (RULE.test(line)) return { content: { kind: "rule" }, end: at + 1 };
  if (depth < DEEPEST && QUOTE.test(line)) return readQuote(lines, at, depth);
  if (depth < DEEPEST && ITEM.test(line)) return readList(lines, at, depth);
  if (isTable(lines, at)) return readTable(lines, at);
  return readParagraph(lines, at, depth);
}

/**
 * A fenced block; one that isn't closed yet goes on to the end.
 *
 * @param {string[]} lines
 * @param {number} at
 * @returns {Read}
 */
function readCode(lines, at) {
  const [, indent, fence, told] = /** @type {RegExpExecArray} */ (
    FENCE.exec(lines[at])
  );
  const language = told.trim().split(/\s/)[0];
  const closes = new RegExp(`^ {0,3}${fence[0]}{${fence.length},}\\s*$`);
  let end = at + 1;
  while (end < lines.length && !closes.test(lines[end])) end += 1;
  const margin = new RegExp(`^ {0,${indent.length}}`);
  const inside = lines.slice(at + 1, end);
  const text = inside.map((line) => line.replace(margin, "")).join("\n");
  return { content: { kind: "code", language, text }, end: end + 1 };
}

/**
 * @param {string[]} lines
 * @param {number} at
 * @param {number} depth
 * @returns {Read}
 */
function readQuote(lines, at, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const inside = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return {
    content: { kind: "quote", blocks: blocks(inside, depth + 1) },
    end,
  };
}

/**
 * Items of one kind; what is indented belongs to the item above, blank lines within too.
 *
 * @param {string[]} lines
 * @param {number} at
 * @param {number} depth
 * @returns {Read}
 */
function readList(lines, at, depth) {
  const first = /** @type {RegExpExecArray} */ (ITEM.exec(lines[at]));
  const ordered = first[3] !== undefined;
  /** @type {Block[][]} */
  const items = [];
  let end = at;
  while (end < lines.length) {
    const mark = ITEM.exec(lines[end]);
    if (!mark || (mark[3] !== undefined) !== ordered || RULE.test(lines[end]))
      break;
    const indent = mark[1].length + 2;
    // Of code, no more than where the item's text stands may go, or its own indents would.
    const margin = new RegExp(`^(?: {1,${mark[0].length}}|\\t)`);
    const inside = [lines[end].slice(mark[0].length)];
    end += 1;
    while (end < lines.length && continues(lines, end, indent, depth)) {
      inside.push(lines[end].replace(margin, ""));
      end += 1;
    }
    items.push(blocks(inside, depth + 1));
    const next = afterBlanks(lines, end);
    if (next < lines.length && ITEM.test(lines[next])) end = next;
  }
  const start = ordered ? Number(first[3]) : 1;
  return { content: { kind: "list", ordered, start, items }, end };
}

/**
 * Whether a line belongs to the item above it.
 *
 * @param {string[]} lines
 * @param {number} at
 * @param {number} indent
 * @param {number} depth
 */
function continues(lines, at, indent, depth) {
  const line = lines[at];
  if (isBlank(line)) {
    const next = afterBlanks(lines, at);
    return next < lines.length && indentOf(lines[next]) >= indent;
  }
  return (
    indentOf(line) >= indent || (!ITEM.test(line) && !begins(lines, at, depth))
  );
}

/**
 * @param {string[]} lines
 * @param {number} at
 */
function isTable(lines, at) {
  const next = lines[at + 1];
  return (
    lines[at].includes("|") &&
    next !== undefined &&
    next.includes("-") &&
    DIVIDER.test(next) &&
    cells(lines[at]).length === cells(next).length
  );
}

/**
 * @param {string[]} lines
 * @param {number} at
 * @returns {Read}
 */
function readTable(lines, at) {
  const head = cells(lines[at]);
  const aligns = cells(lines[at + 1]).map(alignOf);
  const rows = [];
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) {
    const row = cells(lines[end]);
    rows.push(head.map((_, column) => row[column] ?? ""));
    end += 1;
  }
  return { content: { kind: "table", head, rows, aligns }, end };
}

/** @param {string} dashes */
function alignOf(dashes) {
  if (!dashes.endsWith(":")) return "start";
  return dashes.startsWith(":") ? "center" : "end";
}

/**
 * A row's cells; a bar behind a backslash is a letter.
 *
 * @param {string} line
 */
function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  return inner
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replace("\\|", "|"));
}

/**
 * @param {string[]} lines
 * @param {number} at
 * @param {number} depth
 * @returns {Read}
 */
function readParagraph(lines, at, depth) {
  let end = at + 1;
  while (
    end < lines.length &&
    !isBlank(lines[end]) &&
    !begins(lines, end, depth)
  )
    end += 1;
  const text = lines.slice(at, end).join("\n");
  return { content: { kind: "paragraph", text }, end };
}

/**
 * Whether a line begins something that ends a paragraph.
 *
 * @param {string[]} lines
 * @param {number} at
 * @param {number} depth
 */
function begins(lines, at, depth) {
  const line = lines[at];
  if (HEADING.test(line) || FENCE.test(line) || RULE.test(line)) return true;
  if (depth < DEEPEST && (QUOTE.test(line) || ITEM.test(line))) return true;
  return isTable(lines, at);
}

/** @param {string} line */
function isBlank(line) {
  return line.trim() === "";
}

/** @param {string} line */
function indentOf(line) {
  const indent = /^[ \t]*/.exec(line)?.[0] ?? "";
  return indent.replaceAll("\t", "    ").length;
}

/**
 * @param {string[]} lines
 * @param {number} at
 */
function afterBlanks(lines, at) {
  while (at < lines.length && isBlank(lines[at])) at += 1;
  return at;
}
