//! Models and services of the generated traffic.

/// A model as a provider would list it.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: &'static str,
    /// Share of the traffic, relative to the others.
    pub(super) weight: f64,
    /// US dollars per million input tokens.
    pub(super) input_price: f64,
    /// US dollars per million output tokens.
    pub(super) output_price: f64,
    /// Median time to the first token in milliseconds.
    pub(super) first_token_ms: f64,
    pub(super) tokens_per_sec: f64,
    /// Mean quality score in `0..=1`.
    pub(super) quality: f64,
}

pub(super) const MODELS: [Model; 6] = [
    Model {
        name: "gpt-4o",
        weight: 24.0,
        input_price: 2.5,
        output_price: 10.0,
        first_token_ms: 420.0,
        tokens_per_sec: 85.0,
        quality: 0.88,
    },
    Model {
        name: "gpt-4o-mini",
        weight: 30.0,
        input_price: 0.15,
        output_price: 0.6,
        first_token_ms: 330.0,
        tokens_per_sec: 110.0,
        quality: 0.79,
    },
    Model {
        name: "claude-3-5-sonnet",
        weight: 20.0,
        input_price: 3.0,
        output_price: 15.0,
        first_token_ms: 640.0,
        tokens_per_sec: 72.0,
        quality: 0.9,
    },
    Model {
        name: "claude-3-5-haiku",
        weight: 12.0,
        input_price: 0.8,
        output_price: 4.0,
        first_token_ms: 480.0,
        tokens_per_sec: 95.0,
        quality: 0.81,
    },
    Model {
        name: "gemini-1.5-flash",
        weight: 10.0,
        input_price: 0.075,
        output_price: 0.3,
        first_token_ms: 290.0,
        tokens_per_sec: 160.0,
        quality: 0.77,
    },
    Model {
        name: "llama-3.1-70b-instruct",
        weight: 4.0,
        input_price: 0.6,
        output_price: 0.6,
        first_token_ms: 250.0,
        tokens_per_sec: 48.0,
        quality: 0.76,
    },
];

/// A caller of models, with the medians of its requests.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) weight: f64,
    pub(super) input_tokens: f64,
    pub(super) output_tokens: f64,
}

pub(super) const SERVICES: [Service; 4] = [
    Service { name: "chat", weight: 50.0, input_tokens: 420.0, output_tokens: 160.0 },
    Service { name: "search", weight: 25.0, input_tokens: 1_600.0, output_tokens: 110.0 },
    Service { name: "summarize", weight: 15.0, input_tokens: 2_800.0, output_tokens: 240.0 },
    Service { name: "code-review", weight: 10.0, input_tokens: 2_100.0, output_tokens: 380.0 },
];
