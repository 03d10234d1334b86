//! stub
use crate::runtime::Job;
pub struct Bar; impl Bar { pub fn finish(self) {} }
pub fn show_progress(_: &Job) -> Bar { Bar }
