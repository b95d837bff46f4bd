// Texts that are copied: to the clipboard, with a word that it was done.

import { button, element } from "./dom.js";

const TOLD_MS = 1500;

/**
 * A button that copies a text and says so for a moment.
 *
 * @param {string} label
 * @param {() => string} text
 * @param {string} [title]
 */
export function copyButton(label, text, title) {
  const made = button(
    label,
    async () => {
      made.textContent = (await copied(text())) ? "Copied" : "Can't copy";
      setTimeout(() => (made.textContent = label), TOLD_MS);
    },
    { title },
  );
  return made;
}

/**
 * Whether the text is in the clipboard now.
 *
 * @param {string} text
 */
async function copied(text) {
  // Without TLS browsers give pages of other machines no clipboard, but the old command works.
  if (!navigator.clipboard) return copiedAsOfOld(text);
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedAsOfOld(text);
  }
}

/** @param {string} text */
function copiedAsOfOld(text) {
  const before = document.activeElement;
  const area = element("textarea", { class: "visually-hidden" });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (before instanceof HTMLElement) before.focus();
  return done;
}
