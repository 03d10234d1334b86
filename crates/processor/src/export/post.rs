//! One request to a receiver.

use std::{sync::Arc, time::Duration};

use prost::Message;
use rustls::crypto::ring;
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use super::settings::Receiver;

/// Longest answer that is read.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// Why something was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It may be taken later.
    Passing(String),
    /// It never will be.
    Refused(String),
}

/// Sends to receivers; connections are kept.
pub(super) struct Poster {
    agent: Agent,
}

impl Poster {
    /// For these receivers; the system's certificate authorities are read only if one of them is asked over TLS.
    pub(super) fn new<'a>(receivers: impl Iterator<Item = &'a Receiver>) -> Self {
        let mut settings = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));
        if receivers.into_iter().any(|receiver| receiver.url.starts_with("https://")) {
            let found = rustls_native_certs::load_native_certs().certs;
            let roots: Vec<_> =
                found.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
            let tls = TlsConfig::builder()
                .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
                .root_certs(RootCerts::new_with_certs(&roots));
            settings = settings.tls_config(tls.build());
        }
        Self { agent: settings.build().new_agent() }
    }

    /// Sends `request` and returns the receiver's answer, within `patience`.
    ///
    /// # Errors
    /// Why it was not taken.
    pub(super) fn post<Answer: Message + Default>(
        &self,
        receiver: &Receiver,
        request: &impl Message,
        patience: Duration,
    ) -> Result<Answer, NotTaken> {
        let mut post = self.agent.post(&receiver.url);
        for (name, value) in &receiver.headers {
            post = post.header(name, value);
        }
        let post = post.content_type("application/x-protobuf");
        let post = post.config().timeout_global(Some(patience.min(receiver.timeout))).build();
        let passing = |error: ureq::Error| NotTaken::Passing(error.to_string());
        let mut answer = match post.send(&request.encode_to_vec()[..]) {
            Ok(answer) => answer,
            // Such a request can never be made.
            Err(error @ (ureq::Error::BadUri(_) | ureq::Error::Http(_))) => {
                return Err(NotTaken::Refused(error.to_string()));
            }
            Err(error) => return Err(passing(error)),
        };
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
        match status {
            200..300 => {
                // Some receivers answer with no body, or with JSON: then there is nothing to be told.
                Ok(body.ok().and_then(|body| Answer::decode(&body[..]).ok()).unwrap_or_default())
            }
            408 | 429 | 502 | 503 | 504 => Err(NotTaken::Passing(format!("status {status}"))),
            _ => {
                let said = body.unwrap_or_default();
                let said: String = String::from_utf8_lossy(&said)
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(200)
                    .collect();
                Err(NotTaken::Refused(format!("status {status} {said}")))
            }
        }
    }
}
