//! The HTTP server of a process: health, metrics, the API, live results, and whatever else has routes.
//!
//! A [`Server`] has a thread of its own with a small async runtime; nothing of it is on the way of an event. It listens
//! from the first moment of a run, so that health can be asked for while state is read back. Whoever has routes of their
//! own adds them at any time:
//!
//! ```
//! # use llm_optimizer_processor::server::{RouteLimits, Server, ServerSettings, limited};
//! # use axum::{Router, routing::get};
//! let server = Server::start(&ServerSettings::at("127.0.0.1:0"))?;
//! let mine = Router::new().route("/v1/mine", get(|| async { "mine" }));
//! server.routes().add(limited(mine, RouteLimits::default()));
//! let answer = ureq::get(format!("http://{}/v1/mine", server.address())).call()?.into_body().read_to_string()?;
//! assert_eq!(answer, "mine");
//! server.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A source that listens (intake) gets [`Routes`], a handle that is cheap to clone, and adds its router when it is built;
//! with its own [`RouteLimits`], for the server sets none for others. Paths must not collide: of two routers that answer a
//! path the one that was added first wins.
//!
//! | file | subject |
//! | --- | --- |
//! | `serve` | the thread, the listener, the stop |
//! | `limits` | size, time and number of requests |
//! | `patient` | who takes nothing of an answer is cut off |
//! | `api` | the routes of a run |
//! | `dashboard` | the page at `/` and its files |
//! | `run` | what a run of the command line has of all this |

pub(crate) mod api;
mod dashboard;
mod limits;
mod patient;
mod run;
mod serve;

pub use api::{ApiParts, PipelineParts, Place, Topology, WindowParts, api_routes};
pub use dashboard::dashboard_routes;
pub use limits::{RouteLimits, limited};
pub use run::RunServer;
pub(crate) use run::own_address;
pub use serve::{Bound, Routes, Server, ServerSettings};
