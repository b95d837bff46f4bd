// Elements are made here and nowhere else: texts become text nodes, never markup.

/**
 * @typedef {Node | string | null | undefined | false} Child
 * @typedef {Record<string, string | number | boolean | null | undefined | EventListener>} Attributes
 */

/**
 * An element with its attributes and children. A function is a listener, under the event's name;
 * `true` is an attribute without a value; `false`, null and undefined are none.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined)
      made.setAttribute(name, String(value));
  }
  append(made, ...children);
  return made;
}

/**
 * Add children, leaving out those that are none.
 *
 * @param {ParentNode} parent
 * @param {...Child} children
 */
export function append(parent, ...children) {
  for (const child of children) if (child) parent.append(child);
}

/**
 * A button of words.
 *
 * @param {string} label
 * @param {() => void} act
 * @param {Attributes} [attributes]
 */
export function button(label, act, attributes = {}) {
  return element(
    "button",
    { type: "button", click: () => act(), ...attributes },
    label,
  );
}

/**
 * The element of index.html with this id, which must be of this class.
 *
 * @template {HTMLElement} Kind
 * @param {string} id
 * @param {new () => Kind} kind
 * @returns {Kind}
 */
export function byId(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${id}`);
  return found;
}

/**
 * Make a text area as high as its text, up to what the style allows.
 *
 * @param {HTMLTextAreaElement} area
 */
export function fitHeight(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}
