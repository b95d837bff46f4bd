// An answer's tokens, shaded by how likely each was, with those that were likely in its place.

/** @import { Token } from "./types.js" */

import { element } from "./dom.js";

const SHADES = 5;

/**
 * Tokens in a row. The one that is pointed at, or chosen by arrow keys, is told of below.
 *
 * @param {Token[]} tokens
 */
export function likelihood(tokens) {
  const told = element("div", { class: "alternatives" }, hint());
  const spans = tokens.map((token, place) =>
    element(
      "span",
      { class: `token shade-${shade(token.logprob)}`, "data-place": place },
      visible(token.token),
    ),
  );
  const row = element(
    "div",
    {
      class: "tokens",
      tabindex: 0,
      role: "group",
      "aria-label": "Tokens; arrow keys choose one",
    },
    ...spans,
  );
  let chosen = -1;

  /** @param {number} place */
  function choose(place) {
    spans[chosen]?.classList.remove("chosen");
    chosen = Math.max(0, Math.min(place, spans.length - 1));
    spans[chosen].classList.add("chosen");
    told.replaceChildren(alternatives(tokens[chosen]));
  }

  row.addEventListener("pointerover", (event) => {
    const place = placeOf(event.target);
    if (place !== null) choose(place);
  });
  row.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    choose(chosen + step);
  });
  told.setAttribute("aria-live", "polite");
  return element("div", { class: "likelihood" }, row, told);
}

function hint() {
  return element(
    "p",
    { class: "hint" },
    "Point at a token, or use the arrow keys.",
  );
}

/** @param {EventTarget | null} target */
function placeOf(target) {
  const place =
    target instanceof HTMLElement ? target.dataset.place : undefined;
  return place === undefined ? null : Number(place);
}

/** @param {Token} token */
function alternatives(token) {
  const others = token.top_logprobs.some((each) => each.token === token.token)
    ? token.top_logprobs
    : [...token.top_logprobs, token];
  const rows = others.map((each) => {
    const isChosen = each.token === token.token;
    return element(
      "tr",
      { class: isChosen ? "chosen" : null },
      element("td", {}, element("code", {}, visible(each.token))),
      element("td", {}, element("meter", meter(each.logprob))),
      element("td", {}, percent(each.logprob)),
      element("td", {}, isChosen ? "drawn" : ""),
    );
  });
  return element("table", {}, element("tbody", {}, ...rows));
}

/** @param {number} logprob */
function meter(logprob) {
  return {
    value: Math.exp(logprob),
    min: 0,
    max: 1,
    "aria-label": "Probability",
  };
}

/** @param {number} logprob */
function percent(logprob) {
  const value = 100 * Math.exp(logprob);
  return value < 0.1 ? "< 0.1 %" : `${value.toFixed(1)} %`;
}

/**
 * 0 for what was all but certain, 4 for what was hardly likely.
 *
 * @param {number} logprob
 */
function shade(logprob) {
  return Math.min(SHADES - 1, Math.floor(-logprob / Math.log(3)));
}

/**
 * White space that can be seen.
 *
 * @param {string} text
 */
function visible(text) {
  return text.replaceAll("\n", "⏎\n").replaceAll("\t", "⇥") || "∅";
}
