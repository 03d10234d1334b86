//! The URL of a server: where it is, and how far it is trusted.

use std::{path::PathBuf, time::Duration};

use postgres::{
    Config,
    config::{Host, SslMode},
};

use super::super::tls::Trust;
use crate::error::{ProcessorError, ProcessorResult};

/// Longest time for a connection, where the URL says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time that sent bytes are not acknowledged, where the URL says nothing.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// Silence after which a connection is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Where the server is.
pub(super) struct Address {
    pub(super) config: Config,
    /// How a certificate is judged; `None`: no TLS.
    pub(super) trust: Option<Trust>,
    /// `host:port/database`, without user and password.
    pub(super) shown: String,
}

impl Address {
    /// Reads a URL.
    ///
    /// `sslmode` is as elsewhere: `disable`, `prefer` (the default: TLS if the server has it), `require`
    /// (TLS, with any certificate), `verify-ca` (one that a known authority signed) and `verify-full` (that
    /// also names the host). Authorities are those of the system, or in the file `sslrootcert`.
    ///
    /// # Errors
    /// [`ProcessorError::Config`], without the URL.
    pub(super) fn parse(url: &str) -> ProcessorResult<Self> {
        let (url, mode, roots) = without_trust(url);
        let mut config: Config = url.parse().map_err(|error| refused(&reason(&error)))?;
        let (ssl, trust) = judged(mode.as_deref(), roots)?;
        config.ssl_mode(ssl);
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(refused("it names no host"));
        }
        if config.get_application_name().is_none() {
            config.application_name("llm-optimizer-processor");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(UNACKNOWLEDGED);
        }
        config.keepalives_idle(KEEPALIVE.min(config.get_keepalives_idle()));
        let shown = shown(&config);
        Ok(Self { config, trust, shown })
    }
}

/// `url` without the parameters that say how a certificate is judged, and these.
fn without_trust(url: &str) -> (String, Option<String>, Option<PathBuf>) {
    let Some((place, query)) = url.split_once('?') else { return (url.to_owned(), None, None) };
    let (mut mode, mut roots) = (None, None);
    let kept: Vec<&str> = query
        .split('&')
        .filter(|parameter| match parameter.split_once('=') {
            Some(("sslmode", value)) => {
                mode = Some(value.to_owned());
                false
            }
            Some(("sslrootcert", value)) => {
                roots = Some(PathBuf::from(value.replace("%2F", "/").replace("%2f", "/")));
                false
            }
            _ => true,
        })
        .collect();
    let url =
        if kept.is_empty() { place.to_owned() } else { format!("{place}?{}", kept.join("&")) };
    (url, mode, roots)
}

fn judged(mode: Option<&str>, roots: Option<PathBuf>) -> ProcessorResult<(SslMode, Option<Trust>)> {
    Ok(match mode.unwrap_or("prefer") {
        "disable" => (SslMode::Disable, None),
        "prefer" => (SslMode::Prefer, Some(Trust::Anyone)),
        // As elsewhere: authorities that are named are asked.
        "require" if roots.is_none() => (SslMode::Require, Some(Trust::Anyone)),
        "require" | "verify-ca" => {
            (SslMode::Require, Some(Trust::Signed { roots, names_host: false }))
        }
        "verify-full" => (SslMode::Require, Some(Trust::Signed { roots, names_host: true })),
        _ => {
            return Err(refused(
                "sslmode is none of disable, prefer, require, verify-ca and verify-full",
            ));
        }
    })
}

fn shown(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(5_432);
    let host = |(index, host): (usize, &Host)| match host {
        Host::Tcp(name) => format!("{name}:{}", port(index)),
        Host::Unix(path) => format!("{}:{}", path.display(), port(index)),
    };
    let mut hosts: Vec<String> = config.get_hosts().iter().enumerate().map(host).collect();
    if hosts.is_empty() {
        let address = |(index, address)| format!("{address}:{}", port(index));
        hosts = config.get_hostaddrs().iter().enumerate().map(address).collect();
    }
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("{}/{database}", hosts.join(","))
}

fn reason(error: &postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    cause.unwrap_or_else(|| error.to_string())
}

fn refused(reason: &str) -> ProcessorError {
    ProcessorError::Config(format!(
        "the url of a Postgres sink cannot be used: {reason}; write postgres://user:password@host:5432/database"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_an_address_holds_no_secret() {
        for (url, shown) in [
            (
                "postgres://app:hunter2@db.example:5433/metrics?sslmode=disable",
                "db.example:5433/metrics",
            ),
            ("postgresql://app:hunter2@a,b:6000/metrics", "a:5432,b:6000/metrics"),
            ("postgres://app@%2Frun%2Fpostgresql/metrics", "/run/postgresql:5432/metrics"),
            ("postgres://app@db", "db:5432/app"),
        ] {
            assert_eq!(Address::parse(url).unwrap().shown, shown, "{url}");
        }
    }

    #[test]
    fn modes_of_trust() {
        let trust = |mode: &str| {
            let url = format!("postgres://h/d?connect_timeout=3&sslmode={mode}");
            let address = Address::parse(&url).unwrap();
            (address.config.get_ssl_mode(), address.trust)
        };
        let signed = |names_host| Some(Trust::Signed { roots: None, names_host });
        assert_eq!(trust("disable"), (SslMode::Disable, None));
        assert_eq!(trust("prefer"), (SslMode::Prefer, Some(Trust::Anyone)));
        assert_eq!(trust("require"), (SslMode::Require, Some(Trust::Anyone)));
        assert_eq!(trust("verify-ca"), (SslMode::Require, signed(false)));
        assert_eq!(trust("verify-full"), (SslMode::Require, signed(true)));
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_shown() {
        for url in [
            "postgres://app:hunter2@h/d?sslmode=maybe",
            "postgres://app:hunter2@h:port/d",
            "postgres://app:hunter2@h/d?password_file=x",
        ] {
            let error = Address::parse(url).err().expect(url).to_string();
            assert!(error.starts_with("configuration: the url of a Postgres sink"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
