// What is told below an answer: how long it took, what it cost, how to have it again.

/** @import { Facts, Problem, WireMessage } from "./types.js" */

import { copyButton } from "./copying.js";
import { button, element } from "./dom.js";
import { curl, python } from "./recipes.js";

/**
 * @typedef {{
 *   asked: () => WireMessage[],
 *   keyed: () => boolean,
 *   useSeed: (seed: number) => void,
 * }} Again - what an answer's recipes are made of
 */

const FINISHES = new Map([
  ["length", "cut off: the longest answer, or the end of the context"],
  ["stopped", "stopped"],
]);

/**
 * A line that opens to all there is.
 *
 * @param {Facts} facts
 * @param {Again} again
 */
export function factsView(facts, again) {
  const { options, usage } = facts;
  /** @type {[string, unknown][]} */
  const rows = [
    ["Model", options.model],
    ["Seed", String(options.seed)],
    ["Fingerprint", facts.fingerprint],
    [
      "First token after",
      facts.firstTokenS && `${seconds(facts.firstTokenS)} s`,
    ],
    ["Prompt", usage && prompt(usage)],
    ["Answer", usage && `${count(usage.completion_tokens)} tokens`],
    ["Speed", facts.tokensPerS && `${rate(facts.tokensPerS)} tokens/s`],
    ["Ended by", ending(facts)],
  ];
  const list = element("dl");
  for (const [name, value] of rows)
    if (value)
      list.append(element("dt", {}, name), element("dd", {}, String(value)));
  const recipes = element(
    "div",
    { class: "actions" },
    copyButton("Copy as curl", () =>
      curl(options, again.asked(), again.keyed()),
    ),
    copyButton("Copy as Python", () =>
      python(options, again.asked(), again.keyed()),
    ),
    button("Use this seed", () => again.useSeed(options.seed)),
  );
  return element(
    "details",
    { class: "facts" },
    element("summary", {}, summary(facts)),
    list,
    recipes,
  );
}

/** @param {Facts} facts */
function summary(facts) {
  const { usage, tokensPerS } = facts;
  return [
    usage && `${count(usage.completion_tokens)} tokens`,
    tokensPerS && `${rate(tokensPerS)} tokens/s`,
    `seed ${facts.options.seed}`,
    facts.stopped && "stopped",
    facts.finish === "length" && "cut off",
  ]
    .filter(Boolean)
    .join(" · ");
}

/**
 * What the server refused, as it says it.
 *
 * @param {Problem} problem
 */
export function problemView(problem) {
  const { status, code, param, message, retryAfterS } = problem;
  const marks = [
    status && `HTTP ${status}`,
    code,
    param && `parameter ${param}`,
    typeof retryAfterS === "number" && `ask again in ${retryAfterS} s`,
  ].filter(Boolean);
  return element(
    "div",
    { class: "problem", role: "alert" },
    element("strong", {}, "No answer. "),
    message,
    marks.length > 0 && element("p", { class: "marks" }, marks.join(" · ")),
  );
}

/** @param {Facts} facts */
function ending({ stopped, finish }) {
  const end = stopped ? "stopped" : (finish ?? "");
  return FINISHES.get(end) ?? end;
}

/** @param {NonNullable<Facts["usage"]>} usage */
function prompt(usage) {
  const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
  return `${count(usage.prompt_tokens)} tokens, ${count(cached)} of them cached`;
}

/** @param {number} n */
export function count(n) {
  return n.toLocaleString("en-GB");
}

/** @param {number} value */
function rate(value) {
  return value < 100 ? value.toFixed(1) : count(Math.round(value));
}

/** @param {number} value */
function seconds(value) {
  return value < 10 ? value.toPrecision(2) : value.toFixed(0);
}
