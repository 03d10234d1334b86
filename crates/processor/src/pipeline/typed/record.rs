//! The bytes of a record become a value of the user's type.

use std::{marker::PhantomData, sync::Arc};

use csv::{ReaderBuilder, StringRecord};
use llm_optimizer_types::SideReason;
use serde::de::DeserializeOwned;

use super::short_name;
use crate::{decode::Fault, record::RecordFormat};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads records of one type.
pub(super) struct RecordReader<T> {
    /// The columns of a CSV input, as they were last seen.
    header: Option<Header>,
    reads: PhantomData<fn() -> T>,
}

struct Header {
    columns: Arc<[String]>,
    names: StringRecord,
}

impl<T> Default for RecordReader<T> {
    fn default() -> Self {
        Self { header: None, reads: PhantomData }
    }
}

impl<T: DeserializeOwned> RecordReader<T> {
    /// The value in `bytes`.
    pub(super) fn read(&mut self, bytes: &[u8], format: &RecordFormat) -> Result<T, Fault> {
        match format {
            RecordFormat::Json => {
                let json = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
                serde_json::from_slice(json).map_err(|error| no_value::<T>(&error))
            }
            RecordFormat::Csv { columns, delimiter } => {
                let names = self.names(columns);
                let mut reader = ReaderBuilder::new()
                    .has_headers(false)
                    .delimiter(*delimiter)
                    .flexible(true)
                    .buffer_capacity(bytes.len() + 1)
                    .from_reader(bytes);
                let mut cells = StringRecord::new();
                let is_record =
                    reader.read_record(&mut cells).map_err(|error| no_value::<T>(&error))?;
                if !is_record || cells.len() != names.len() {
                    let detail = format!("{} cells, the header has {}", cells.len(), names.len());
                    return Err(Fault::new(SideReason::InvalidJson, detail));
                }
                cells.deserialize(Some(names)).map_err(|error| no_value::<T>(&error))
            }
        }
    }

    fn names(&mut self, columns: &Arc<[String]>) -> &StringRecord {
        let is_known = |known: &Header| Arc::ptr_eq(&known.columns, columns);
        if !self.header.as_ref().is_some_and(is_known) {
            self.header = None;
        }
        let header = self.header.get_or_insert_with(|| Header {
            columns: Arc::clone(columns),
            names: columns.iter().collect(),
        });
        &header.names
    }
}

fn no_value<T>(error: &dyn std::error::Error) -> Fault {
    Fault::new(SideReason::InvalidJson, format!("not a {}: {error}", short_name::<T>()))
}
