// Calls of functions that a model asks for, and what the user says that they gave.

/** @import { ToolCall } from "./types.js" */

import { element } from "./dom.js";
import { codeField } from "./fields.js";
import { code } from "./markdown.js";

/**
 * Each call with its arguments; and, where they still wait for it, fields for their results.
 *
 * @param {ToolCall[]} calls
 * @param {((results: Map<string, string>) => void) | null} answer - null: they don't wait
 */
export function callsView(calls, answer) {
  const fields = new Map(
    calls.map((call) => [
      call.id,
      codeField(`Result of ${call.function.name}`, "text or JSON", 2),
    ]),
  );
  const blocks = calls.map((call) =>
    element(
      "li",
      {},
      element("p", {}, "calls ", element("code", {}, call.function.name)),
      code(tidied(call.function.arguments), "json"),
      answer && fields.get(call.id)?.node,
    ),
  );
  const list = element("ul", { class: "calls" }, ...blocks);
  if (!answer) return list;
  /** @param {Event} event */
  const send = (event) => {
    event.preventDefault();
    const results = new Map();
    for (const [id, field] of fields) results.set(id, field.input.value);
    answer(results);
  };
  return element(
    "form",
    { submit: send },
    list,
    element("button", { class: "primary" }, "Send results"),
  );
}

/**
 * JSON with line breaks, or the text where it is none (yet).
 *
 * @param {string} text
 */
export function tidied(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
