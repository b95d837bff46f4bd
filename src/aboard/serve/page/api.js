// Requests to the server that the page came from.

/** @import { Chunk, Problem, Props, WireMessage } from "./types.js" */

import { eventData } from "./events.js";
import { session } from "./storage.js";

const KEY = "aboard.key";

/** What the server refused, or why it was not reached. */
export class Failure extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.message);
    this.problem = problem;
  }
}

/** The server's API. Where it wants a key, the user is asked for one, which this tab keeps. */
export class Api {
  /** @param {(wrong: boolean) => Promise<string | null>} askForKey - null: the user gave none. */
  constructor(askForKey) {
    this.askForKey = askForKey;
  }

  /** Whether requests carry a key. */
  get hasKey() {
    return session.getItem(KEY) !== null;
  }

  /** @returns {Promise<Props>} */
  async props() {
    const response = await this.#ask("/props", {});
    return await response.json();
  }

  /**
   * The events of an answer, as they come. Leaving the loop ends the request.
   *
   * @param {Record<string, unknown> & { messages: WireMessage[] }} body
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<Chunk, void, void>}
   */
  async *answer(body, signal) {
    const response = await this.#ask("/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
    if (!response.body) throw unreached("the answer has no body");
    try {
      for await (const data of eventData(response.body)) {
        if (data === "[DONE]") return;
        const event = JSON.parse(data);
        if (event.error) throw refused(response, event);
        yield event;
      }
    } catch (error) {
      if (error instanceof Failure || signal.aborted) throw error;
      if (error instanceof SyntaxError)
        throw unreached("the answer is none of this server's: no JSON");
      // Whatever else the browser says, such as "network error": the bytes stopped.
    }
    throw unreached("the connection ended before the answer did");
  }

  /**
   * @param {string} path
   * @param {RequestInit} request
   */
  async #ask(path, request) {
    for (;;) {
      const key = session.getItem(KEY);
      const headers = new Headers(request.headers);
      if (key !== null) headers.set("authorization", `Bearer ${key}`);
      const response = await reached(path, { ...request, headers });
      if (response.ok) return response;
      const problem = refused(
        response,
        await response.json().catch(() => ({})),
      );
      if (response.status !== 401) throw problem;
      const given = await this.askForKey(key !== null);
      if (given === null) throw problem;
      session.setItem(KEY, given);
    }
  }
}

/**
 * @param {string} path
 * @param {RequestInit} request
 */
async function reached(path, request) {
  try {
    return await fetch(path, request);
  } catch (error) {
    if (request.signal?.aborted) throw error;
    throw unreached("the server can't be reached");
  }
}

/**
 * @param {Response} response
 * @param {{ error?: Partial<Problem> }} body
 */
function refused(response, body) {
  const retry = response.headers.get("retry-after");
  return new Failure({
    status: response.ok ? 0 : response.status,
    message: body.error?.message ?? `the server answered ${response.status}`,
    code: body.error?.code ?? null,
    param: body.error?.param ?? null,
    retryAfterS: retry === null ? null : Number(retry),
  });
}

/** @param {string} message */
function unreached(message) {
  return new Failure({
    status: 0,
    message,
    code: null,
    param: null,
    retryAfterS: null,
  });
}
