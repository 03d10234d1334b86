#![no_main]

#[allow(unused)] // the other checks
#[path = "../checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::key_codec(data));
