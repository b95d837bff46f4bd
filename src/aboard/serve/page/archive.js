// Conversations as a text of JSON, and back. A text that isn't one is refused with the reason.

/** @import { Conversation, Facts, Message } from "./types.js" */

const KIND = "aboard conversations";
const VERSION = 1;
const ROLES = ["user", "assistant", "tool"];

/**
 * @typedef {{ key?: string, system: string, messages: Omit<Message, "id">[] }} Kept - `key`: as of
 *   `Conversation`, where this browser keeps it
 */

/**
 * A conversation without what is this page's alone.
 *
 * @param {Conversation} conversation
 * @returns {Kept}
 */
export function entry({ system, messages }) {
  return { system, messages: messages.map(({ id, ...message }) => message) };
}

/** @param {Kept[]} conversations */
export function written(conversations) {
  const archive = { kind: KIND, version: VERSION, conversations };
  return JSON.stringify(archive, null, 2);
}

/**
 * @param {string} text
 * @returns {Kept[]}
 */
export function read(text) {
  const archive = object(JSON.parse(text), "the file");
  if (archive.kind !== KIND || archive.version !== VERSION)
    throw new Error(`the file holds no ${KIND} of version ${VERSION}`);
  return list(archive.conversations, "conversations").map((each, place) => {
    const where = `conversations[${place}]`;
    const { key, system, messages } = object(each, where);
    return {
      key: key === undefined ? key : string(key, `${where}.key`),
      system: string(system, `${where}.system`),
      messages: list(messages, `${where}.messages`).map((message, at) =>
        readMessage(message, `${where}.messages[${at}]`),
      ),
    };
  });
}

/**
 * @param {unknown} given
 * @param {string} where
 * @returns {Omit<Message, "id">}
 */
function readMessage(given, where) {
  const found = object(given, where);
  const role = ROLES.find((each) => each === found.role);
  if (!role) throw new Error(`${where}.role: expected ${ROLES.join(", ")}`);
  /** @type {Omit<Message, "id">} */
  const message = {
    role: /** @type {Message["role"]} */ (role),
    content: string(found.content, `${where}.content`),
  };
  if (found.toolCallId !== undefined)
    message.toolCallId = string(found.toolCallId, `${where}.toolCallId`);
  if (found.toolCalls !== undefined)
    message.toolCalls = list(found.toolCalls, `${where}.toolCalls`).map(
      (call, at) => readCall(call, `${where}.toolCalls[${at}]`),
    );
  if (found.tokens !== undefined)
    message.tokens = list(found.tokens, `${where}.tokens`).map((token, at) =>
      readToken(token, `${where}.tokens[${at}]`),
    );
  if (found.facts !== undefined)
    message.facts = readFacts(found.facts, `${where}.facts`);
  return message;
}

/**
 * @param {unknown} given
 * @param {string} where
 * @returns {import("./types.js").ToolCall}
 */
function readCall(given, where) {
  const call = object(given, where);
  const called = object(call.function, `${where}.function`);
  return {
    id: string(call.id, `${where}.id`),
    type: "function",
    function: {
      name: string(called.name, `${where}.function.name`),
      arguments: string(called.arguments, `${where}.function.arguments`),
    },
  };
}

/**
 * @param {unknown} given
 * @param {string} where
 * @returns {import("./types.js").Token}
 */
function readToken(given, where) {
  const token = object(given, where);
  const others = list(token.top_logprobs, `${where}.top_logprobs`);
  return {
    ...readAlternative(token, where),
    top_logprobs: others.map((each) => readAlternative(each, where)),
  };
}

/**
 * @param {unknown} given
 * @param {string} where
 */
function readAlternative(given, where) {
  const { token, logprob } = object(given, where);
  return {
    token: string(token, `${where}.token`),
    logprob: number(logprob, `${where}.logprob`),
  };
}

/**
 * @param {unknown} given
 * @param {string} where
 * @returns {Facts}
 */
function readFacts(given, where) {
  const found = object(given, where);
  const options = object(found.options, `${where}.options`);
  string(found.system, `${where}.system`);
  string(options.model, `${where}.options.model`);
  number(options.seed, `${where}.options.seed`);
  for (const name of ["firstTokenS", "tokensPerS"])
    if (found[name] !== undefined) number(found[name], `${where}.${name}`);
  for (const name of ["finish", "fingerprint"])
    if (found[name] !== undefined) string(found[name], `${where}.${name}`);
  if (found.usage !== undefined) {
    const usage = object(found.usage, `${where}.usage`);
    for (const name of ["prompt_tokens", "completion_tokens", "total_tokens"])
      number(usage[name], `${where}.usage.${name}`);
  }
  if (found.problem !== undefined) {
    const problem = object(found.problem, `${where}.problem`);
    string(problem.message, `${where}.problem.message`);
  }
  // It was written while the answer was being made: no more of it will come.
  if (!found.finish && !found.problem) found.stopped = true;
  return /** @type {Facts} */ (/** @type {unknown} */ (found));
}

/**
 * @param {unknown} value
 * @param {string} where
 * @returns {Record<string, unknown>}
 */
function object(value, where) {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(`${where}: expected an object`);
  return /** @type {Record<string, unknown>} */ (value);
}

/**
 * @param {unknown} value
 * @param {string} where
 * @returns {unknown[]}
 */
function list(value, where) {
  if (!Array.isArray(value)) throw new Error(`${where}: expected a list`);
  return value;
}

/**
 * @param {unknown} value
 * @param {string} where
 */
function string(value, where) {
  if (typeof value !== "string") throw new Error(`${where}: expected a text`);
  return value;
}

/**
 * @param {unknown} value
 * @param {string} where
 */
function number(value, where) {
  if (typeof value !== "number") throw new Error(`${where}: expected a number`);
  return value;
}
