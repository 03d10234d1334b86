//! Accumulators of windows in a state backend, for users who keep windows themselves.

use std::{collections::VecDeque, marker::PhantomData, sync::Arc, time::Duration};

use chrono::DateTime;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    StateBackend, WriteBatch, codec,
    damage::{Damage, readable},
    prefix_end,
};
use crate::{
    core::GroupingKey,
    error::{ProcessorError, ProcessorResult},
    source::clock::{Clock, SystemClock},
    window::Window,
};

/// Keeps one accumulator per window under a namespace of a [`StateBackend`].
///
/// | call | afterwards |
/// | --- | --- |
/// | `put_accumulator(w, a)` | `get_accumulator(w)` is `a`; no other window and no other namespace changed |
/// | `delete_window(w)` | `get_accumulator(w)` is none |
/// | `list_windows()` | the windows that have an accumulator, by end, start and key |
/// | with `with_ttl(t)` | an accumulator counts as gone once `t` has passed since it was put, and `cleanup` removes it |
///
/// Keys are length-prefixed binary, so no two windows or namespaces collide. Values are `MessagePack`
/// with names, with a version and a checksum.
///
/// ```
/// # use llm_optimizer_processor::{AggregationState, MemoryStateBackend, Window};
/// # use std::sync::Arc;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> llm_optimizer_processor::ProcessorResult<()> {
/// # let start = chrono::DateTime::from_timestamp(0, 0).unwrap();
/// # let window = Window { start, end: start + chrono::Duration::minutes(5), key: None };
/// # let state_backend = Arc::new(MemoryStateBackend::new());
/// use llm_optimizer_processor::state::*;
///
/// // Create state manager
/// let state_manager = WindowStateManager::<AggregationState>::new(
///     state_backend,
///     "my-aggregation",
/// );
///
/// // Get accumulator for window
/// let acc = state_manager.get_accumulator(&window).await?;
///
/// // Update and save
/// let mut acc = acc.unwrap_or_else(|| AggregationState::new(window.clone()));
/// acc.add_value(42.0);
/// state_manager.put_accumulator(&window, &acc).await?;
/// assert_eq!(state_manager.get_accumulator(&window).await?, Some(acc));
///
/// // Delete window state
/// state_manager.delete_window(&window).await?;
/// # assert_eq!(state_manager.get_accumulator(&window).await?, None);
/// # Ok(())
/// # }
/// ```
pub struct WindowStateManager<A> {
    backend: Arc<dyn StateBackend>,
    /// The namespace with its length before it.
    prefix: Vec<u8>,
    ttl_ms: Option<i64>,
    clock: Arc<dyn Clock>,
    _accumulator: PhantomData<fn() -> A>,
}

impl<A> std::fmt::Debug for WindowStateManager<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let namespace = readable(self.prefix.get(4..).unwrap_or_default());
        f.debug_struct("WindowStateManager").field("namespace", &namespace).finish_non_exhaustive()
    }
}

impl<A: Serialize + DeserializeOwned> WindowStateManager<A> {
    /// Accumulators under `namespace` of `backend`.
    pub fn new(backend: Arc<dyn StateBackend>, namespace: impl Into<String>) -> Self {
        let mut prefix = Vec::new();
        put_text(&mut prefix, &namespace.into());
        let clock = Arc::new(SystemClock::new());
        Self { backend, prefix, ttl_ms: None, clock, _accumulator: PhantomData }
    }

    /// Accumulators count as gone once `ttl` has passed since they were put.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl_ms = Some(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        self
    }

    /// Asks `clock` for the time of day instead of the system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The accumulator of `window`, if there is one that has not expired.
    ///
    /// # Errors
    /// [`State`](ProcessorError::State) if it cannot be read or is damaged.
    pub async fn get_accumulator(&self, window: &Window) -> ProcessorResult<Option<A>> {
        let key = self.key(window);
        let Some(frame) = self.backend.get(&key).await? else { return Ok(None) };
        let decoded = codec::decode(&key, &frame).map_err(|damage| damaged(&key, &damage))?;
        if self.is_expired(decoded.expires_at_ms) {
            return Ok(None);
        }
        let read = rmp_serde::from_slice(&decoded.value);
        read.map(Some).map_err(|error| {
            let key = readable(&key);
            ProcessorError::State(format!("the accumulator under {key} cannot be read: {error}"))
        })
    }

    /// Puts `accumulator` in the place of what `window` has.
    ///
    /// # Errors
    /// [`Serialization`](ProcessorError::Serialization) if it cannot be encoded,
    /// [`State`](ProcessorError::State) if it cannot be written.
    pub async fn put_accumulator(&self, window: &Window, accumulator: &A) -> ProcessorResult<()> {
        let value = rmp_serde::to_vec_named(accumulator)
            .map_err(|error| ProcessorError::Serialization(error.to_string()))?;
        let key = self.key(window);
        let expires_at_ms = self.ttl_ms.map(|ttl| self.clock.now_ms().saturating_add(ttl));
        self.backend.put(&key, &codec::encode(&key, &value, expires_at_ms)).await
    }

    /// Removes the accumulator of `window`; that there is none is no failure.
    ///
    /// # Errors
    /// [`State`](ProcessorError::State) if it cannot be written.
    pub async fn delete_window(&self, window: &Window) -> ProcessorResult<()> {
        self.backend.delete(&self.key(window)).await
    }

    /// The windows that have an accumulator that has not expired, by end, start and key.
    ///
    /// # Errors
    /// [`State`](ProcessorError::State) if they cannot be read or one is damaged.
    pub async fn list_windows(&self) -> ProcessorResult<Vec<Window>> {
        let mut windows = Vec::new();
        for (key, expires_at_ms) in self.entries().await? {
            if !self.is_expired(expires_at_ms) {
                let window = window_of(key.get(self.prefix.len()..).unwrap_or_default());
                windows.push(window.ok_or_else(|| damaged(&key, &Damage::Undecodable))?);
            }
        }
        Ok(windows)
    }

    /// Removes what has expired, lets the backend give back the room, and returns how many went.
    ///
    /// # Errors
    /// [`State`](ProcessorError::State) if they cannot be read or written.
    pub async fn cleanup(&self) -> ProcessorResult<usize> {
        let mut batch = WriteBatch::default();
        for (key, expires_at_ms) in self.entries().await? {
            if self.is_expired(expires_at_ms) {
                batch.delete(&key);
            }
        }
        if !batch.is_empty() {
            self.backend.write_batch(&batch).await?;
            self.backend.compact().await?;
        }
        Ok(batch.len())
    }

    /// Keys of the namespace, and when they expire.
    async fn entries(&self) -> ProcessorResult<VecDeque<(Vec<u8>, Option<i64>)>> {
        let rows = self.backend.scan(&self.prefix, prefix_end(&self.prefix).as_deref()).await?;
        let entries = rows.into_iter().map(|(key, frame)| {
            let decoded = codec::decode(&key, &frame).map_err(|damage| damaged(&key, &damage))?;
            Ok((key, decoded.expires_at_ms))
        });
        entries.collect()
    }

    fn is_expired(&self, expires_at_ms: Option<i64>) -> bool {
        expires_at_ms.is_some_and(|at| at <= self.clock.now_ms())
    }

    /// Namespace, end, start, and the key if there is one.
    fn key(&self, window: &Window) -> Vec<u8> {
        let mut key = self.prefix.clone();
        for instant in [window.end, window.start] {
            key.extend_from_slice(&codec::ordered(instant.timestamp()));
            key.extend_from_slice(&instant.timestamp_subsec_nanos().to_be_bytes());
        }
        if let Some(grouping) = &window.key {
            put_text(&mut key, grouping.as_str());
        }
        key
    }
}

fn put_text(key: &mut Vec<u8>, text: &str) {
    // A text of 4 GiB would not fit in memory beside its window.
    key.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    key.extend_from_slice(text.as_bytes());
}

/// The window of a key without its namespace.
fn window_of(key: &[u8]) -> Option<Window> {
    let (end, key) = instant(key)?;
    let (start, key) = instant(key)?;
    if key.is_empty() {
        return Some(Window { start, end, key: None });
    }
    let (length, text) = key.split_first_chunk::<4>()?;
    let text = std::str::from_utf8(text).ok()?;
    let is_whole = text.len() == u32::from_be_bytes(*length) as usize;
    is_whole.then(|| Window { start, end, key: Some(GroupingKey::new(text)) })
}

fn instant(key: &[u8]) -> Option<(DateTime<chrono::Utc>, &[u8])> {
    let (secs, key) = key.split_first_chunk::<8>()?;
    let (nanos, key) = key.split_first_chunk::<4>()?;
    let at = DateTime::from_timestamp(codec::from_ordered(*secs), u32::from_be_bytes(*nanos))?;
    Some((at, key))
}

fn damaged(key: &[u8], damage: &Damage) -> ProcessorError {
    ProcessorError::State(format!("the accumulator under {} is damaged: {damage}", readable(key)))
}
