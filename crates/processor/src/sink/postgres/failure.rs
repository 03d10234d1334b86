//! What an error of the server means: that it is away, that waiting does not help, or neither.

use postgres::error::{Error, SqlState};

use crate::error::ProcessorError;

/// What `error` of the sink `name` means.
///
/// | the server | error |
/// | --- | --- |
/// | is not reached, starts, stops, is full, reads only, or two transactions were in each other's way | [`ProcessorError::Unavailable`]: is waited for |
/// | knows no such user, database or schema, or refuses access | [`ProcessorError::Config`]: ends the run |
/// | refuses anything else | [`ProcessorError::Sink`]: tried again as often as configured |
pub(super) fn meaning(name: &str, error: &Error) -> ProcessorError {
    let (name, reason) = (name.to_owned(), reason(error));
    match error.code() {
        None if is_ours(error) => ProcessorError::Config(format!("sink {name}: {reason}")),
        None => ProcessorError::Unavailable { name, reason },
        Some(code) if is_outage(code) => ProcessorError::Unavailable { name, reason },
        Some(code) if is_refusal(code) => ProcessorError::Config(format!("sink {name}: {reason}")),
        Some(_) => ProcessorError::Sink { name, reason },
    }
}

fn is_outage(code: &SqlState) -> bool {
    let class = code.code().get(..2).unwrap_or_default();
    // Connection, resources, operator's intervention, system; rollbacks that ask for another try.
    ["08", "53", "57", "58", "40"].contains(&class)
        || *code == SqlState::READ_ONLY_SQL_TRANSACTION
        || *code == SqlState::LOCK_NOT_AVAILABLE
}

fn is_refusal(code: &SqlState) -> bool {
    let class = code.code().get(..2).unwrap_or_default();
    ["28", "3D", "3F"].contains(&class) || *code == SqlState::INSUFFICIENT_PRIVILEGE
}

/// Errors of the client's own settings.
fn is_ours(error: &Error) -> bool {
    let text = error.to_string();
    text == "invalid configuration" || text == "invalid connection string"
}

/// What the server said, or what came between.
fn reason(error: &Error) -> String {
    let Some(said) = error.as_db_error() else {
        let cause = std::error::Error::source(error);
        return cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
    };
    let mut reason = format!("{} (SQLSTATE {})", said.message(), said.code().code());
    for (word, text) in [("detail", said.detail()), ("hint", said.hint())] {
        if let Some(text) = text {
            reason.extend(["; ", word, ": ", text]);
        }
    }
    reason
}
