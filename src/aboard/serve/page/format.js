// The form that answers are held to: JSON, one of a few texts, or a grammar.

import { button, element } from "./dom.js";
import { Field, choiceField, codeField } from "./fields.js";

const EXAMPLES = {
  json_schema: `{
  "type": "object",
  "properties": {
    "mood": { "enum": ["glad", "sad", "angry"] },
    "sure": { "type": "boolean" }
  },
  "required": ["mood", "sure"],
  "additionalProperties": false
}`,
  choice: "yes\nno",
  regex: "[0-9]{4}-[0-9]{2}-[0-9]{2}",
  lark: 'start: "yes" | "no" ", because " /[a-z ]{1,40}/',
};

/** @typedef {keyof typeof EXAMPLES} Defined */

/** The choice of a form, and the field that defines it. */
export class Format {
  constructor() {
    this.kind = choiceField("Answers are", [
      ["text", "any text"],
      ["json_object", "any JSON object"],
      ["json_schema", "JSON of a schema"],
      ["choice", "one of a few texts"],
      ["regex", "what a regular expression matches"],
      ["lark", "what a grammar allows (Lark)"],
    ]);
    /** @type {Record<Defined, Field<HTMLTextAreaElement>>} */
    this.definitions = {
      json_schema: codeField("JSON schema", "keys come in its order", 10),
      choice: codeField("Texts", "one a line", 4),
      regex: codeField("Regular expression", "the whole answer matches it", 3),
      lark: codeField("Grammar", "of llguidance's variant of Lark", 6),
    };
    this.definitions.json_schema.watch(schema);
    this.tidy = button("Tidy up", () => this.#tidy());
    const fields = Object.values(this.definitions).map(({ node }) => node);
    this.node = element(
      "div",
      { class: "fields" },
      this.kind.node,
      ...fields,
      this.tidy,
    );
    this.kind.input.addEventListener("change", () => this.#show());
    this.#show();
  }

  /**
   * As the API takes it.
   *
   * @returns {{ response_format?: object }}
   */
  read() {
    const kind = this.kind.input.value;
    if (kind === "text") return {};
    if (!isDefined(kind)) return { response_format: { type: kind } };
    const field = this.definitions[kind];
    switch (kind) {
      case "json_schema":
        return {
          response_format: {
            type: kind,
            json_schema: { name: "answer", schema: field.read(schema) },
          },
        };
      case "choice":
        return {
          response_format: { type: kind, choices: field.read(choices) },
        };
      default:
        return {
          response_format: {
            type: "grammar",
            syntax: kind,
            definition: field.read(definition),
          },
        };
    }
  }

  #show() {
    const kind = this.kind.input.value;
    for (const [name, { node }] of Object.entries(this.definitions))
      node.hidden = name !== kind;
    this.tidy.hidden = kind !== "json_schema";
    if (!isDefined(kind)) return;
    const { input } = this.definitions[kind];
    if (input.value === "") input.value = EXAMPLES[kind];
  }

  #tidy() {
    const { input } = this.definitions.json_schema;
    const value = this.definitions.json_schema.read(schema);
    input.value = JSON.stringify(value, null, 2);
  }
}

/**
 * @param {string} kind
 * @returns {kind is Defined}
 */
function isDefined(kind) {
  return kind in EXAMPLES;
}

/**
 * @param {string} text
 * @returns {object | boolean}
 */
function schema(text) {
  const value = JSON.parse(text);
  const isObject = typeof value === "object" && value && !Array.isArray(value);
  if (!isObject && typeof value !== "boolean")
    throw new Error("a schema is an object or a boolean");
  return value;
}

/** @param {string} text */
function choices(text) {
  const lines = text.split("\n").filter((line) => line !== "");
  if (lines.length === 0) throw new Error("there is none");
  return lines;
}

/** @param {string} text */
function definition(text) {
  if (text.trim() === "") throw new Error("there is none");
  return text;
}
