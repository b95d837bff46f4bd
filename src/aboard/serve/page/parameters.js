// How tokens are drawn: a field for each parameter. An empty one leaves the server's default.

import { element } from "./dom.js";
import { Field } from "./fields.js";

/**
 * @typedef {{
 *   name: string, label: string, hint: string, placeholder: string,
 *   min: number, max: number, step: number | "any",
 * }} Parameter
 */

/** @type {Parameter[]} */
const NUMBERS = [
  {
    name: "temperature",
    label: "Temperature",
    hint: "0 always takes the likeliest token",
    placeholder: "1",
    min: 0,
    max: 2,
    step: "any",
  },
  {
    name: "max_tokens",
    label: "Longest answer",
    hint: "in tokens; or until the context is full",
    placeholder: "no limit",
    min: 1,
    max: 1e9,
    step: 1,
  },
  {
    name: "top_p",
    label: "Top p",
    hint: "the likeliest tokens that have this probability together; 1 is off",
    placeholder: "1",
    min: 0,
    max: 1,
    step: "any",
  },
  {
    name: "top_k",
    label: "Top k",
    hint: "as many of the likeliest tokens; 0 is off",
    placeholder: "0",
    min: 0,
    max: 2 ** 31 - 1,
    step: 1,
  },
  {
    name: "min_p",
    label: "Min p",
    hint: "tokens at least this likely beside the likeliest; 0 is off",
    placeholder: "0",
    min: 0,
    max: 1,
    step: "any",
  },
  {
    name: "presence_penalty",
    label: "Presence penalty",
    hint: "against tokens that the answer has; −2 to 2",
    placeholder: "0",
    min: -2,
    max: 2,
    step: "any",
  },
  {
    name: "frequency_penalty",
    label: "Frequency penalty",
    hint: "the same, for each time it has them; −2 to 2",
    placeholder: "0",
    min: -2,
    max: 2,
    step: "any",
  },
  {
    name: "repetition_penalty",
    label: "Repetition penalty",
    hint: "divides the logits of tokens that came before; 1 is off",
    placeholder: "1",
    min: 0,
    max: 10,
    step: "any",
  },
  {
    name: "seed",
    label: "Seed",
    hint: "the same seed gives the same answer; empty: another for each answer",
    placeholder: "another each time",
    min: Number.MIN_SAFE_INTEGER,
    max: Number.MAX_SAFE_INTEGER,
    step: 1,
  },
];
const MOST_STOPS = 4;
const ALTERNATIVES = 5;

/** The fields, and what they say. */
export class Parameters {
  constructor() {
    this.fields = NUMBERS.map((parameter) => ({
      parameter,
      field: numberField(parameter),
    }));
    this.stop = new Field(
      "Stop texts",
      element("textarea", { rows: 2, spellcheck: "false" }),
      "one a line, four at most; \\n stands for a line's end",
    ).watch(stops);
    this.logprobs = element("input", { type: "checkbox", id: "logprobs" });
    this.node = element(
      "div",
      { class: "fields" },
      ...this.fields.map(({ field }) => field.node),
      this.stop.node,
      element(
        "div",
        { class: "check" },
        this.logprobs,
        element("label", { for: "logprobs" }, "Show how likely each token was"),
      ),
    );
  }

  /**
   * Show what the server takes where a field is empty. A seed is drawn here all the same.
   *
   * @param {Record<string, number>} [sampling]
   */
  suggest(sampling = {}) {
    for (const { parameter, field } of this.fields) {
      const { name, placeholder } = parameter;
      if (name !== "seed")
        field.input.placeholder = String(sampling[name] ?? placeholder);
    }
  }

  /**
   * What differs from the defaults, as the API takes it. A seed is drawn where none is given, so
   * that the answer can be had again.
   *
   * @returns {{ seed: number } & Record<string, unknown>}
   */
  read() {
    /** @type {{ seed: number } & Record<string, unknown>} */
    const options = { seed: crypto.getRandomValues(new Uint32Array(1))[0] };
    for (const { parameter, field } of this.fields) {
      const value = field.read(() => number(parameter, field.input));
      if (value !== null) options[parameter.name] = value;
    }
    const stop = this.stop.read(stops);
    if (stop.length) options.stop = stop;
    if (this.logprobs.checked) {
      options.logprobs = true;
      options.top_logprobs = ALTERNATIVES;
    }
    return options;
  }

  /** @param {number} seed */
  useSeed(seed) {
    const found = this.fields.find(
      ({ parameter }) => parameter.name === "seed",
    );
    if (found) found.field.input.value = String(seed);
  }
}

/** @param {Parameter} parameter */
function numberField(parameter) {
  const { name, label, hint, placeholder, min, max, step } = parameter;
  const input = element("input", {
    type: "number",
    "data-name": name,
    autocomplete: "off",
    placeholder,
    min,
    max,
    step,
  });
  return new Field(label, input, hint).watch(() => number(parameter, input));
}

/**
 * The number that was typed; null where the field is empty.
 *
 * @param {Parameter} parameter
 * @param {HTMLInputElement} input
 */
function number({ min, max, step }, input) {
  if (input.validity.badInput) throw new Error("not a number");
  if (input.value === "") return null;
  const value = Number(input.value);
  if (value < min || value > max)
    throw new Error(`not within ${min} to ${max}`);
  if (step === 1 && !Number.isInteger(value)) throw new Error("not whole");
  return value;
}

/** @param {string} text */
function stops(text) {
  const lines = text.split("\n").filter((line) => line !== "");
  if (lines.length > MOST_STOPS) throw new Error(`more than ${MOST_STOPS}`);
  return lines.map((line) =>
    line.replace(/\\([nt\\])/g, (_, letter) =>
      letter === "n" ? "\n" : letter === "t" ? "\t" : "\\",
    ),
  );
}
