// The dialog that asks for a key, where the server wants one.

import { byId } from "./dom.js";

/**
 * The key that the user types, or null where they leave the dialog.
 *
 * @param {boolean} wrong - whether one was tried already
 * @returns {Promise<string | null>}
 */
export function askForKey(wrong) {
  const dialog = byId("key-dialog", HTMLDialogElement);
  const form = byId("key-form", HTMLFormElement);
  const input = byId("key", HTMLInputElement);
  const mistake = byId("key-mistake", HTMLParagraphElement);
  mistake.textContent = wrong ? "The server doesn't know that key." : "";
  input.value = "";
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      const key = input.value.trim();
      if (!/^[!-~]+$/.test(key)) {
        mistake.textContent = "A key has letters, digits and signs of ASCII.";
        return;
      }
      dialog.close();
      resolve(key);
    };
    byId("key-cancel", HTMLButtonElement).onclick = () => dialog.close();
    dialog.onclose = () => resolve(null);
    if (!dialog.open) dialog.showModal();
    input.focus();
  });
}
