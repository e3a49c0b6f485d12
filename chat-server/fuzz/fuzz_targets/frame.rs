#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| chat_server::broker::redis::fuzzing::frame(text));
