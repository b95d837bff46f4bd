// Fields of the settings: a label, an input, a hint, and what is wrong with it.

import { element } from "./dom.js";

let n = 0;

/** What a user typed can't be asked with. */
export class Invalid extends Error {
  /**
   * @param {string} message
   * @param {HTMLElement} input
   */
  constructor(message, input) {
    super(message);
    this.input = input;
  }
}

/**
 * An input with its label above and its hint below; mistakes are told there, too.
 *
 * @template {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} Input
 */
export class Field {
  /**
   * @param {string} label
   * @param {Input} input
   * @param {string} [hint]
   */
  constructor(label, input, hint = "") {
    n += 1;
    input.id = `field-${n}`;
    this.label = label;
    this.input = input;
    this.mistake = element("p", { class: "mistake", id: `mistake-${n}` });
    const about = element("p", { class: "hint", id: `hint-${n}` }, hint);
    input.setAttribute("aria-describedby", `${this.mistake.id} ${about.id}`);
    this.node = element(
      "div",
      { class: "field" },
      element("label", { for: input.id }, label),
      input,
      this.mistake,
      hint && about,
    );
  }

  /**
   * Say what is wrong, or, with nothing, that all is well.
   *
   * @param {string} [mistake]
   */
  tell(mistake = "") {
    this.mistake.textContent = mistake;
    this.input.setAttribute("aria-invalid", String(mistake !== ""));
  }

  /**
   * What `understand` makes of the input; its error is told here and thrown as `Invalid`.
   *
   * @template Result
   * @param {(text: string) => Result} understand
   * @returns {Result}
   */
  read(understand) {
    try {
      const result = understand(this.input.value);
      this.tell();
      return result;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.tell(message);
      throw new Invalid(`${this.label}: ${message}`, this.input);
    }
  }

  /**
   * Say what is wrong while it is typed.
   *
   * @param {(text: string) => unknown} understand
   */
  watch(understand) {
    this.input.addEventListener("input", () => {
      try {
        this.read(understand);
      } catch (error) {
        if (!(error instanceof Invalid)) throw error;
      }
    });
    return this;
  }
}

/**
 * A text area for code.
 *
 * @param {string} label
 * @param {string} hint
 * @param {number} rows
 */
export function codeField(label, hint, rows) {
  const input = element("textarea", {
    class: "code-input",
    rows,
    spellcheck: "false",
    autocapitalize: "off",
    autocomplete: "off",
  });
  return new Field(label, input, hint);
}

/**
 * A choice of few, as pairs of value and words.
 *
 * @param {string} label
 * @param {[string, string][]} options
 * @param {string} [hint]
 */
export function choiceField(label, options, hint) {
  const input = element("select");
  for (const [value, words] of options)
    input.append(element("option", { value }, words));
  return new Field(label, input, hint);
}
