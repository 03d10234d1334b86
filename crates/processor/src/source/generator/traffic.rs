//! What happens, in the order of event time.

use std::f64::consts::TAU;

use llm_optimizer_config::settings::GeneratorConfig;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, LogNormal, Normal, weighted::WeightedIndex};

use super::{
    catalogue::{MODELS, Model, SERVICES, Service},
    event::{CallError, CallEvent},
};

/// Greatest deviation from the mean rate over a day, as a share of it.
const DAILY_SWING: f64 = 0.6;
/// Time of day with the mean rate, six hours before the busiest one.
const MEAN_RATE_AT_MS: f64 = 9.0 * 3_600_000.0;
const DAY_MS: f64 = 86_400_000.0;

const CALM_ERROR_SHARE: f64 = 0.004;
const BURST_ERROR_SHARE: f64 = 0.25;
const INCIDENT_ERROR_SHARE: f64 = 0.35;
const INCIDENT_SLOWDOWN: f64 = 4.0;
/// Share of the events that begin an error burst of their model.
const BURST_BEGINS: f64 = 0.000_3;
const BURST_MS: std::ops::Range<f64> = 2_000.0..8_000.0;
const TIMEOUT_MS: f64 = 30_000.0;

/// The traffic as an endless iterator over calls.
pub(super) struct Traffic {
    rng: ChaCha8Rng,
    start_ms: i64,
    /// Milliseconds since the start, with their fraction.
    now_ms: f64,
    events_per_ms: f64,
    tenants: u32,
    incident_every_ms: f64,
    incident_ms: f64,
    model_weights: WeightedIndex<f64>,
    service_weights: WeightedIndex<f64>,
    /// End of the error burst of each model, in milliseconds since the start.
    burst_ends_ms: [f64; MODELS.len()],
}

impl Traffic {
    /// Traffic that begins at `start_ms`; `None` if the settings describe none.
    pub(super) fn new(config: &GeneratorConfig, start_ms: i64) -> Option<Self> {
        let (every, length) = (config.incident_every_secs, config.incident_secs);
        Some(Self {
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            start_ms,
            now_ms: 0.0,
            events_per_ms: config.events_per_sec / 1_000.0,
            tenants: config.tenants,
            incident_every_ms: every.as_millis() as f64,
            incident_ms: length.as_millis() as f64,
            model_weights: WeightedIndex::new(MODELS.iter().map(|model| model.weight)).ok()?,
            service_weights: WeightedIndex::new(SERVICES.iter().map(|s| s.weight)).ok()?,
            burst_ends_ms: [f64::NEG_INFINITY; MODELS.len()],
        })
    }

    /// The source of all randomness.
    pub(super) fn rng(&mut self) -> &mut ChaCha8Rng {
        &mut self.rng
    }

    /// The next call.
    pub(super) fn next_call(&mut self) -> CallEvent {
        self.advance();
        let index = self.model_weights.sample(&mut self.rng);
        let service = pick(&SERVICES, self.service_weights.sample(&mut self.rng));
        let model = pick(&MODELS, index);
        let in_incident = self.incident_model() == Some(index);
        let error = self.error(index, in_incident);
        let slowdown = if in_incident { INCIDENT_SLOWDOWN } else { 1.0 };
        self.call(model, service, slowdown, error)
    }

    /// Moves on to the time of the next call.
    fn advance(&mut self) {
        let of_day = (self.start_ms as f64 + self.now_ms).rem_euclid(DAY_MS);
        let swing = DAILY_SWING * (TAU * (of_day - MEAN_RATE_AT_MS) / DAY_MS).sin();
        let wait: f64 = self.rng.sample(Exp1);
        self.now_ms += wait / (self.events_per_ms * (1.0 + swing));
    }

    /// Index of the model that suffers an incident now. They take turns.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of incidents, ≥ 1, that saturates after more than any run has"
    )]
    fn incident_model(&self) -> Option<usize> {
        if self.incident_every_ms <= 0.0 {
            return None;
        }
        let number = (self.now_ms / self.incident_every_ms).floor();
        let since = self.now_ms - number * self.incident_every_ms;
        (number >= 1.0 && since < self.incident_ms).then(|| (number as usize - 1) % MODELS.len())
    }

    fn error(&mut self, index: usize, in_incident: bool) -> Option<CallError> {
        let begins = self.rng.random_bool(BURST_BEGINS);
        let length = self.rng.random_range(BURST_MS);
        let now_ms = self.now_ms;
        let in_burst = self.burst_ends_ms.get_mut(index).is_some_and(|end| {
            *end = if begins { now_ms + length } else { *end };
            now_ms < *end
        });
        let (share, timeouts) = match (in_incident, in_burst) {
            (true, _) => (INCIDENT_ERROR_SHARE, 0.8),
            (false, true) => (BURST_ERROR_SHARE, 0.1),
            (false, false) => (CALM_ERROR_SHARE, 0.5),
        };
        let (fails, is_timeout) = (self.rng.random_bool(share), self.rng.random_bool(timeouts));
        fails.then_some(if is_timeout { CallError::Timeout } else { CallError::RateLimited })
    }

    fn call(
        &mut self,
        model: &Model,
        service: &'static Service,
        slowdown: f64,
        error: Option<CallError>,
    ) -> CallEvent {
        let rng = &mut self.rng;
        let input_tokens = tokens(around(service.input_tokens, 0.7, rng));
        let wanted_tokens = tokens(around(service.output_tokens, 0.8, rng));
        let first_token_ms = around(model.first_token_ms, 0.25, rng) * slowdown;
        let ms_per_token = around(1_000.0 / model.tokens_per_sec, 0.15, rng) * slowdown;
        let whole_ms = first_token_ms + f64::from(wanted_tokens) * ms_per_token;
        let refused_ms = rng.random_range(15.0..90.0);
        let quality = Normal::new(model.quality, 0.06).map_or(model.quality, |d| d.sample(rng));
        let (latency_ms, output_tokens) = match error {
            None => (whole_ms, wanted_tokens),
            Some(CallError::Timeout) => (TIMEOUT_MS, 0),
            Some(CallError::RateLimited) => (refused_ms, 0),
        };
        let billed_input = if error.is_none() { input_tokens } else { 0 };
        let cost = f64::from(billed_input) * model.input_price
            + f64::from(output_tokens) * model.output_price;
        CallEvent {
            at_ms: self.start_ms.saturating_add(whole(self.now_ms)),
            id: u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64()),
            request_id: rng.next_u64(),
            model: model.name,
            service: service.name,
            tenant: skewed(self.tenants, rng),
            latency_ms: round(latency_ms, 10.0),
            first_token_ms: round(first_token_ms.min(latency_ms), 10.0),
            input_tokens,
            output_tokens,
            cost: round(cost / 1e6, 1e8),
            quality: error.is_none().then(|| round(quality.clamp(0.0, 1.0), 1_000.0)),
            error,
        }
    }
}

fn pick<T>(among: &'static [T], index: usize) -> &'static T {
    #[expect(clippy::indexing_slicing, reason = "the index is drawn from the weights of `among`")]
    &among[index]
}

/// Log-normal with this median.
fn around(median: f64, sigma: f64, rng: &mut impl Rng) -> f64 {
    LogNormal::new(median.ln(), sigma).map_or(median, |spread| spread.sample(rng))
}

/// The first tenants call more often: tenant `i` about twice as often as tenant `4 i`.
fn skewed(tenants: u32, rng: &mut impl Rng) -> u32 {
    let even: f64 = rng.random();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in 0.0..=tenants, then cut to tenants - 1"
    )]
    let tenant = (even * even * f64::from(tenants)) as u32;
    tenant.min(tenants.saturating_sub(1))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of a context window"
)]
fn tokens(count: f64) -> u32 {
    count.clamp(1.0, 128_000.0).round() as u32
}

#[expect(clippy::cast_possible_truncation, reason = "saturates, as an instant should")]
fn whole(ms: f64) -> i64 {
    ms.floor() as i64
}

fn round(value: f64, steps_per_unit: f64) -> f64 {
    (value * steps_per_unit).round() / steps_per_unit
}
