// The conversations of this page, in memory. Every change can be taken back once.

/** @import { Kept } from "./archive.js" */
/** @import { Conversation, Message, ToolCall, WireMessage } from "./types.js" */

const TITLE = 48;

/**
 * A change of the list or of the current conversation is told by an event: "list" when there are
 * others or one is called otherwise, "messages" when the current one's messages are others. What
 * an answer gets while it is made is not told here.
 */
export class Conversations extends EventTarget {
  constructor() {
    super();
    this.#nextId = 1;
    /** @type {Conversation[]} */
    this.all = [];
    this.current = this.#added("", []);
    /** @type {(() => void) | null} */
    this.restore = null;
  }

  #nextId;

  /**
   * @param {string} system
   * @param {Omit<Message, "id">[]} messages
   * @param {string} [key]
   */
  #added(system, messages, key = drawn()) {
    const conversation = {
      id: this.#nextId++,
      key,
      system,
      messages: messages.map((each) => ({ ...each, id: this.#nextId++ })),
    };
    this.all.unshift(conversation);
    return conversation;
  }

  /** Whether anything was said in any of them. */
  get anything() {
    return this.all.some((each) => each.messages.length > 0);
  }

  /** Begin another with the same system prompt; an empty one is enough. */
  begin() {
    if (this.current.messages.length === 0) return;
    const empty = this.all.find((each) => each.messages.length === 0);
    this.choose(empty ?? this.#added(this.current.system, []));
  }

  /** @param {Conversation} conversation */
  choose(conversation) {
    this.current = conversation;
    this.restore = null;
    this.#tell("list", "messages");
  }

  /**
   * Leave a conversation out; `undo` brings it back.
   *
   * @param {Conversation} conversation
   */
  remove(conversation) {
    const restore = this.#snapshot();
    this.all = this.all.filter((each) => each !== conversation);
    if (this.all.length === 0) this.#added(conversation.system, []);
    this.choose(this.current === conversation ? this.all[0] : this.current);
    this.restore = restore;
  }

  /**
   * Take in what was kept elsewhere, before all others, and show the first.
   *
   * @param {Kept[]} kept
   */
  take(kept) {
    this.all = this.all.filter((each) => each.messages.length > 0);
    for (const each of kept.toReversed())
      this.#added(each.system, each.messages, each.key);
    if (this.all.length === 0) this.#added("", []);
    this.choose(this.all[0]);
  }

  /**
   * Add a message to the current conversation.
   *
   * @param {Omit<Message, "id">} message
   */
  add(message) {
    const added = { ...message, id: this.#nextId++ };
    this.current.messages = [...this.current.messages, added];
    this.#tell("list", "messages");
    return added;
  }

  /**
   * Cut the current conversation before this message; `undo` brings back what was cut.
   *
   * @param {Message} message
   * @returns {number} how many messages were cut
   */
  cut(message) {
    const { current } = this;
    const place = current.messages.indexOf(message);
    if (place < 0) return 0;
    const n = current.messages.length - place;
    this.restore = this.#snapshot();
    current.messages = current.messages.slice(0, place);
    this.#tell("list", "messages");
    return n;
  }

  /** Whether there is something to bring back. */
  get canUndo() {
    return this.restore !== null;
  }

  /** Bring back what the last `cut` or `remove` took, in the place of what came since. */
  undo() {
    this.restore?.();
    this.restore = null;
    this.#tell("list", "messages");
  }

  /** What was taken is gone for good: something new begins. */
  settle() {
    this.restore = null;
  }

  #snapshot() {
    const { all, current } = this;
    const { messages } = current;
    return () => {
      this.all = all;
      this.current = current;
      current.messages = messages;
    };
  }

  /** @param {...string} types */
  #tell(...types) {
    for (const type of types) this.dispatchEvent(new Event(type));
  }
}

/** A text that nobody else draws. */
function drawn() {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}

/**
 * What a conversation is called: the beginning of what was asked first.
 *
 * @param {Conversation} conversation
 */
export function title({ messages }) {
  const first = messages[0]?.content.trim().replace(/\s+/g, " ") ?? "";
  if (first.length > TITLE) return `${first.slice(0, TITLE)}…`;
  return first || "Nothing said yet";
}

/**
 * Whether a call has all its arguments: the last of an answer that was cut may not.
 *
 * @param {ToolCall} call
 */
export function isWhole({ id, function: called }) {
  try {
    return id !== "" && JSON.parse(called.arguments) !== null;
  } catch {
    return false;
  }
}

/**
 * Messages as the API takes them, behind the system prompt if there is one; calls that were cut are
 * left out.
 *
 * @param {string} system
 * @param {Message[]} messages
 * @returns {WireMessage[]}
 */
export function wire(system, messages) {
  /** @type {WireMessage[]} */
  const told = system.trim() ? [{ role: "system", content: system }] : [];
  for (const each of messages) {
    /** @type {WireMessage} */
    const message = { role: each.role, content: each.content };
    const calls = each.toolCalls?.filter(isWhole);
    if (calls?.length) {
      message.tool_calls = calls;
      message.content = each.content || null;
    }
    if (each.toolCallId !== undefined) message.tool_call_id = each.toolCallId;
    told.push(message);
  }
  return told;
}
