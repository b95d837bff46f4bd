// The shapes of what the page's modules hand to each other; read by the type checker alone.

export type Role = "system" | "user" | "assistant" | "tool";

/** A call of a function, as the API gives it. */
export interface ToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

export interface Alternative {
  token: string;
  logprob: number;
}

/** A token of an answer with those that were likely in its place. */
export interface Token extends Alternative {
  top_logprobs: Alternative[];
}

/** A message as the API takes it. */
export interface WireMessage {
  role: Role;
  content: string | null;
  tool_calls?: ToolCall[];
  tool_call_id?: string;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details?: { cached_tokens?: number };
}

/** What went wrong, as the API tells it. */
export interface Problem {
  status: number;
  message: string;
  code: string | null;
  param: string | null;
  retryAfterS: number | null;
}

/** The body of a request without its messages. */
export type Options = { model: string; seed: number } & Record<string, unknown>;

/** All that is known of an answer beside its text. */
export interface Facts {
  system: string;
  options: Options;
  fingerprint?: string;
  finish?: string;
  usage?: Usage;
  firstTokenS?: number;
  tokensPerS?: number;
  stopped?: boolean;
  problem?: Problem;
}

export interface Message {
  id: number;
  role: "user" | "assistant" | "tool";
  content: string;
  toolCalls?: ToolCall[];
  toolCallId?: string;
  tokens?: Token[];
  facts?: Facts;
}

export interface Conversation {
  id: number;
  /** The same in all tabs that have it from this browser. */
  key: string;
  system: string;
  messages: Message[];
}

/** An event of a stream of the API. */
export interface Chunk {
  system_fingerprint?: string;
  usage?: Usage | null;
  choices: {
    delta: {
      content?: string | null;
      tool_calls?: {
        index: number;
        id?: string;
        function?: { name?: string; arguments?: string };
      }[];
    };
    logprobs?: { content: Token[] | null } | null;
    finish_reason: string | null;
  }[];
}

export interface ServedModel {
  id: string;
  kind: "text" | "embeddings";
  aliases: string[];
  context_length: number;
  chat_template: string | null;
  system_fingerprint: string;
  identity: { sampling?: Record<string, number> };
}

export interface Props {
  version: string;
  models: ServedModel[];
}
