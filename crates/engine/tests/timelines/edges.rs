//! Behaviour at the edges, one test each. Some are told at more length elsewhere.

use crate::timeline::check;
