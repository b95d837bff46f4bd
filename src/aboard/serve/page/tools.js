// The functions that a model may call, and whether it may, must or mustn't.

import { button, element } from "./dom.js";
import { choiceField, codeField } from "./fields.js";

const EXAMPLE = `[
  {
    "name": "weather",
    "description": "The weather at a place now.",
    "parameters": {
      "type": "object",
      "properties": { "place": { "type": "string" } },
      "required": ["place"],
      "additionalProperties": false
    }
  }
]`;

/** @typedef {{ name: string } & Record<string, unknown>} Callable */

/** The functions as JSON, and the choice of one. */
export class Tools {
  constructor() {
    this.functions = codeField(
      "Functions, as JSON",
      "a list of objects with name, description and parameters (a JSON schema)",
      8,
    ).watch((text) => this.#offer(functions(text)));
    this.choice = choiceField("The model calls", [], "");
    this.example = button("Fill in an example", () => {
      this.functions.input.value = EXAMPLE;
      this.functions.input.dispatchEvent(new Event("input"));
    });
    this.node = element(
      "div",
      { class: "fields" },
      this.functions.node,
      this.example,
      this.choice.node,
    );
    this.#offer([]);
  }

  /**
   * As the API takes them.
   *
   * @returns {{ tools?: object[], tool_choice?: unknown }}
   */
  read() {
    const found = this.functions.read(functions);
    if (found.length === 0) return {};
    const tools = found.map((each) => ({ type: "function", function: each }));
    const chosen = this.choice.input.value;
    if (chosen === "auto") return { tools };
    if (!chosen.startsWith("=")) return { tools, tool_choice: chosen };
    const name = chosen.slice(1);
    return { tools, tool_choice: { type: "function", function: { name } } };
  }

  /** @param {Callable[]} found */
  #offer(found) {
    const { input, node } = this.choice;
    const before = input.value;
    const options = [
      ["auto", "what it likes, or nothing"],
      ["required", "at least one"],
      ["none", "none"],
      ...found.map(({ name }) => [`=${name}`, name]),
    ];
    input.replaceChildren(
      ...options.map(([value, words]) => element("option", { value }, words)),
    );
    const kept = options.some(([value]) => value === before);
    input.value = kept ? before : "auto";
    node.hidden = found.length === 0;
  }
}

/**
 * The functions that a text defines, in either of the cloud API's forms.
 *
 * @param {string} text
 * @returns {Callable[]}
 */
function functions(text) {
  if (text.trim() === "") return [];
  const value = JSON.parse(text);
  if (!Array.isArray(value)) throw new Error("expected a list: [ … ]");
  return value.map((each, place) => {
    const found =
      each?.type === "function" && each.function ? each.function : each;
    if (typeof found?.name !== "string" || found.name === "")
      throw new Error(`number ${place + 1} has no name`);
    return found;
  });
}
