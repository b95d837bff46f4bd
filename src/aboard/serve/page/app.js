// The page begins: its parts are made and put together.

/** @import { Options } from "./types.js" */

import { Api, Failure } from "./api.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { Conversations } from "./conversations.js";
import { byId } from "./dom.js";
import { problemView } from "./facts.js";
import { Invalid } from "./fields.js";
import { Format } from "./format.js";
import { askForKey } from "./key.js";
import { Log } from "./log.js";
import { Notice } from "./notice.js";
import { Parameters } from "./parameters.js";
import { ServedChoice } from "./served.js";
import { Shelf } from "./shelf.js";
import { Side } from "./sides.js";
import { Tools } from "./tools.js";

const api = new Api(askForKey);
const conversations = new Conversations();
const served = new ServedChoice();
const notice = new Notice(byId("notice", HTMLDivElement));
const [parameters, format, tools] = [
  new Parameters(),
  new Format(),
  new Tools(),
];
byId("parameters", HTMLDetailsElement).append(parameters.node);
byId("format", HTMLDetailsElement).append(format.node);
byId("tools", HTMLDetailsElement).append(tools.node);
const settings = new Side("settings");
const shelfSide = new Side("shelf");

const log = new Log(
  byId("log", HTMLElement),
  byId("messages", HTMLDivElement),
  {
    edit: (message, text) => chat.edit(message, text),
    regenerate: (message) => chat.regenerate(message),
    remove: (message) => chat.remove(message),
    results: (message, results) => chat.results(message, results),
    waits: (message) => chat.waits(message),
    again: (message) => ({
      asked: () => chat.asked(message),
      keyed: () => api.hasKey,
      useSeed(seed) {
        parameters.useSeed(seed);
        notice.say(`The next answers have the seed ${seed}.`);
      },
    }),
  },
);
const chat = new Chat({ api, conversations, log, notice, options, invalid });
const shelf = new Shelf(conversations, chat, notice);
const composer = new Composer(chat);
const system = byId("system", HTMLTextAreaElement);

/** @returns {Options} */
function options() {
  const model = served.select.value;
  const given = { ...parameters.read(), ...format.read(), ...tools.read() };
  return { model, ...given };
}

/** @param {Invalid} mistake */
function invalid({ message, input }) {
  notice.say(message);
  settings.show(true);
  input.closest("details")?.setAttribute("open", "");
  input.focus();
}

function showMessages() {
  const { current } = conversations;
  log.show(current.messages);
  log.toEnd();
  byId("welcome", HTMLDivElement).hidden = current.messages.length > 0;
  system.value = current.system;
  served.measure(current);
  parameters.suggest(served.chosen?.identity.sampling);
}

conversations.addEventListener("messages", showMessages);
chat.addEventListener("answered", () => served.measure(conversations.current));
chat.addEventListener("busy", () =>
  log.node.setAttribute("aria-busy", String(chat.busy)),
);
served.select.addEventListener("change", showMessages);
system.addEventListener("input", () => {
  conversations.current.system = system.value;
  shelf.save();
});
byId("begin", HTMLButtonElement).addEventListener("click", () => {
  conversations.begin();
  shelfSide.uncover();
  composer.input.focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented) return;
  if (shelfSide.uncover() || settings.uncover()) return;
  if (chat.busy) chat.stop();
});

showMessages();
try {
  served.offer(await api.props());
  showMessages();
  if (!document.activeElement || document.activeElement === document.body)
    composer.input.focus();
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  byId("welcome", HTMLDivElement).replaceChildren(problemView(error.problem));
}
