//! Operators: what becomes of an event before it is in a window.
//!
//! They keep nothing from one event to the next. What became of a record is counted once: it is
//! *filtered* if nothing of it gets through, a *dead letter* if something about it has a fault,
//! *late* if all that gets through is too late, else *accepted*.

use std::fmt::Display;

use llm_optimizer_types::SideReason;
use serde::{Serialize, de::DeserializeOwned};

use super::{StreamPipelineBuilder, typed::Flow};
use crate::{core::GroupingKey, decode::Fault};

impl<T, In> StreamPipelineBuilder<T, In>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    In: Serialize + DeserializeOwned + Send + 'static,
{
    /// Goes on with those events of which `keeps` is true.
    ///
    /// A dropped event is counted as filtered. It still moves the watermark, if its time is known
    /// here: by the type itself, or by [`with_timestamp`](Self::with_timestamp) called for this type
    /// or an earlier one.
    #[must_use]
    pub fn filter(mut self, keeps: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.flow.filter(Box::new(keeps));
        self
    }

    /// Makes another event of each event.
    ///
    /// Time, key and values that were drawn before stay with it. What is not said for a later type
    /// either, the last type that has it says by itself: a field `timestamp`, a field `value`, a
    /// number, a [`FeedbackEvent`](crate::FeedbackEvent).
    #[must_use]
    pub fn map<U>(
        self,
        map: impl Fn(T) -> U + Send + Sync + 'static,
    ) -> StreamPipelineBuilder<U, In>
    where
        U: Serialize + DeserializeOwned + Send + 'static,
    {
        self.with_flow(|flow| flow.map(Box::new(move |event| Ok(map(event)))))
    }

    /// Makes another event of each event, or a dead letter of its record.
    ///
    /// The reason of the dead letter is `invalid_value`, its detail the text of the error.
    ///
    /// ```
    /// # use llm_optimizer_processor::*;
    /// let builder = create_pipeline::<String>()
    ///     .try_map(|line| line.trim().parse::<f64>())
    ///     .with_timestamp(|_| chrono::Utc::now());
    /// ```
    #[must_use]
    pub fn try_map<U, E>(
        self,
        map: impl Fn(T) -> Result<U, E> + Send + Sync + 'static,
    ) -> StreamPipelineBuilder<U, In>
    where
        U: Serialize + DeserializeOwned + Send + 'static,
        E: Display,
    {
        let fault = |error: E| Fault::new(SideReason::InvalidValue, error.to_string());
        self.with_flow(|flow| flow.map(Box::new(move |event| map(event).map_err(fault))))
    }

    /// Makes any number of events of each event: those of a list, an `Option`, an iterator.
    ///
    /// An event that becomes none is counted as filtered. The events of one record are judged in the
    /// order of their times, so that none makes another late. If only some are too late, the record
    /// is accepted, counted in `lost_in_part`, and goes to the late side output besides.
    #[must_use]
    pub fn flat_map<U, I>(
        self,
        map: impl Fn(T) -> I + Send + Sync + 'static,
    ) -> StreamPipelineBuilder<U, In>
    where
        U: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = U> + 'static,
    {
        self.with_flow(|flow| flow.flat_map(map))
    }

    /// Says what the key of an event is, as [`with_key`](Self::with_key) does: a
    /// [`GroupingKey`], or a text that becomes one as it is.
    ///
    /// ```
    /// # use llm_optimizer_processor::*;
    /// let by_text = create_pipeline::<FeedbackEvent>()
    ///     .key_by(|event| event.id().unwrap_or("none").to_owned());
    /// let by_fields = create_pipeline::<(String, String)>()
    ///     .key_by(|(model, region)| GroupingKey::from_fields(&[("model", model), ("region", region)]));
    /// ```
    #[must_use]
    pub fn key_by<K: Into<GroupingKey>>(
        self,
        key: impl Fn(&T) -> K + Send + Sync + 'static,
    ) -> Self {
        self.with_key(move |event| key(event).into())
    }

    fn with_flow<U>(
        self,
        operator: impl FnOnce(Flow<In, T>) -> Flow<In, U>,
    ) -> StreamPipelineBuilder<U, In> {
        let Self { source, flow, parts } = self;
        StreamPipelineBuilder { source, flow: operator(flow), parts }
    }
}
