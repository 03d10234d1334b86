//! What the attributes of spans are called, now and in conventions before.
//!
//! The first name that is there counts. `llm.…` are the names of `OpenLLMetry` and `OpenInference` from before
//! there were conventions, `gen_ai.latency.…` those of `vLLM` and `SGLang`.

/// Who runs the model.
pub(super) const PROVIDER: &[&str] =
    &["gen_ai.provider.name", "gen_ai.system", "llm.vendor", "llm.provider", "llm.system"];

/// What was done: `chat`, `embeddings`, `invoke_agent` …
pub(super) const OPERATION: &[&str] = &["gen_ai.operation.name", "llm.request.type"];

/// The model that was asked for.
pub(super) const REQUEST_MODEL: &[&str] =
    &["gen_ai.request.model", "llm.request.model", "llm.model_name"];

/// The model that answered.
pub(super) const RESPONSE_MODEL: &[&str] = &["gen_ai.response.model", "llm.response.model"];

/// Tokens that went in.
pub(super) const INPUT_TOKENS: &[&str] = &[
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.usage.prompt_tokens",
    "llm.token_count.prompt",
];

/// Tokens that came out.
pub(super) const OUTPUT_TOKENS: &[&str] = &[
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.usage.completion_tokens",
    "llm.token_count.completion",
];

/// Both.
pub(super) const TOTAL_TOKENS: &[&str] =
    &["gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total"];

/// Tokens that went in and were cached by the provider.
pub(super) const CACHED_INPUT_TOKENS: &[&str] = &[
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.input_tokens.cached",
];

/// Tokens of reasoning among those that came out.
pub(super) const REASONING_TOKENS: &[&str] =
    &["gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"];

/// What the call cost.
pub(super) const COST: &[&str] =
    &["gen_ai.usage.cost", "gen_ai.usage.total_cost", "gen_ai.cost.total_cost"];

/// Seconds until the first piece of the answer.
pub(super) const FIRST_TOKEN_SECS: &[&str] = &[
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.server.time_to_first_token",
    "gen_ai.response.time_to_first_token",
    "gen_ai.latency.time_to_first_token",
];

/// Seconds per further piece.
pub(super) const PER_TOKEN_SECS: &[&str] = &["gen_ai.server.time_per_output_token"];

/// Events of a span at its first pieces, where no attribute says when they came.
pub(super) const CHUNK_EVENTS: &[&str] = &[
    "gen_ai.content.completion.chunk",
    "llm.content.completion.chunk",
    "First Token Stream Event",
];

/// Kind of failure.
pub(super) const ERROR_TYPE: &[&str] = &["error.type"];

/// What belongs together.
pub(super) const CONVERSATION: &[&str] = &["gen_ai.conversation.id", "session.id"];

/// Why it stopped: a list.
pub(super) const FINISH_REASONS: &[&str] =
    &["gen_ai.response.finish_reasons", "gen_ai.response.finish_reason"];

/// Whether this attribute makes a span one of ours.
pub(super) fn is_ours(name: &str) -> bool {
    let older = || {
        [PROVIDER, OPERATION, REQUEST_MODEL, RESPONSE_MODEL, INPUT_TOKENS, OUTPUT_TOKENS]
            .iter()
            .any(|names| names.contains(&name))
    };
    name.starts_with("gen_ai.") || (name.starts_with("llm.") && older())
}

/// What may hold what people said; never taken.
const CONTENT: &[&str] = &[
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.retrieval.documents",
    "gen_ai.retrieval.query.text",
    "gen_ai.request.messages",
    "gen_ai.response.text",
    "gen_ai.response.tool_calls",
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.content",
    "llm.prompts",
    "llm.completions",
    "llm.prompt_template",
    "llm.input_messages",
    "llm.output_messages",
    "input.value",
    "output.value",
    "traceloop.entity.input",
    "traceloop.entity.output",
    "exception.message",
    "exception.stacktrace",
];

/// Names below [`CONTENT`] that hold none.
const NO_CONTENT: &[&str] = &["gen_ai.prompt.name", "gen_ai.prompt.version"];

/// Whether an attribute may hold what people said.
pub(super) fn is_content(name: &str) -> bool {
    let is_below = |content: &&str| {
        name.strip_prefix(*content).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    CONTENT.iter().any(is_below) && !NO_CONTENT.contains(&name)
}
