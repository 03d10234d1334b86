//! The dashboard: a page at `/` whose files are part of the binary, so that it works without a network.
//!
//! The files lie in `assets/dashboard`, as they were written: nothing is built. They may be kept by browsers, which ask
//! each time whether they are still the same. The page takes scripts, styles and numbers from its own server alone.

use std::sync::LazyLock;

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tower_http::compression::CompressionLayer;
use xxhash_rust::xxh3::xxh3_64;

use super::limits::{RouteLimits, limited};

/// What the page may do: nothing of others, no script or style within the page, not in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
struct Asset {
    /// Its path below `assets/dashboard`.
    path: &'static str,
    bytes: &'static [u8],
}

/// Embeds these files of `assets/dashboard`.
macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        &[$(Asset {
            path: $path,
            bytes: include_bytes!(concat!("../../assets/dashboard/", $path)),
        }),*]
    };
}

/// Every file; the first is the page.
static ASSETS: &[Asset] = embedded![
    "index.html",
    "css/base.css",
    "css/layout.css",
    "css/parts.css",
    "css/tokens.css",
    "favicon.svg",
    "js/api.js",
    "js/charts/line.js",
    "js/charts/spark.js",
    "js/dom.js",
    "js/format.js",
    "js/history.js",
    "js/main.js",
    "js/poll.js",
    "js/prometheus.js",
    "js/sources.js",
    "js/store.js",
    "js/theme.js",
    "js/theme_early.js",
    "js/views/charts.js",
    "js/views/delivery.js",
    "js/views/families.js",
    "js/views/graph.js",
    "js/views/header.js",
    "js/views/health.js",
    "js/views/key.js",
    "js/views/keys.js",
    "js/views/ledgers.js",
    "js/views/partitions.js",
    "js/views/tiles.js",
    "vendor/uplot/LICENSE",
    "vendor/uplot/uPlot.esm.js",
    "vendor/uplot/uPlot.min.css",
];

/// The tag of each file, in the order of [`ASSETS`].
static TAGS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| {
    let tag = |asset: &Asset| {
        // Weak: packed or not, it is the same file.
        HeaderValue::from_str(&format!("W/\"{:016x}\"", xxh3_64(asset.bytes)))
    };
    ASSETS.iter().map(|asset| tag(asset).unwrap_or(HeaderValue::from_static("W/\"\""))).collect()
});

/// `/` and the files below `/dashboard/`, within limits: 64 requests at once, 10 seconds.
pub fn dashboard_routes() -> Router {
    let routes = ASSETS.iter().zip(TAGS.iter()).fold(Router::new(), |routes, (asset, tag)| {
        let serve = get(move |headers: HeaderMap| async move { answer(asset, tag, &headers) });
        match asset.path {
            "index.html" => routes.route("/", serve),
            path => routes.route(&format!("/dashboard/{path}"), serve),
        }
    });
    limited(routes.layer(CompressionLayer::new()), RouteLimits::default())
}

fn answer(asset: &Asset, tag: &HeaderValue, headers: &HeaderMap) -> Response {
    let common = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    if is_known(tag, headers) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(kind(asset.path)))];
    (common, kind, asset.bytes).into_response()
}

/// Whether the asker has the file already.
fn is_known(tag: &HeaderValue, headers: &HeaderMap) -> bool {
    let has = |value: &HeaderValue| {
        let (Ok(known), Ok(tag)) = (value.to_str(), tag.to_str()) else { return false };
        known.split(',').map(str::trim).any(|known| known == "*" || known == tag)
    };
    headers.get_all(header::IF_NONE_MATCH).iter().any(has)
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn files(folder: &Path, base: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, base, found);
            } else {
                found.insert(path.strip_prefix(base).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn every_file_of_the_page_is_embedded() {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/dashboard");
        let mut there = BTreeSet::new();
        files(&base, &base, &mut there);
        let embedded: BTreeSet<String> = ASSETS.iter().map(|asset| asset.path.into()).collect();
        assert_eq!(embedded, there);
    }

    #[test]
    fn nothing_is_taken_from_another_server_and_nothing_runs_that_stands_in_the_page() {
        for asset in ASSETS.iter().filter(|asset| !asset.path.starts_with("vendor/")) {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            let addresses = text.split("://").skip(1);
            let foreign: Vec<&str> = addresses
                .filter(|rest| !rest.starts_with("www.w3.org/"))
                .map(|rest| rest.lines().next().unwrap_or_default())
                .collect();
            assert!(foreign.is_empty(), "{}: {foreign:?}", asset.path);
            for forbidden in [" style=\"", " onclick=", "<style", "eval(", "innerHTML"] {
                assert!(!text.contains(forbidden), "{}: {forbidden}", asset.path);
            }
        }
    }
}
