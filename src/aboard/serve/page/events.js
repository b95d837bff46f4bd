// Server-sent events, read from a response's bytes as they come.

/**
 * The data of each event, in order; an event without data is none.
 *
 * @param {ReadableStream<Uint8Array>} stream
 * @returns {AsyncGenerator<string, void, void>}
 */
export async function* eventData(stream) {
  /** @type {string[]} */
  let data = [];
  for await (const line of lines(stream)) {
    if (line === "") {
      if (data.length) yield data.join("\n");
      data = [];
    } else if (line.startsWith("data:")) {
      data.push(line.slice(line[5] === " " ? 6 : 5));
    }
  }
}

/**
 * Lines that are complete, without their ends: LF, CR or both. What follows the last end is none.
 *
 * @param {ReadableStream<Uint8Array>} stream
 * @returns {AsyncGenerator<string, void, void>}
 */
async function* lines(stream) {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      // A CR at the end of what has come may be the first half of a CR LF.
      const held = !done && rest.endsWith("\r") ? "\r" : "";
      const found = rest
        .slice(0, rest.length - held.length)
        .split(/\r\n|\n|\r/);
      rest = (found.pop() ?? "") + held;
      yield* found;
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
