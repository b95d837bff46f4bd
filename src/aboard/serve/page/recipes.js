// How an answer can be had again: its request as a command and as a program.

/** @import { Options, WireMessage } from "./types.js" */

const BEYOND = ["top_k", "min_p", "repetition_penalty"]; // what the cloud API doesn't have
const LEFT_OUT = ["logprobs", "top_logprobs"]; // they change nothing in the answer
const KEY = "ABOARD_API_KEY";

/**
 * @param {Options} options
 * @param {WireMessage[]} messages
 * @param {boolean} keyed - whether the server wants a key; it is never written down
 */
export function curl(options, messages, keyed) {
  const body = JSON.stringify({ ...kept(options), messages }, null, 2);
  const lines = [
    `curl ${quoted(`${location.origin}/v1/chat/completions`)}`,
    ...(keyed ? [`  -H "Authorization: Bearer $${KEY}"`] : []),
    `  -H 'Content-Type: application/json'`,
    `  -d ${quoted(body)}`,
  ];
  return `${lines.join(" \\\n")}\n`;
}

/**
 * @param {Options} options
 * @param {WireMessage[]} messages
 * @param {boolean} keyed
 */
export function python(options, messages, keyed) {
  const entries = Object.entries({ ...kept(options), messages });
  // Names come from files that were imported, too: only a plain one may be written as it stands.
  /** @type {(name: string) => boolean} */
  const isKnown = (name) => /^[a-z_]+$/.test(name) && !BEYOND.includes(name);
  const known = entries.filter(([name]) => isKnown(name));
  const beyond = entries.filter(([name]) => !isKnown(name));
  const given = known.map(
    ([name, value]) => `    ${name}=${literal(value, 1)},`,
  );
  if (beyond.length)
    given.push(`    extra_body=${literal(Object.fromEntries(beyond), 1)},`);
  return [
    ...(keyed ? ["import os", ""] : []),
    "import openai",
    "",
    "client = openai.OpenAI(",
    `    base_url=${literal(`${location.origin}/v1`, 1)},`,
    `    api_key=${keyed ? `os.environ["${KEY}"]` : '"none"'},`,
    ")",
    "answer = client.chat.completions.create(",
    ...given,
    ")",
    "print(answer.choices[0].message.content)",
    "",
  ].join("\n");
}

/** @param {Options} options */
function kept(options) {
  const entries = Object.entries(options);
  return Object.fromEntries(
    entries.filter(([name]) => !LEFT_OUT.includes(name)),
  );
}

/**
 * A text as one word of a shell.
 *
 * @param {string} text
 */
function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/**
 * A value of JSON as Python writes it.
 *
 * @param {unknown} value
 * @param {number} depth
 * @returns {string}
 */
function literal(value, depth) {
  const [inner, outer] = ["    ".repeat(depth + 1), "    ".repeat(depth)];
  /** @type {(open: string, parts: string[], close: string) => string} */
  const within = (open, parts, close) =>
    parts.length === 0
      ? open + close
      : `${open}\n${parts.map((part) => `${inner}${part},\n`).join("")}${outer}${close}`;
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) {
    const parts = value.map((each) => literal(each, depth + 1));
    return within("[", parts, "]");
  }
  if (typeof value === "object") {
    const parts = Object.entries(value).map(
      ([name, each]) => `${JSON.stringify(name)}: ${literal(each, depth + 1)}`,
    );
    return within("{", parts, "}");
  }
  return JSON.stringify(value);
}
